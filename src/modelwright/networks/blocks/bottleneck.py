"""The residual bottleneck of ResNet, RegNet and ResNeSt."""

from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import ACTIVATIONS, BatchNorm
from modelwright.networks.blocks.convolution import Convolution
from modelwright.networks.blocks.split_attention import SplitAttention
from modelwright.networks.blocks.squeeze_excite import SqueezeExcite
from modelwright.networks.blocks.stochastic_depth import StochasticDepth
from modelwright.records.architecture import Bottleneck


@final
class BottleneckBlock(nn.Module):
    """One Bottleneck record as a module; (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride).

    Args:
        record: the block's numbers.
        norm: makes the normalisation for a number of channels.
        survival: probability that the residual branch is kept in training.
    """

    def __init__(self, record: Bottleneck, norm: BatchNorm, survival: float = 1.0) -> None:
        super().__init__()
        hidden, act = record.hidden, record.activation
        pools = record.pooled and record.stride > 1
        stride = 1 if pools else record.stride
        self.reduce = Convolution((record.in_channels, hidden), norm, activation=act)
        self.spatial = (
            SplitAttention(record, stride, norm)
            if record.radix > 1
            else Convolution(
                (hidden, hidden), norm, kernel=record.kernel, stride=stride, groups=record.groups, activation=act
            )
        )
        excites = record.radix == 1 and record.squeeze > 0
        self.squeeze = SqueezeExcite(hidden, record.squeeze, act) if excites else nn.Identity()
        self.pool = nn.AvgPool2d(3, record.stride, padding=1) if pools else nn.Identity()
        self.expand = Convolution((hidden, record.out_channels), norm)
        self.survive = StochasticDepth(survival)
        self.shortcut = _shortcut(record, norm)
        self.activation = ACTIVATIONS[act]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the branch to the shortcut, and activate."""
        branch = self.expand(self.pool(self.squeeze(self.spatial(self.reduce(x)))))
        out: torch.Tensor = self.activation(self.shortcut(x) + self.survive(branch))
        return out


def _shortcut(record: Bottleneck, norm: BatchNorm) -> nn.Module:
    """Nothing where the shape stays; else a 1x1 convolution that strides, or that follows a 2x2 average pooling."""
    if record.in_channels == record.out_channels and record.stride == 1:
        return nn.Identity()
    channels = (record.in_channels, record.out_channels)
    if record.pooled and record.stride > 1:
        pool = nn.AvgPool2d(2, record.stride, ceil_mode=True, count_include_pad=False)
        return nn.Sequential(pool, Convolution(channels, norm))
    return Convolution(channels, norm, stride=record.stride)
