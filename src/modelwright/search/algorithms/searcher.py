"""What every search algorithm is: a function of the space, the history and random numbers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from modelwright.records import Point
from modelwright.search.history import History, Key, key
from modelwright.search.space import Domain

TRIES = 64
"""How many times a new point is drawn before one is taken from anywhere."""


class Searcher(ABC):
    """Suggests what to evaluate next. Its fields are its settings; all that it learned is in the history."""

    @abstractmethod
    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` points, none of which is in the history; fewer where the domain is exhausted."""


def fresh(
    domain: Domain,
    history: History,
    rng: np.random.Generator,
    count: int,
    draw: Callable[[], Point] | None = None,
    found: Sequence[Point] = (),
) -> list[Point]:
    """What was found, and points that `draw` makes, each new and within the limits that cost nothing to know.

    Where `draw` keeps making known points, others are drawn from the whole domain; where that fails too, the domain is
    listed, if it is small enough for that.

    Args:
        domain: where to look.
        history: what is known.
        rng: draws.
        count: how many there should be in all, with those that were found.
        draw: makes a point; from anywhere, if left out.
        found: points that were chosen before.
    """
    taken, found = history.taken | {key(point) for point in found}, list(found)
    draw = draw or (lambda: domain.sample(rng, 1)[0])
    while len(found) < count:
        point = _new(domain, history, rng, draw, taken)
        if point is None:
            break
        taken.add(key(point))
        found.append(point)
    return found


def _new(
    domain: Domain, history: History, rng: np.random.Generator, draw: Callable[[], Point], taken: set[Key]
) -> Point | None:
    for _ in range(TRIES):
        point = draw()
        if key(point) not in taken and history.allowed([point])[0]:
            return point
    drawn = [point for point in domain.sample(rng, TRIES * 4) if key(point) not in taken]
    for point, fits in zip(drawn, history.allowed(drawn), strict=True):
        if fits:
            return point
    return _left(domain, history, rng, taken)


def _left(domain: Domain, history: History, rng: np.random.Generator, taken: set[Key]) -> Point | None:
    every = domain.enumerate(100_000) if domain.size <= 100_000 else None
    left = [point for point in every or () if key(point) not in taken]
    fits = [point for point, good in zip(left, history.allowed(left), strict=True) if good]
    return fits[int(rng.integers(len(fits)))] if fits else None
