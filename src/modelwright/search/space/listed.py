"""A table whose rows are the only candidates."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import RecordError, SettingError
from modelwright.records import Choice, Point, Value
from modelwright.search.space.domain import Domain, another
from modelwright.search.space.encoding import INACTIVE, Encoding, encode, scale

Numbers = NDArray[np.float64]
Index = NDArray[np.intp]

FALLBACK = 8
"""How many of the nearest points are neighbours, where none differs in one choice alone."""

_NONE, _UNKNOWN = -1, -2


@final
@dataclass(frozen=True)
class Listed(Domain):
    """The points of a table, and no others.

    How far two points are apart is the sum over all choices: of ordered ones the difference in the encoding, of others
    1 where they differ, and 1 where only one of the two has the choice.

    Attributes:
        columns: the choices; no conditions are known, a point has those that its row fills.
        points: each once.
        rows: (points,), the row of the table that each stands in, counted from 0; empty if they are the same.
        dropped: how many further rows of the table had the choices of an earlier one.

    Raises:
        RecordError: there are no points, two are the same, or one is no point of the choices.
    """

    columns: tuple[Choice, ...]
    points: tuple[Point, ...]
    rows: tuple[int, ...] = ()
    dropped: int = 0
    _places: dict[bytes, int] = field(init=False, repr=False, compare=False)
    _codes: Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.points:
            raise RecordError("a table must hold at least one candidate", value=0, way_out="Give it rows.")
        codes = np.array([self._code(point) for point in self.points], dtype=np.intp)
        places = {row.tobytes(): place for place, row in reversed(list(enumerate(codes)))}
        if len(places) < len(self.points):
            extra = next(place for place, row in enumerate(codes) if places[row.tobytes()] != place)
            rule = "each point must stand once"
            raise RecordError(rule, where=f"points[{extra}]", value=self.points[extra], way_out="Leave out the copies.")
        object.__setattr__(self, "_places", places)
        object.__setattr__(self, "_codes", np.ascontiguousarray(codes.T))

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The table's columns, or what they hold."""
        return self.columns

    @property
    def size(self) -> int:
        """How many points there are."""
        return len(self.points)

    def check(self, point: Point) -> None:
        """Refuse what is not in the table.

        Raises:
            RecordError: a choice is unknown, has a value that no row has, or no row has all of the values together.
        """
        if self._code(point).tobytes() not in self._places:
            rule = "a point must be a row of the table"
            raise RecordError(rule, value=point, way_out="Take the nearest: `nearest` finds it.")

    def place(self, point: Point) -> int:
        """Which of `points` it is.

        Raises:
            RecordError: it is none of them.
        """
        self.check(point)
        return self._places[self._code(point).tobytes()]

    def row(self, point: Point) -> int:
        """The row of the table, counted from 0, in which the point stands (first).

        Raises:
            RecordError: it is not in the table.
        """
        place = self.place(point)
        return self.rows[place] if self.rows else place

    def sample(self, rng: np.random.Generator, count: int) -> list[Point]:
        """Points drawn one by one, each with equal chance of every point of the table; some may repeat."""
        return [dict(self.points[place]) for place in rng.integers(self.size, size=count).tolist()]

    def mutate(self, point: Point, rng: np.random.Generator, changes: int = 1) -> Point:
        """The point of the table nearest to one in which `changes` choices have another value.

        What was changed counts more than all else together; ties are broken at random. Never the same point, unless it
        is the only one.
        """
        free = [i for i, choice in enumerate(self.columns) if choice.name in point and len(choice.values) > 1]
        picked = rng.choice(free, size=min(max(changes, 1), len(free)), replace=False) if free else ()
        code = self._code(point)
        costs = self._costs(self._row(code))
        for i in picked:
            choice = self.columns[i]
            value = another(choice, point[choice.name], rng)
            costs[i] = np.full(len(choice.values) + 1, float(len(self.columns)))
            costs[i][choice.values.index(value)] = 0.0
        return dict(self.points[self._nearest(costs, {self._places[code.tobytes()]}, rng)])

    def crossover(self, a: Point, b: Point, rng: np.random.Generator) -> Point:
        """The point of the table nearest to one that has each choice as either parent has it, but no parent.

        A parent only where the table holds nothing else.
        """
        one, other = self._code(a), self._code(b)
        child = np.where(rng.random(len(one)) < 0.5, one, other)
        parents = {self._places[one.tobytes()], self._places[other.tobytes()]}
        return dict(self.points[self._nearest(self._costs(self._row(child)), parents, rng)])

    def neighbours(self, point: Point) -> list[Point]:
        """The points that differ in one choice, each once; where there are none, the nearest eight."""
        code = self._code(point)
        differences = (self._codes != code[:, None]).sum(axis=0)
        near = np.flatnonzero(differences == 1)
        if not len(near):
            away = self._distances(self._costs(self._row(code)))
            away[self._places[code.tobytes()]] = np.inf
            near = np.argsort(away, kind="stable")[: min(FALLBACK, self.size - 1)]
        return [dict(self.points[place]) for place in near.tolist()]

    def enumerate(self, limit: int) -> list[Point] | None:
        """All points in the table's order; None if there are more than `limit`."""
        return [dict(point) for point in self.points] if self.size <= limit else None

    def nearest(self, row: Numbers, taken: Collection[int] = ()) -> int:
        """Which of `points` comes nearest to a row of an encoding, (choices,); the first of several.

        Args:
            row: any numbers; below 0 where the choice should be inactive.
            taken: places that are out of the question.

        Raises:
            SettingError: all are taken.
        """
        return self._nearest(self._costs(row), taken, None)

    @cached_property
    def encoding(self) -> Encoding:
        """All of `points` as rows of numbers, in their order."""
        return encode(self.columns, self.points)

    @cached_property
    def _scales(self) -> list[Numbers]:
        return [scale(choice) for choice in self.columns]

    @cached_property
    def _categorical(self) -> list[bool]:
        return [not choice.ordered for choice in self.columns]

    @cached_property
    def _numbers(self) -> list[dict[Value, int]]:
        return [{value: number for number, value in enumerate(choice.values)} for choice in self.columns]

    def _code(self, point: Point) -> Index:
        """The number of each choice's value, -1 for none, (choices,)."""
        code = []
        for choice, numbers in zip(self.columns, self._numbers, strict=True):
            number = numbers.get(point[choice.name], _UNKNOWN) if choice.name in point else _NONE
            if number == _UNKNOWN or (number >= 0 and not _alike(choice.values[number], point[choice.name])):
                rule, known = "the value must be in the table's column", ", ".join(map(repr, choice.values[:10]))
                raise RecordError(rule, where=choice.name, value=point[choice.name], way_out=f"Known: {known}.")
            code.append(number)
        if len(point) > len(code) - code.count(_NONE):
            stranger = sorted(point.keys() - {choice.name for choice in self.columns})[0]
            known = f"Its choices: {', '.join(choice.name for choice in self.columns)}."
            raise RecordError("a point must name choices of its table", value=stranger, way_out=known)
        return np.array(code, dtype=np.intp)

    def _row(self, code: Index) -> Numbers:
        """The point's row of an encoding, (choices,)."""
        numbers = code.tolist()
        return np.array([INACTIVE if n == _NONE else read[n] for n, read in zip(numbers, self._scales, strict=True)])

    def _costs(self, row: Numbers) -> list[Numbers]:
        """Of each choice: how far each value, and last none, is away from what a row of an encoding says."""
        costs = []
        for number, read, named in zip(row.tolist(), self._scales, self._categorical, strict=True):
            cost = np.ones(len(read) + 1)
            if number < 0:
                cost[_NONE] = 0.0
            elif named:
                cost[min(round(number), len(read) - 1)] = 0.0
            else:
                np.abs(read - number, out=cost[:_NONE])
            costs.append(cost)
        return costs

    def _distances(self, costs: Sequence[Numbers]) -> Numbers:
        away = np.zeros(self.size)
        for cost, codes in zip(costs, self._codes, strict=True):
            away += cost[codes]
        return away

    def _nearest(self, costs: Sequence[Numbers], taken: Collection[int], rng: np.random.Generator | None) -> int:
        """The place of the least distance that is not taken (if it can be); of several any one, or the first."""
        away = self._distances(costs)
        if len(taken) < self.size:
            away[list(taken)] = np.inf
        elif rng is None:
            rule, way_out = "a point must be left that is not taken", "The table is exhausted: stop."
            raise SettingError(rule, value=len(taken), way_out=way_out)
        ties = np.flatnonzero(away <= away.min() + 1e-9)
        return int(ties[0] if rng is None else rng.choice(ties))


def _alike(a: Value, b: Value) -> bool:
    """Whether two equal values are of one kind; yes and no are not 1 and 0."""
    return isinstance(a, bool) == isinstance(b, bool)
