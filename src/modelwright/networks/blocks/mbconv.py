"""The inverted bottleneck in all its forms: depthwise, fused, and reshaped."""

from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import BatchNorm
from modelwright.networks.blocks.convolution import Convolution
from modelwright.networks.blocks.reshape import SpaceToDepth, batch_to_space, space_to_batch
from modelwright.networks.blocks.squeeze_excite import SqueezeExcite
from modelwright.networks.blocks.stochastic_depth import StochasticDepth
from modelwright.records.architecture import MBConv


@final
class MBConvBlock(nn.Module):
    """One MBConv record as a module; (N, in_channels, H, W) -> (N, out_channels, H / strides, W / strides).

    Args:
        record: the block's numbers.
        norm: makes the normalisation for a number of channels.
        survival: probability that the residual branch is kept in training.
    """

    def __init__(self, record: MBConv, norm: BatchNorm, survival: float = 1.0) -> None:
        super().__init__()
        width, act = record.merged_channels, record.activation
        hidden = record.hidden or record.out_channels
        batched = record.reshape == "space-to-batch"
        self.entry = SpaceToDepth(record.in_channels, norm, act) if width > record.in_channels else nn.Identity()
        expands = not record.fused and width != hidden
        self.expand = Convolution((width, hidden), norm, activation=act) if expands else nn.Identity()
        self.spatial = Convolution(
            (width if record.fused else hidden, hidden),
            norm,
            kernel=record.kernel,
            stride=record.stride,
            groups=1 if record.fused else hidden,
            activation=act,
        )
        self.squeeze = (
            SqueezeExcite(hidden, record.squeeze, record.squeeze_activation, record.gate, 4 if batched else 1)
            if record.squeeze
            else nn.Identity()
        )
        self.project = Convolution((hidden, record.out_channels), norm) if record.hidden else nn.Identity()
        self.survive = StochasticDepth(survival)
        self.residual = record.stride == 1 and width == record.out_channels
        self.batched = batched

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block, between the two reshapes where there are any."""
        x = self.entry(x)
        out = space_to_batch(x) if self.batched else x
        out = self.project(self.squeeze(self.spatial(self.expand(out))))
        out = batch_to_space(out) if self.batched else out
        return x + self.survive(out) if self.residual else out
