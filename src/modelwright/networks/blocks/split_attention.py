"""Split attention: splits of one convolution weighed against each other (Zhang et al., 2020, arXiv 2004.08955)."""

from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import ACTIVATIONS, BatchNorm
from modelwright.networks.blocks.convolution import Convolution
from modelwright.networks.blocks.initialise import fan_out
from modelwright.records.architecture import Bottleneck


@final
class SplitAttention(nn.Module):
    """The k x k convolution of a bottleneck with `radix` splits: (N, hidden, H, W) -> (N, hidden, H / s, W / s).

    out = sum over splits of softmax(weights over splits) * split.
    """

    def __init__(self, record: Bottleneck, stride: int, norm: BatchNorm) -> None:
        super().__init__()
        width, splits = record.hidden, record.hidden * record.radix
        self.spatial = Convolution(
            (width, splits),
            norm,
            kernel=record.kernel,
            stride=stride,
            groups=record.radix,
            activation=record.activation,
        )
        self.reduce = fan_out(nn.Conv2d(width, record.squeeze, 1))
        self.norm = norm(record.squeeze)
        self.activation = ACTIVATIONS[record.activation]()
        self.expand = fan_out(nn.Conv2d(record.squeeze, splits, 1))
        self.radix = record.radix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve into splits and add them up, each by its weight."""
        splits = torch.unflatten(self.spatial(x), 1, (self.radix, -1))
        mean = splits.sum(1).mean((2, 3), keepdim=True)
        scores = self.expand(self.activation(self.norm(self.reduce(mean))))
        weights = torch.unflatten(scores, 1, (self.radix, -1)).softmax(1)
        out: torch.Tensor = (splits * weights).sum(1)
        return out
