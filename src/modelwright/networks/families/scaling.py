"""Compound scaling: one set of coefficients for width, depth and resolution, and how their products are rounded.

Source: EfficientNet (2019, arXiv 1905.11946) and its released code; the coefficient of squeeze-and-excitation is
EfficientNet-X's (2021, arXiv 2102.05610).
"""

import math

import msgspec


class Scaling(msgspec.Struct, frozen=True):
    """What a baseline is multiplied by.

    Attributes:
        width: of all channels.
        depth: of all repeats.
        resolution: side of the square input in pixels.
        dropout: before the classifier, in training.
        se_coefficient: of the squeeze-and-excitation's ratio.
    """

    width: float = 1.0
    depth: float = 1.0
    resolution: int = 224
    dropout: float = 0.2
    se_coefficient: float = 1.0


def round_width(channels: float, width: float = 1.0, divisor: int = 8) -> int:
    """`channels` times `width` to the nearest multiple of `divisor`, at least one of it, never more than 10 % below."""
    wanted = channels * width
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


def round_depth(repeats: int, depth: float = 1.0) -> int:
    """`repeats` times `depth`, rounded up."""
    return math.ceil(depth * repeats)
