"""Points as rows of numbers, for predictors and distances."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.records import Choice, Point, Value

INACTIVE = -1.0
"""What an inactive choice reads in an encoding; active ones read 0 or more."""

_LOGARITHMIC = 4
"""Positive values whose largest is more than this many times their smallest are spaced by their logarithms."""


@final
@dataclass(frozen=True)
class Encoding:
    """Points as numbers, one row a point.

    Attributes:
        numbers: (points, choices). An ordered choice reads from 0, its smallest value, to 1, its largest; a categorical
            one the place of its value, counted from 0; an inactive one -1.
        categorical: (choices,), whether a column's numbers are mere names.
        names: (choices,), of the columns.
    """

    numbers: NDArray[np.float64]
    categorical: NDArray[np.bool_]
    names: tuple[str, ...]


def scale(choice: Choice) -> NDArray[np.float64]:
    """What each value of a choice reads in an encoding, (values,)."""
    return np.array(list(_readings(choice.values, choice.ordered).values()))


def encode(choices: Sequence[Choice], points: Sequence[Point]) -> Encoding:
    """The points as rows of numbers; each value must be one of its choice's."""
    numbers = np.full((len(points), len(choices)), INACTIVE)
    for column, choice in enumerate(choices):
        read, name = _readings(choice.values, choice.ordered), choice.name
        numbers[:, column] = [read[point[name]] if name in point else INACTIVE for point in points]
    return Encoding(numbers, categorical(choices), tuple(choice.name for choice in choices))


@lru_cache(maxsize=1024)
def _readings(values: tuple[Value, ...], ordered: bool) -> dict[Value, float]:
    if not ordered:
        return {value: float(place) for place, value in enumerate(values)}
    spaced = np.array(values, dtype=np.float64)
    if spaced[0] > 0 and spaced[-1] > _LOGARITHMIC * spaced[0]:
        spaced = np.log(spaced)
    span = spaced[-1] - spaced[0]
    return dict(zip(values, ((spaced - spaced[0]) / (span or 1.0)).tolist(), strict=True))


def categorical(choices: Sequence[Choice]) -> NDArray[np.bool_]:
    """Whether each choice's values are mere names, (choices,)."""
    return np.array([not choice.ordered for choice in choices], dtype=np.bool_)


def nearest_value(choice: Choice, number: float) -> Value:
    """The value that a number in an encoding stands for, or comes nearest to."""
    return choice.values[int(np.abs(scale(choice) - number).argmin())]
