"""Real numbers as whole ones and back, and what is lost on the way.

q = clamp(round(x / scale) + zero_point, lowest, highest), and back x = (q - zero_point) * scale. Sources: Jacob et al.,
2017, arXiv 1712.05877; Krishnamoorthi, 2018, arXiv 1806.08342. Scales and zero points are those that PyTorch's and
torchao's observers compute, to the bit.

A scale has the shape (1,) for a tensor, (channels,) for channels, and (..., last axis / group) for groups.
"""

import math

import numpy as np
import torch
from torch import Tensor

from modelwright.errors import RecordError, SettingError
from modelwright.records import Histogram, Scheme

EPS = torch.finfo(torch.float32).eps
"""The least scale, as in PyTorch: it keeps a tensor of zeros from being divided by zero."""


def ranges(x: Tensor, scheme: Scheme, axis: int = 0) -> tuple[Tensor, Tensor]:
    """The least and the greatest number that share a scale: of the tensor, of each channel or of each group.

    Args:
        x: of any shape.
        scheme: says what shares a scale.
        axis: of the channels; counts only with that granularity.

    Raises:
        RecordError: a number is not finite, or there is none.
        SettingError: the last axis cannot be cut into groups.
    """
    if not x.numel() or not bool(torch.isfinite(x).all()):
        way_out = "Look for NaN, infinity or nothing at all in the tensor."
        raise RecordError("a range needs finite numbers", where=f"tensor of shape {tuple(x.shape)}", way_out=way_out)
    x = x.detach().to(torch.float32)
    if scheme.granularity == "tensor":
        rows = x.reshape(1, -1)
    elif scheme.granularity == "channel":
        rows = x.movedim(axis, 0).flatten(1) if x.ndim > 1 else x.reshape(-1, 1)
    else:
        _check_groups(x, scheme)
        rows = x.reshape(*x.shape[:-1], -1, scheme.group)
    low, high = torch.aminmax(rows, dim=-1)
    return low, high


def parameters(low: Tensor, high: Tensor, scheme: Scheme, eps: float = EPS) -> tuple[Tensor, Tensor]:
    """Scale and zero point for ranges, which are widened to hold zero, so that zero is represented exactly.

    Symmetric, the scale is the greater end over half the whole numbers' span, and the zero point the middle, rounded
    down. Affine, the scale is the range over the span, and the zero point where zero falls.

    Args:
        low: the low ends.
        high: the high ends, of the same shape.
        scheme: what they are for.
        eps: the least scale.

    Returns:
        Scales in float32 and zero points in int32, of the same shape.
    """
    low = low.to(torch.float32).clamp(max=0.0)
    high = high.to(torch.float32).clamp(min=0.0)
    span = float(scheme.highest - scheme.lowest)
    if scheme.symmetric:
        scale = (torch.maximum(-low, high) / (span / 2)).clamp(min=eps)
        middle = 0 if scheme.signed else (scheme.lowest + scheme.highest) // 2
        return scale, torch.full_like(scale, middle, dtype=torch.int32)
    scale = ((high - low) / span).clamp(min=eps)
    zero_point = scheme.lowest - torch.round(low / scale).to(torch.int32)
    return scale, zero_point.clamp(scheme.lowest, scheme.highest)


def quantize(x: Tensor, scale: Tensor, zero_point: Tensor, scheme: Scheme, axis: int = 0) -> Tensor:
    """Whole numbers for real ones, int8 or uint8; halves are rounded to even, as kernels do."""
    whole = _unclamped(x, scale, zero_point, scheme, axis).clamp(scheme.lowest, scheme.highest)
    return whole.to(torch.int8 if scheme.signed else torch.uint8)


def dequantize(q: Tensor, scale: Tensor, zero_point: Tensor, scheme: Scheme, axis: int = 0) -> Tensor:
    """The real numbers that whole ones stand for, in float32."""
    return (q.to(torch.float32) - _spread(zero_point, q, scheme, axis)) * _spread(scale, q, scheme, axis)


def fake_quantize(x: Tensor, scale: Tensor, zero_point: Tensor, scheme: Scheme, axis: int = 0) -> Tensor:
    """Quantized and back, in float32: what the network computes with. Its gradient is zero."""
    return dequantize(quantize(x, scale, zero_point, scheme, axis), scale, zero_point, scheme, axis)


def saturation(x: Tensor, scale: Tensor, zero_point: Tensor, scheme: Scheme, axis: int = 0) -> float:
    """Share of numbers beyond the range: those that clamping moves by a step or more; 0 for no numbers."""
    whole = _unclamped(x, scale, zero_point, scheme, axis)
    beyond = ((whole < scheme.lowest) | (whole > scheme.highest)).sum().item()
    return beyond / max(1, x.numel())


def mse(reference: Tensor, other: Tensor) -> float:
    """Mean squared difference of two tensors of one shape.

    Raises:
        SettingError: their shapes differ.
    """
    return _squared_difference(reference, other) / max(1, reference.numel())


def sqnr_db(reference: Tensor, other: Tensor) -> float:
    """Signal to quantization noise in decibels, 10 log10(sum x^2 / sum (x - y)^2); infinite where nothing differs.

    Raises:
        SettingError: their shapes differ.
    """
    noise = _squared_difference(reference, other)
    signal = float(reference.detach().to(torch.float64).square().sum())
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def histogram(x: Tensor, bins: int = 64, ends: tuple[float, float] | None = None) -> Histogram:
    """How often a tensor's numbers lie in each of equally wide bins; the counts add up to all of them.

    Args:
        x: of any shape.
        bins: how many.
        ends: of the first and the last bin, which also count what lies beyond; None for least and greatest.

    Raises:
        RecordError: a number is not finite, or there is none.
        SettingError: there is no bin, or the ends are no range.
    """
    whole = Scheme()
    low, high = ends if ends is not None else (float(end) for end in ranges(x, whole))
    if ends is None and low == high:  # all alike: one bin of some width around them
        margin = max(abs(low), 1.0) / 2
        low, high = low - margin, high + margin
    if bins < 1 or not low < high:
        raise SettingError("a histogram needs a bin and a range", where="histogram", value=(bins, low, high))
    if ends is not None:
        ranges(x, whole)
    numbers = x.detach().to(torch.float64).cpu().clamp(low, high).numpy()
    counts, _ = np.histogram(numbers, bins, (low, high))
    return Histogram(low, high, tuple(counts.tolist()))


def _unclamped(x: Tensor, scale: Tensor, zero_point: Tensor, scheme: Scheme, axis: int) -> Tensor:
    steps = x.to(torch.float32) * (1.0 / _spread(scale, x, scheme, axis))
    return torch.round(steps) + _spread(zero_point, x, scheme, axis)


def _spread(value: Tensor, x: Tensor, scheme: Scheme, axis: int) -> Tensor:
    """Scales or zero points, shaped so that they meet the numbers that share them."""
    if scheme.granularity == "tensor":
        return value.reshape(())
    if scheme.granularity == "channel":
        shape = [1] * x.ndim
        shape[axis] = -1
        return value.reshape(shape)
    _check_groups(x, scheme)
    return value.repeat_interleave(scheme.group, dim=-1)


def _check_groups(x: Tensor, scheme: Scheme) -> None:
    if x.ndim < 1 or x.shape[-1] % scheme.group:
        rule = f"the last axis must be a multiple of the group of {scheme.group}"
        raise SettingError(rule, where="scheme", value=tuple(x.shape), way_out="Take a group that divides it.")


def _squared_difference(reference: Tensor, other: Tensor) -> float:
    if reference.shape != other.shape:
        raise SettingError("tensors that are compared must have one shape", value=(reference.shape, other.shape))
    return float((reference.detach().to(torch.float64) - other.detach().to(torch.float64)).square().sum())
