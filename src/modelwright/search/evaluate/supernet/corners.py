"""The largest networks of a space: together they hold every weight that any of its networks has."""

import re
from itertools import product

import numpy as np

from modelwright.records import Choice, Point, Space
from modelwright.search.space import Product
from modelwright.search.space.encoding import scale

_FORMS = {"expansion", "space_to_depth", "stride"}
"""Numbers that decide which weights there are, and not only how many."""


def corners(space: Space) -> list[Point]:
    """Points at which all that only enlarges is at its largest, one for each way of the rest; the largest forms last.

    The rest is what decides a block's form, such as whether it is fused. What one stage does with it is independent of
    what the others do, so all do the same.
    """
    kinds: dict[str, int] = {}
    for choice in space.choices:
        kind = _kind(choice)
        if _decides(choice):
            kinds[kind] = max(kinds.get(kind, 0), len(choice.values))
    rows = []
    for places in product(*(range(count) for count in kinds.values())):
        wanted = dict(zip(kinds, places, strict=True))
        rows.append([_number(choice, wanted.get(_kind(choice))) for choice in space.choices])
    return Product(space).decode(np.array(rows))


def _kind(choice: Choice) -> str:
    """A choice's name without its stages and blocks."""
    return re.sub(r"^stages\.[\d+-]+\.(blocks\.\d+\.)?", "", choice.name)


def _decides(choice: Choice) -> bool:
    kind = _kind(choice)
    return kind in _FORMS if choice.ordered else not kind.endswith("activation")


def _number(choice: Choice, place: int | None) -> float:
    """What the choice reads in an encoding: the value of that place, or the last one."""
    return float(scale(choice)[-1 if place is None else min(place, len(choice.values) - 1)])
