"""A convolution with what belongs to it: padding, batch normalisation, activation."""

from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import ACTIVATIONS, BatchNorm
from modelwright.networks.blocks.initialise import fan_out
from modelwright.records.architecture import Activation


@final
class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, activation: (N, in, H, W) -> (N, out, ceil(H / s), ceil(W / s)).

    An odd kernel is padded evenly. An even one, at stride 1, is padded after only, as TensorFlow's "same" does.

    Args:
        channels: in and out.
        kernel, stride, groups: of the convolution.
        norm: makes the normalisation for a number of channels.
        activation: None for none.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        norm: BatchNorm,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = None,
    ) -> None:
        super().__init__()
        even = kernel % 2 == 0
        self.pad = nn.ZeroPad2d((kernel // 2 - 1, kernel // 2) * 2) if even else nn.Identity()
        padding = 0 if even else kernel // 2
        self.conv = fan_out(nn.Conv2d(*channels, kernel, stride, padding, groups=groups, bias=False))
        self.norm = norm(channels[1])
        self.activation = ACTIVATIONS[activation]() if activation else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve, normalise, activate."""
        out: torch.Tensor = self.activation(self.norm(self.conv(self.pad(x))))
        return out
