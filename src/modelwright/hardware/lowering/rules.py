"""What architectures must keep to be estimated together: the space they are of, and numbers that agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelwright.errors import ModelwrightError, RecordError, SettingError, ShapeError
from modelwright.hardware.lowering import parts
from modelwright.hardware.lowering.kinds import BLOCK, STEM, Kinds
from modelwright.hardware.table import Index
from modelwright.records.architecture import Architecture, Block, ConvStem, Head, MBConv, PoolHead, Stem

ONE_BY_ONE = "Cost this one by one: hardware.estimate on its traced workload."

Mask = npt.NDArray[np.bool_]
Size = tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """Positions, architecture after architecture.

    Attributes:
        row: the part in `Kinds` at every position.
        starts: each architecture's first position.
        repeats: of the stage at every position.
        height, width: of the image that arrives at every position.
    """

    row: Index
    starts: Index
    repeats: Index
    height: Index
    width: Index


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


def check_numbers(architectures: Sequence[Architecture], kinds: Kinds, line: Line) -> None:
    """Refuse numbers that contradict one another, as building the network would.

    Raises:
        RecordError: channels, kernels, widths or repeats that cannot be.
        ShapeError: an image too small, or one that cannot be split into phases.
        SettingError: phases of one pixel, which leave their block in an order that only a trace knows.
    """
    for mask, error, rule in (*_of_parts(kinds, line), *_of_images(kinds, line)):
        if mask.any():
            position = int(np.argmax(mask))
            which = int(np.searchsorted(line.starts, position, side="right")) - 1
            number = position - int(line.starts[which]) - 1
            where = architectures[which].name + (f", block {number}" if number >= 0 else "")
            raise error(rule, where=where, way_out=ONE_BY_ONE if error is SettingError else "")


def _of_parts(kinds: Kinds, line: Line) -> Iterator[tuple[Mask, type[ModelwrightError], str]]:
    """Where a part breaks a rule by itself or against the one before it."""
    row, stems, blocks = line.row, kinds.stems, kinds.blocks
    fine = np.zeros(len(kinds.heads["classes"]), dtype=bool)
    even = np.concatenate([stems["kernel"] % 2 == 0, (blocks["kernel"] % 2 == 0) & (blocks["stride"] > 1), fine])
    yield even[row], RecordError, "a kernel must be odd where it strides, to be padded evenly"
    narrow = (blocks["hidden"] == 0) & ((blocks["fused"] == 0) | (blocks["squeeze"] > 0))
    narrow = np.concatenate([np.zeros(len(stems["kernel"]), dtype=bool), narrow, fine])
    yield narrow[row], RecordError, "hidden must be at least 1 unless the block is fused and has no squeeze"
    changed = (kinds.entering[row] != np.roll(kinds.leaving[row], 1)) & (kinds.kind[row] != STEM)
    yield changed, RecordError, "in_channels must be the channels that arrive"
    shrinking = (line.repeats > 1) & (kinds.shift[row] > 0)
    yield shrinking, RecordError, "a block that repeats must keep its input's shape"


def _of_images(kinds: Kinds, line: Line) -> Iterator[tuple[Mask, type[ModelwrightError], str]]:
    """Where an image cannot be what a part takes."""
    height, width = line.height, line.width
    phases = np.ones_like(kinds.kind)
    phases[kinds.kind == BLOCK] = np.where(kinds.blocks["reshape"] == parts.SPLIT, 2 * kinds.blocks["stride"], 1)
    divisor = phases[line.row]
    odd = (height % divisor > 0) | (width % divisor > 0)
    yield odd, ShapeError, "space-to-batch needs a height and width that twice the stride divides"
    single = (divisor > 1) & (height == divisor) & (width == divisor)
    yield single, SettingError, "space-to-batch must leave phases of more than one pixel to be costed with many"
    least = 1 << np.add.reduceat(kinds.shift[line.row], line.starts)
    small = np.minimum(height, width)[line.starts] < least
    counts = np.diff(line.starts, append=len(line.row))
    yield np.repeat(small, counts), ShapeError, "height and width must be at least the product of all strides"
