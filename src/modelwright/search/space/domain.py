"""What every search algorithm may ask of the set it searches."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from modelwright.errors import RecordError
from modelwright.records import Choice, Point, Value
from modelwright.search.space.encoding import Encoding, encode


class Domain(ABC):
    """A finite set of points: all that keep a space's conditions, or the rows of a table.

    Points go in and out as plain dictionaries in the order of the choices; none that goes in is changed. Except for
    `check` and `in`, operations take points of the domain and need not check them.
    """

    @property
    @abstractmethod
    def choices(self) -> tuple[Choice, ...]:
        """What a point decides; one column each in an encoding."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many points there are, exactly."""

    @abstractmethod
    def check(self, point: Point) -> None:
        """Refuse what is no point of the domain.

        Raises:
            RecordError: says which choice breaks which rule.
        """

    @abstractmethod
    def sample(self, rng: np.random.Generator, count: int) -> list[Point]:
        """Points drawn one by one, each with equal chance of every point of the domain; some may repeat."""

    @abstractmethod
    def mutate(self, point: Point, rng: np.random.Generator, changes: int = 1) -> Point:
        """A point near by: `changes` active choices get another value, ordered ones most often one near by.

        Never the same point, unless it is the only one.
        """

    @abstractmethod
    def crossover(self, a: Point, b: Point, rng: np.random.Generator) -> Point:
        """A point between two: each choice's value is one parent's, either with equal chance."""

    @abstractmethod
    def neighbours(self, point: Point) -> list[Point]:
        """The points that differ in one choice, each once."""

    @abstractmethod
    def enumerate(self, limit: int) -> list[Point] | None:
        """All points, each once, in a fixed order; None if there are more than `limit`."""

    def encode(self, points: Sequence[Point]) -> Encoding:
        """The points as rows of numbers."""
        return encode(self.choices, points)

    def __contains__(self, point: object) -> bool:
        if not isinstance(point, dict):
            return False
        try:
            self.check(point)
        except RecordError:
            return False
        return True


def belongs(choice: Choice, value: Value) -> bool:
    """Whether a value is one of a choice's; yes and no are not 1 and 0."""
    return any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in choice.values)


def another(choice: Choice, value: Value, rng: np.random.Generator) -> Value:
    """Another value of a choice that has one; of ordered values each step away halves the chance."""
    place = choice.values.index(value)
    others = [other for other in range(len(choice.values)) if other != place]
    if not choice.ordered:
        return choice.values[others[int(rng.integers(len(others)))]]
    weights = np.array([0.5 ** min(abs(other - place), 60) for other in others])
    upto = np.cumsum(weights)
    return choice.values[others[int(np.searchsorted(upto, rng.random() * upto[-1], side="right"))]]
