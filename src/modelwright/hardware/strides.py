"""What the order of a tensor's elements in memory means for who reads it."""

import itertools
import math

from modelwright.records import Tensor

SECTOR = 32
"""Bytes that a GPU's second-level cache moves at least."""


def stacks(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether all axes but the last two lie evenly one after another, so that they can be walked as one."""
    if not strides:
        return True
    lead = [(axis, step) for axis, step in zip(shape[:-2], strides[:-2], strict=True) if axis > 1]
    even = all(outer[1] == inner[0] * inner[1] for outer, inner in itertools.pairwise(lead))
    return even and min(strides[-2:]) <= 1


def sector_bytes(tensor: Tensor, order: tuple[int, ...], width: int) -> float:
    """Bytes of 32-byte sectors that reading a tensor in another tensor's order touches; 0 where both run alike.

    PyTorch's element-wise kernels walk their output in its memory order. Where the input's neighbours lie elsewhere,
    every element costs a sector of its own, or as many as the output's innermost axis is long (CUDA C++ best practices
    guide, "Strided accesses").
    """
    shape = tensor.shape
    innermost = _innermost(shape, order) if order else max((a for a, n in enumerate(shape) if n > 1), default=0)
    step = tensor.strides[innermost] if tensor.strides else math.prod(shape[innermost + 1 :])
    if step <= 1:
        return 0.0
    return tensor.size * width * min(shape[innermost], SECTOR / width)


def _innermost(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    return min((axis for axis, length in enumerate(shape) if length > 1), key=lambda axis: strides[axis], default=0)
