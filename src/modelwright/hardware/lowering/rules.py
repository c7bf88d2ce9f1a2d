"""What architectures must keep to be estimated together: the space they are of, and numbers that agree with one another."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from modelwright.errors import ModelwrightError, RecordError, SettingError, ShapeError
from modelwright.hardware.lowering import parts
from modelwright.hardware.lowering.kinds import BLOCK, STEM, Kinds
from modelwright.hardware.table import Index
from modelwright.records.architecture import Architecture, Block, ConvStem, Head, MBConv, PoolHead, Stem

Mask = npt.NDArray[np.bool_]
Size = tuple[int, ...]


def check_space(
    architectures: Sequence[Architecture],
    stems: Sequence[tuple[Stem, Size]],
    blocks: Sequence[Block],
    heads: Sequence[tuple[Head, int, int]],
) -> tuple[list[tuple[ConvStem, Size]], list[MBConv], list[tuple[PoolHead, int, int]]]:
    """The distinct stems, blocks and heads, known to be of the space.

    Raises:
        SettingError: one of them is not.
        RecordError: an image does not have three axes.
    """
    stem = [(part, size) for part, size in stems if isinstance(part, ConvStem)]
    block = [part for part in blocks if isinstance(part, MBConv)]
    head = [(part, classes, width) for part, classes, width in heads if isinstance(part, PoolHead)]
    if len(stem) < len(stems) or len(block) < len(blocks) or len(head) < len(heads):
        for a in architectures:
            for part in (a.stem, *a.blocks, a.head):
                if not isinstance(part, ConvStem | MBConv | PoolHead):
                    raise SettingError(
                        "many at once covers networks of ConvStem, MBConv and PoolHead alone",
                        where=a.name,
                        value=type(part).__name__,
                        way_out="Cost this one by one: hardware.estimate on its traced workload.",
                    )
    for a in architectures if any(len(size) != 3 for _, size in stem) else ():
        if len(a.input) != 3:
            rule = "the input must be (channels, height, width) for this stem"
            raise RecordError(rule, where=f"{a.name}, input", value=a.input, way_out="Correct input, or change the stem.")
    return stem, block, head


def check_images(
    architectures: Sequence[Architecture], kinds: Kinds, row: Index, starts: Index, size: tuple[Index, Index]
) -> None:
    """Refuse numbers that contradict one another, as building the network would.

    Args:
        architectures: all of them, for their names.
        kinds: their distinct parts.
        row: the part at every position.
        starts: each architecture's first position.
        size: height and width that arrive at every position.

    Raises:
        RecordError: channels, kernels or repeats that cannot be.
        ShapeError: an image too small, or one that cannot be split into phases.
    """
    before = np.roll(kinds.leaving[row], 1)
    wrong = (kinds.entering[row] != before) & (kinds.kind[row] != STEM)
    ...
