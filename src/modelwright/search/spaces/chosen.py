"""What a maker reads: a point, and what is fixed where the point does not decide."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import final

from modelwright.errors import RecordError
from modelwright.records import Value

Place = tuple[int, int, str]
"""Stage and block, from 1, and the name; 0 for all stages, or all blocks."""


@final
class Chosen:
    """Looks a name up for one block, then for its stage, then for the network; the point goes before what is fixed.

    Args:
        point: what was chosen.
        fixed: what all points have in common.
        known: the names that the maker reads, such as "kernel"; "head" allows "head.width", too.

    Raises:
        RecordError: a name is not known.
    """

    def __init__(self, point: Mapping[str, Value], fixed: Mapping[str, Value], known: Collection[str]) -> None:
        self._values: dict[Place, Value] = {}
        for values in (fixed, point):
            for key, value in values.items():
                for place in places(key):
                    if place[2].partition(".")[0] not in known:
                        rule, way_out = "the maker must know the name", f"It reads {', '.join(sorted(known))}."
                        raise RecordError(rule, where=key, value=place[2], way_out=way_out)
                    self._values[place] = value

    def whole(self, name: str, stage: int = 0, block: int = 0, default: int | None = None) -> int:
        """A whole number.

        Raises:
            RecordError: there is none of that name and no default, or it is something else.
        """
        value = self._get(name, stage, block, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong("a whole number", name, stage, value)
        return value

    def number(self, name: str, stage: int = 0, block: int = 0, default: float | None = None) -> float:
        """A number; errors as of `whole`."""
        value = self._get(name, stage, block, default)
        if isinstance(value, bool | str):
            raise _wrong("a number", name, stage, value)
        return value

    def flag(self, name: str, stage: int = 0, block: int = 0, default: bool | None = None) -> bool:
        """True or false; errors as of `whole`."""
        value = self._get(name, stage, block, default)
        if not isinstance(value, bool):
            raise _wrong("true or false", name, stage, value)
        return value

    def word(self, name: str, stage: int = 0, block: int = 0, default: str | None = None) -> str:
        """A word; errors as of `whole`."""
        value = self._get(name, stage, block, default)
        if not isinstance(value, str):
            raise _wrong("a word", name, stage, value)
        return value

    def _get(self, name: str, stage: int, block: int, default: Value | None) -> Value:
        values = self._values
        for place in ((stage, block, name), (stage, 0, name), (0, 0, name)):
            if place in values:
                return values[place]
        if default is None:
            where = f"stages.{stage}.{name}" if stage else name
            raise RecordError("a value must be chosen or fixed", where=where, way_out="Add a choice, or a fixed value.")
        return default


@lru_cache(maxsize=4096)
def places(key: str) -> tuple[Place, ...]:
    """Where a choice of that name counts: "stages.1-2+4.kernel" in stages 1, 2 and 4."""
    found = re.fullmatch(r"stages\.([\d+-]+)\.(?:blocks\.(\d+)\.)?(.+)", key)
    if not found:
        return ((0, 0, key),)
    runs = [run.partition("-") for run in found[1].split("+")]
    stages = [stage for first, _, last in runs for stage in range(int(first), int(last or first) + 1)]
    return tuple((stage, int(found[2] or 0), found[3]) for stage in stages)


def _wrong(kind: str, name: str, stage: int, value: Value) -> RecordError:
    where = f"stages.{stage}.{name}" if stage else name
    return RecordError(f"the value must be {kind}", where=where, value=value, way_out="Correct the space.")
