"""A space as the set of all points that keep its conditions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import RecordError
from modelwright.records import Choice, Point, Space, Value
from modelwright.search.space.domain import Domain, another, belongs
from modelwright.search.space.encoding import nearest_value
from modelwright.search.space.rules import check_space
from modelwright.search.space.tally import Tally


@final
@dataclass(frozen=True)
class Product(Domain):
    """All points of a space: every active choice has one of its values, every inactive one has none.

    Attributes:
        space: the record.

    Raises:
        RecordError: the space contradicts itself.
    """

    space: Space

    def __post_init__(self) -> None:
        check_space(self.space)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The space's, in order."""
        return self.space.choices

    @cached_property
    def _deciders(self) -> frozenset[str]:
        """The choices on which others depend."""
        return frozenset(name for choice in self.choices for name in choice.when)

    @cached_property
    def _tally(self) -> Tally:
        return Tally(self.choices)

    @property
    def size(self) -> int:
        """How many points there are, exactly; counted without listing them."""
        return self._tally.size

    def check(self, point: Point) -> None:
        """Refuse what is no point of the space.

        Raises:
            RecordError: a choice is missing, inactive, unknown, or has a value that is not among its own.
        """
        seen: Point = {}
        for choice in self.choices:
            name, active = choice.name, _active(choice, seen)
            where = f"point of {self.space.name}, {name}"
            if name not in point:
                if active:
                    raise RecordError("an active choice must have a value", where=where, way_out=_known(choice))
                continue
            if not active:
                rule = f"a choice must have no value unless {_conditions(choice)}"
                raise RecordError(rule, where=where, value=point[name], way_out="Leave it out.")
            if not belongs(choice, point[name]):
                rule = "the value must be one of the choice's"
                raise RecordError(rule, where=where, value=point[name], way_out=_known(choice))
            seen[name] = point[name]
        if strangers := sorted(point.keys() - seen.keys()):
            known = f"Its choices: {', '.join(choice.name for choice in self.choices)}."
            rule = "a point must name choices of its space"
            raise RecordError(rule, where=f"point of {self.space.name}", value=strangers[0], way_out=known)

    def sample(self, rng: np.random.Generator, count: int) -> list[Point]:
        """Points drawn one by one, each with equal chance of every point of the space; some may repeat."""
        return [self._tally.draw(rng) for _ in range(count)]

    def mutate(self, point: Point, rng: np.random.Generator, changes: int = 1) -> Point:
        """A point in which `changes` active choices have another value; never the same, unless it is the only one.

        Choices that become active are drawn, those that become inactive are left out.
        """
        free = [choice for choice in self.choices if choice.name in point and len(choice.values) > 1]
        if not free:
            return dict(point)
        picked = rng.choice(len(free), size=min(max(changes, 1), len(free)), replace=False)
        wanted = dict(point)
        for choice in (free[int(place)] for place in picked):
            wanted[choice.name] = another(choice, point[choice.name], rng)
        return self._repair(wanted, _drawn(rng))

    def crossover(self, a: Point, b: Point, rng: np.random.Generator) -> Point:
        """A point that has each choice's value from either parent; from the one that has it, or drawn if none has."""
        sides = rng.random(len(self.choices)) < 0.5
        wanted = {**a, **b}
        for choice, side in zip(self.choices, sides.tolist(), strict=True):
            if side and choice.name in a:
                wanted[choice.name] = a[choice.name]
        return self._repair(wanted, _drawn(rng))

    def neighbours(self, point: Point) -> list[Point]:
        """All points with one choice's value changed; choices that become active take their first value."""
        near = []
        for choice in self.choices:
            for value in choice.values if choice.name in point else ():
                if value != point[choice.name]:
                    changed = {**point, choice.name: value}
                    near.append(self._repair(changed, _first) if choice.name in self._deciders else changed)
        return near

    def enumerate(self, limit: int) -> list[Point] | None:
        """All points, the last choice changing fastest; None if there are more than `limit`."""
        return list(self._all(0, {})) if self.size <= limit else None

    def decode(self, numbers: NDArray[np.float64]) -> list[Point]:
        """The points of rows of numbers, (points, choices): each active choice gets the value that comes nearest."""
        names = [choice.name for choice in self.choices]
        return [self._repair({}, _fitting(dict(zip(names, row, strict=True)))) for row in numbers.tolist()]

    def _repair(self, wanted: Mapping[str, Value], fill: Callable[[Choice], Value]) -> Point:
        """What is wanted, without what is inactive, and with what is missing."""
        point: Point = {}
        for choice in self.choices:
            if _active(choice, point):
                point[choice.name] = wanted[choice.name] if choice.name in wanted else fill(choice)
        return point

    def _all(self, start: int, point: Point) -> Iterator[Point]:
        if start == len(self.choices):
            yield dict(point)
            return
        choice = self.choices[start]
        if not _active(choice, point):
            yield from self._all(start + 1, point)
            return
        for value in choice.values:
            yield from self._all(start + 1, {**point, choice.name: value})


def _active(choice: Choice, point: Point) -> bool:
    """Whether a choice's conditions are met by the choices before it."""
    return all(name in point and point[name] in values for name, values in choice.when.items())


def _drawn(rng: np.random.Generator) -> Callable[[Choice], Value]:
    return lambda choice: choice.values[int(rng.integers(len(choice.values)))]


def _first(choice: Choice) -> Value:
    return choice.values[0]


def _fitting(numbers: Mapping[str, float]) -> Callable[[Choice], Value]:
    return lambda choice: nearest_value(choice, numbers[choice.name])


def _known(choice: Choice) -> str:
    return f"Known: {', '.join(map(repr, choice.values))}."


def _conditions(choice: Choice) -> str:
    return " and ".join(_condition(name, values) for name, values in choice.when.items())


def _condition(name: str, values: Sequence[Value]) -> str:
    return f"{name} is {' or '.join(map(repr, values))}"
