"""The plan that residual bottleneck networks share: each stage halves the image in its first block."""

from collections.abc import Iterable

import msgspec

from modelwright.records.architecture import Bottleneck, Stage


def bottleneck_stages(
    firsts: Iterable[Bottleneck], repeats: Iterable[int], squeeze_ratio: float = 0
) -> tuple[Stage, ...]:
    """For each first block, that block and then the ones that keep its output's shape.

    Args:
        firsts: the block that begins each stage.
        repeats: how many blocks each stage has, the first included.
        squeeze_ratio: squeeze-and-excitation's inner width over a block's input channels; 0 keeps the first block's.
    """
    stages: list[Stage] = []
    for first, count in zip(firsts, repeats, strict=True):
        stages.append(Stage(first))
        if count > 1:
            squeeze = round(first.out_channels * squeeze_ratio) or first.squeeze
            rest = msgspec.structs.replace(first, in_channels=first.out_channels, stride=1, squeeze=squeeze)
            stages.append(Stage(rest, count - 1))
    return tuple(stages)
