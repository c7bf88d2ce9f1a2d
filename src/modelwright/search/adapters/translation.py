"""Between the points of a domain and the flat lists of numbers that other libraries search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from modelwright.records import Choice, Point, Value
from modelwright.search.space import Domain, Listed, Product


@final
@dataclass(frozen=True)
class Translation:
    """A domain as other libraries see it: numbered values, and conditions under which a choice counts.

    Attributes:
        domain: whose points are meant.
    """

    domain: Domain

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """The domain's, those of a table with the conditions that hold in all of its rows."""
        if not isinstance(self.domain, Listed):
            return self.domain.choices
        return tuple(_with_condition(self.domain, choice) for choice in self.domain.choices)

    def point(self, values: Mapping[str, Value]) -> Point:
        """The point of the domain that values mean, or that comes nearest; inactive choices are passed over."""
        meant: dict[str, Value] = {}
        for choice in self.choices:
            if active(choice, meant):
                meant[choice.name] = values[choice.name]
        row = self.domain.encode([meant]).numbers[0]
        if isinstance(self.domain, Listed):
            return dict(self.domain.points[self.domain.nearest(row)])
        return self.domain.decode(row[None])[0] if isinstance(self.domain, Product) else meant

    def numbered(self, places: Sequence[int] | np.ndarray) -> Point:
        """The point that the places of its values mean, one place a choice."""
        pairs = zip(self.choices, places, strict=True)
        return self.point({choice.name: choice.values[int(place)] for choice, place in pairs})

    def places(self, point: Point) -> list[int]:
        """The place of each choice's value; 0 where it is inactive."""
        return [choice.values.index(point[choice.name]) if choice.name in point else 0 for choice in self.choices]


def active(choice: Choice, chosen: Mapping[str, Value]) -> bool:
    """Whether a choice's conditions are met."""
    return all(name in chosen and chosen[name] in values for name, values in choice.when.items())


def _with_condition(table: Listed, choice: Choice) -> Choice:
    """The choice with the condition under which rows have it, if the value of one other choice always decides that."""
    has = [choice.name in point for point in table.points]
    if all(has):
        return choice
    for other in table.choices:
        if other.name == choice.name or not all(other.name in point for point in table.points):
            continue
        filled = {point[other.name] for point, there in zip(table.points, has, strict=True) if there}
        empty = {point[other.name] for point, there in zip(table.points, has, strict=True) if not there}
        if not filled & empty:
            return Choice(choice.name, choice.values, {other.name: tuple(v for v in other.values if v in filled)})
    return choice
