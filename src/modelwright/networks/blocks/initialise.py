"""Initial weights, as the papers' released codes draw them; on the meta device there is nothing to draw."""

import math

import torch
from torch import nn


def fan_out(layer: nn.Conv2d) -> nn.Conv2d:
    """Normal, variance 2 / (taps x output channels a group); bias 0 (He et al., 2015, arXiv 1502.01852)."""
    taps = layer.kernel_size[0] * layer.kernel_size[1]
    if not layer.weight.is_meta:
        nn.init.normal_(layer.weight, std=math.sqrt(2.0 * layer.groups / (taps * layer.out_channels)))
    _clear(layer.bias)
    return layer


def uniform(layer: nn.Linear) -> nn.Linear:
    """Uniform within 1 / sqrt(outputs); bias 0; what EfficientNet's classifier starts from."""
    bound = 1.0 / math.sqrt(layer.out_features)
    nn.init.uniform_(layer.weight, -bound, bound)
    _clear(layer.bias)
    return layer


def truncated_normal(tensor: torch.Tensor, deviation: float = 0.02) -> torch.Tensor:
    """Fill a tensor from a normal distribution cut off at two deviations."""
    if not tensor.is_meta:
        nn.init.trunc_normal_(tensor, std=deviation, a=-2 * deviation, b=2 * deviation)
    return tensor


def truncated(layer: nn.Linear, scale: float = 1.0) -> nn.Linear:
    """Truncated normal with deviation 0.02 x `scale`; bias 0; what transformers start from."""
    truncated_normal(layer.weight, 0.02 * scale)
    _clear(layer.bias)
    return layer


def _clear(bias: torch.Tensor | None) -> None:
    if bias is not None:
        nn.init.zeros_(bias)
