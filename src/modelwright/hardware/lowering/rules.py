"""What architectures must keep to be estimated together: the space they are of, and numbers that agree."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from modelwright.errors import ModelwrightError, RecordError, SettingError, ShapeError
from modelwright.hardware.lowering import parts
from modelwright.hardware.lowering.kinds import STEM, Kinds
from modelwright.hardware.table import Index
from modelwright.records.architecture import Architecture, Block, ConvStem, Head, MBConv, PoolHead, Stem

ONE_BY_ONE = "Cost this one by one: hardware.estimate on its traced workload."

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
                        way_out=ONE_BY_ONE,
                    )
    for a in architectures if any(len(size) != 3 for _, size in stem) else ():
        if len(a.input) != 3:
            rule = "the input must be (channels, height, width) for this stem"
            raise RecordError(
                rule, where=f"{a.name}, input", value=a.input, way_out="Correct input, or change the stem."
            )
    return stem, block, head


def check_numbers(
    architectures: Sequence[Architecture],
    kinds: Kinds,
    row: Index,
    starts: Index,
    repeats: Index,
    size: tuple[Index, Index],
) -> None:
    """Refuse numbers that contradict one another, as building the network would.

    Args:
        architectures: all of them, for their names.
        kinds: their distinct parts.
        row: the part at every position.
        starts: each architecture's first position.
        repeats: of the stage at every position.
        size: height and width that arrive at every position.

    Raises:
        RecordError: channels, kernels, widths or repeats that cannot be.
        ShapeError: an image too small, or one that cannot be split into phases.
        SettingError: phases of one pixel, which leave their block in an order that only a trace knows.
    """
    stems, blocks = kinds.stems, kinds.blocks
    fine = np.zeros(len(kinds.heads["classes"]), dtype=bool)
    even = np.concatenate([stems["kernel"] % 2 == 0, (blocks["kernel"] % 2 == 0) & (blocks["stride"] > 1), fine])
    narrow = (blocks["hidden"] == 0) & ((blocks["fused"] == 0) | (blocks["squeeze"] > 0))
    phases = np.where(blocks["reshape"] == parts.SPLIT, 2 * blocks["stride"], 1)
    divisor = np.concatenate([np.ones_like(stems["kernel"]), phases, np.ones_like(kinds.heads["classes"])])[row]
    counts = np.diff(starts, append=len(row))
    least = 1 << np.add.reduceat(kinds.shift[row], starts)
    smallest = np.minimum(size[0][starts], size[1][starts])
    broken: tuple[tuple[Mask, type[ModelwrightError], str], ...] = (
        (even[row], RecordError, "a kernel must be odd where it strides, to be padded evenly"),
        (
            np.concatenate([np.zeros_like(stems["kernel"], dtype=bool), narrow, fine])[row],
            RecordError,
            "hidden must be at least 1 unless the block is fused and has no squeeze",
        ),
        (
            (kinds.entering[row] != np.roll(kinds.leaving[row], 1)) & (kinds.kind[row] != STEM),
            RecordError,
            "in_channels must be the channels that arrive",
        ),
        ((repeats > 1) & (kinds.shift[row] > 0), RecordError, "a block that repeats must keep its input's shape"),
        (
            (size[0] % divisor > 0) | (size[1] % divisor > 0),
            ShapeError,
            "space-to-batch needs a height and width that twice the stride divides",
        ),
        (
            (divisor > 1) & (size[0] == divisor) & (size[1] == divisor),
            SettingError,
            "space-to-batch must leave phases of more than one pixel to be costed with many",
        ),
        (
            np.repeat(smallest < least, counts),
            ShapeError,
            "height and width must be at least the product of all strides",
        ),
    )
    for mask, error, rule in broken:
        if mask.any():
            position = int(np.argmax(mask))
            which = int(np.searchsorted(starts, position, side="right")) - 1
            number = position - int(starts[which]) - 1
            where = architectures[which].name + (f", block {number}" if number >= 0 else "")
            raise error(rule, where=where, way_out=ONE_BY_ONE if error is SettingError else "")
