"""Reshaping before convolutions: space-to-depth (learned) and space-to-batch (parameter-free).

Source: Li et al., 2021, arXiv 2102.05610: both trade resolution for an axis that fills an accelerator's matrix units.
"""

from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import ACTIVATIONS, BatchNorm
from modelwright.networks.blocks.initialise import fan_out
from modelwright.records.architecture import Activation


@final
class SpaceToDepth(nn.Module):
    """Learned 2x2 stride-2 convolution, norm, activation: (N, C, H, W) -> (N, 4 C, ceil(H / 2), ceil(W / 2))."""

    def __init__(self, channels: int, norm: BatchNorm, activation: Activation) -> None:
        super().__init__()
        self.conv = fan_out(nn.Conv2d(channels, 4 * channels, 2, 2, bias=False))
        self.norm = norm(4 * channels)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve, normalise, activate; an odd side is padded after with one row or column of zeros."""
        odd_height, odd_width = x.shape[2] % 2, x.shape[3] % 2
        if odd_height or odd_width:
            x = nn.functional.pad(x, (0, odd_width, 0, odd_height))
        out: torch.Tensor = self.activation(self.norm(self.conv(x)))
        return out


def space_to_batch(x: torch.Tensor) -> torch.Tensor:
    """The four phases of each image as four images: (N, C, H, W) -> (4 N, C, H / 2, W / 2), phase by phase."""
    n, c, h, w = x.shape
    phases = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(3, 5, 0, 1, 2, 4)
    return phases.reshape(4 * n, c, h // 2, w // 2)


def batch_to_space(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `space_to_batch`: (4 N, C, H, W) -> (N, C, 2 H, 2 W)."""
    n, c, h, w = x.shape
    images = x.reshape(2, 2, n // 4, c, h, w).permute(2, 3, 4, 0, 5, 1)
    return images.reshape(n // 4, c, 2 * h, 2 * w)
