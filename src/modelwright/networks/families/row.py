"""Baseline rows: how papers write a stage of inverted bottlenecks, before scaling; and what becomes of them.

Source of the rules, those of space-to-depth among them: EfficientNet-X (2021, arXiv 2102.05610) and its released code.
"""

from collections.abc import Iterable

import msgspec

from modelwright.networks.families.scaling import Scaling, round_depth, round_width
from modelwright.records.architecture import Activation, MBConv, Reshape, Stage, Stride


class Row(msgspec.Struct, frozen=True):
    """One stage of a baseline.

    Attributes:
        repeats: blocks at depth 1.
        kernel, stride: of the convolution; only the first block strides.
        expansion: hidden channels over the block's input channels.
        in_channels, out_channels: at width 1, as if no space-to-depth had happened.
        squeeze_ratio: squeeze-and-excitation's inner width over the block's input channels, 0 for none.
        fused: whether one k x k convolution stands for the 1x1 expansion and the depthwise convolution.
        activation: in the whole block, squeeze-and-excitation included.
        reshape: "space-to-depth" halves the resolution at the stage's begin and quadruples its channels, until the
            next stride; "space-to-batch" concerns each block that can take it.
    """

    repeats: int
    kernel: int
    stride: Stride
    expansion: float
    in_channels: int
    out_channels: int
    squeeze_ratio: float = 0.25
    fused: bool = False
    activation: Activation = "swish"
    reshape: Reshape = "none"


def stages_of(rows: Iterable[Row], scaling: Scaling) -> tuple[Stage, ...]:
    """The rows at a scale, as stages of equal blocks: the first block of each row, then the rest of it.

    Under space-to-depth, channels are four times the row's, the kernel is (k + 1) // 2, and the next stride is left out
    because the resolution is halved already; the first squeeze-and-excitation still follows the row's own channels.
    """
    stages: list[Stage] = []
    merged = False
    for row in rows:
        first, merged = _first(row, scaling, merged)
        rest = _rest(row, scaling, merged)
        repeats = round_depth(row.repeats, scaling.depth)
        if first == rest:
            stages.append(Stage(first, repeats))
            continue
        stages.append(Stage(first))
        if repeats > 1:
            stages.append(Stage(rest, repeats - 1))
    return tuple(stages)


def _first(row: Row, scaling: Scaling, merged: bool) -> tuple[MBConv, bool]:
    """The row's first block, and whether channels are still merged after it."""
    enters = row.reshape == "space-to-depth" and not merged
    nominal = round_width(row.in_channels, scaling.width)
    leaves = (merged or enters) and row.stride == 2
    stays = (merged or enters) and not leaves
    factor = 4 if stays else 1
    squeeze = _squeeze(nominal * factor, row, scaling)
    block = MBConv(
        in_channels=nominal * 4 if merged else nominal,
        hidden=int(nominal * factor * row.expansion),
        out_channels=round_width(row.out_channels, scaling.width) * factor,
        kernel=(row.kernel + 1) // 2 if stays else row.kernel,
        stride=1 if leaves else row.stride,
        fused=row.fused,
        squeeze=max(1, squeeze // 4) if enters and squeeze else squeeze,
        activation=row.activation,
        squeeze_activation=row.activation,
        reshape="space-to-depth" if enters else "none" if row.reshape == "space-to-depth" else row.reshape,
    )
    return block, stays


def _rest(row: Row, scaling: Scaling, merged: bool) -> MBConv:
    """Each further block of the row."""
    channels = round_width(row.out_channels, scaling.width) * (4 if merged else 1)
    return MBConv(
        in_channels=channels,
        hidden=int(channels * row.expansion),
        out_channels=channels,
        kernel=(row.kernel + 1) // 2 if merged else row.kernel,
        fused=row.fused,
        squeeze=_squeeze(channels, row, scaling),
        activation=row.activation,
        squeeze_activation=row.activation,
        reshape="none" if row.reshape == "space-to-depth" else row.reshape,
    )


def _squeeze(channels: int, row: Row, scaling: Scaling) -> int:
    ratio = row.squeeze_ratio * scaling.se_coefficient
    return max(1, int(channels * ratio)) if ratio else 0
