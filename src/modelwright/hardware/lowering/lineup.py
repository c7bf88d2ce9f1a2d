"""Architectures as rows of parts: stem, blocks, head; equal parts at equal image sizes are found and kept once."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from modelwright.hardware.lowering import parts
from modelwright.hardware.lowering.kinds import Kinds, kinds
from modelwright.hardware.lowering.rules import Line, check_numbers, check_space
from modelwright.hardware.table import Index
from modelwright.records.architecture import Architecture

T = TypeVar("T")


@dataclass(frozen=True)
class Places:
    """Distinct parts: a row of `Kinds` at an image size between two neighbours.

    Attributes:
        row: which stem, block or head.
        height, width: of the image that arrives.
        entry: 1 + the ending of the part before; 0 where it does not matter.
        beginning, pad_height, pad_width, adds: how the part after begins; all 0 where it does not matter.
    """

    row: Index
    height: Index
    width: Index
    entry: Index
    beginning: Index
    pad_height: Index
    pad_width: Index
    adds: Index


@dataclass(frozen=True)
class Lineup:
    """Which place stands where: `place` of every position, `starts` the first position of each architecture."""

    kinds: Kinds
    places: Places
    place: Index
    starts: Index


def line_up(architectures: Sequence[Architecture], *, joins: bool) -> Lineup:
    """Take architectures apart.

    Args:
        architectures: at least one.
        joins: whether the beginning of one part may run together with the end of the one before.

    Raises:
        SettingError: a stem, block or head is of another space.
        RecordError: numbers of an architecture contradict one another.
        ShapeError: an architecture cannot take its image.
    """
    stems, stem = _distinct((a.stem, a.input) for a in architectures)
    stages, stage = _distinct(itertools.chain.from_iterable(a.stages for a in architectures))
    heads, head = _distinct((a.head, a.classes, a.stages[-1].block.out_channels) for a in architectures)
    blocks, block = _distinct(s.block for s in stages)
    found = kinds(*check_space(architectures, stems, blocks, heads))
    lengths = np.array([len(a.stages) for a in architectures])
    first = np.cumsum(lengths + 2) - lengths - 2  # of every architecture's items: stem, stages, head
    items, repeats = np.empty((2, len(stage) + 2 * len(architectures)), dtype=np.int64)
    inner = np.ones(len(items), dtype=bool)
    inner[first] = inner[first + lengths + 1] = False
    items[first], items[first + lengths + 1] = stem, head + len(stems) + len(blocks)
    items[inner] = block[stage] + len(stems)
    repeats[...] = 1
    repeats[inner] = np.array([s.repeats for s in stages])[stage]
    row, starts = np.repeat(items, repeats), (np.cumsum(repeats) - repeats)[first]
    counts = np.diff(starts, append=len(row))
    halved = np.cumsum(found.shift[row]) - found.shift[row]
    halved -= np.repeat(halved[starts], counts)
    sides = (found.stems[side][stem] for side in ("height", "width"))
    height, width = (-(-np.repeat(side, counts) >> halved) for side in sides)  # rounded up
    check_numbers(architectures, found, Line(row, starts, np.repeat(repeats, repeats), height, width))
    places, place = _places(found, row, (height, width), joins)
    return Lineup(found, places, place, starts)


def _distinct(found: Iterable[T]) -> tuple[list[T], Index]:
    """Distinct values in the order in which they first occur, and which of them each value is."""
    known: defaultdict[T, int] = defaultdict(itertools.count().__next__)
    which = np.fromiter(map(known.__getitem__, found), dtype=np.int64)
    return list(known), which


def _places(found: Kinds, row: Index, size: tuple[Index, Index], joins: bool) -> tuple[Places, Index]:
    """Distinct places, and which of them each position is."""
    fields = [row, *size]
    if joins and (found.beginning.any() or found.merges.any()):
        fields += _borders(found, row, size)
    radix = [int(field.max()) + 1 for field in fields]
    key = fields[0]
    for field, base in zip(fields[1:], radix[1:], strict=True):
        key = key * base + field
    distinct, place = np.unique(key, return_inverse=True)
    columns: list[Index] = []
    for base in reversed(radix):
        distinct, column = np.divmod(distinct, base)
        columns.insert(0, column)
    columns += [np.zeros_like(columns[0])] * (8 - len(columns))
    return Places(*columns), place


def _borders(found: Kinds, row: Index, size: tuple[Index, Index]) -> list[Index]:
    """Entry, beginning, paddings and addition of `Places`: what two parts must know of each other, 0 where nothing."""
    height, width = size
    merges, padding = found.merges[row], found.padding[row]
    pads = [np.where(merges, side % 2, padding) for side in (height, width)]
    begins = np.where((pads[0] > 0) | (pads[1] > 0), parts.PADDED, found.beginning[row])
    entry = np.where(begins != parts.PLAIN, 1 + np.roll(found.ending[row], 1), 0)
    leaving = [np.roll(column, -1) for column in (begins, *pads, found.adds[row] * (begins != parts.PLAIN))]
    return [entry, *leaving]
