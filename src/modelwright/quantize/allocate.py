"""Which groups of layers compute in whole numbers: chosen by what the whole graph takes, not by layers' own times.

Leaving a layer in float costs the conversions around it, and whole numbers between two layers in float do, so times do
not add up and are measured of the whole graph. Noise does add up, nearly: the outputs' mean squared error is taken
as the sum of its groups' (the winners are judged for themselves afterwards).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

GAIN = 0.01
"""A change counts as faster if it saves this share of the time: less is hard to tell by measuring."""


@final
@dataclass(frozen=True)
class Mix:
    """One way to deal out numbers.

    Attributes:
        integer: names of the groups that compute in whole numbers.
        floats: what the others compute in.
        latency_s: of the whole graph, as measured.
        noise: mean squared error of the outputs that is expected.
    """

    integer: frozenset[str]
    floats: str
    latency_s: float
    noise: float


Measure = Callable[[frozenset[str], str], float]
"""Seconds that the whole graph takes with these groups in whole numbers and the rest in these floats."""


def allocate(
    noise: Mapping[str, float],
    floats: Sequence[str],
    measure: Measure,
    *,
    floor: Mapping[str, float] | None = None,
    more: Callable[[], bool] = lambda: True,
) -> tuple[Mix, ...]:
    """All mixes that were measured, in order; `front` picks those that count.

    It measures the four corners (nothing and everything in whole numbers, in each float), then frees each group by
    itself from the fastest full one, and quantizes each by itself in the fastest empty one. From both ends it goes on
    group by group, the most promising first, and keeps what makes the graph faster, or less noisy at no cost in time.

    Args:
        noise: group -> mean squared error of the outputs if it alone is quantized.
        floats: what the rest may compute in.
        measure: asked once for each mix; infinity for one that cannot be made.
        floor: floats -> noise of these floats themselves.
        more: whether there is time for another measurement.
    """
    search = _Search(noise, measure, dict(floor or {}), more)
    empty, full = frozenset[str](), frozenset(noise)
    for kind in floats:
        search.look(empty, kind)
        search.look(full, kind)
    for start in (full, empty):
        corners = [mix for mix in search.mixes.values() if mix.integer == start and mix.latency_s < math.inf]
        if corners:
            search.descend(min(corners, key=lambda mix: mix.latency_s))
    return tuple(search.mixes.values())


def front(mixes: Sequence[Mix]) -> tuple[Mix, ...]:
    """The mixes that no other is both faster and less noisy than, the fastest first."""
    found: list[Mix] = []
    for mix in sorted(mixes, key=lambda one: (one.latency_s, one.noise)):
        if mix.latency_s == math.inf:
            break
        if not found or mix.noise < found[-1].noise:
            found.append(mix)
    return tuple(found)


@final
class _Search:
    """Measurements so far."""

    def __init__(
        self, noise: Mapping[str, float], measure: Measure, floor: Mapping[str, float], more: Callable[[], bool]
    ) -> None:
        self.noise, self.measure, self.floor, self.more = noise, measure, floor, more
        self.mixes: dict[tuple[frozenset[str], str], Mix] = {}

    def look(self, integer: frozenset[str], floats: str) -> Mix | None:
        """The mix, measured now if it was not; None where there is no time left."""
        key = (integer, floats)
        if key not in self.mixes:
            if not self.more():
                return None
            expected = self.floor.get(floats, 0.0) * (integer != frozenset(self.noise))
            expected += sum(self.noise[name] for name in integer)
            self.mixes[key] = Mix(integer, floats, self.measure(integer, floats), expected)
        return self.mixes[key]

    def descend(self, start: Mix) -> None:
        """Turn over each group by itself, then one after the other as long as that pays."""
        flips = []
        for name in sorted(self.noise, key=lambda one: -self.noise[one]):
            made = self.look(start.integer ^ {name}, start.floats)
            if made is None:
                return
            flips.append((name, made))
        best = start
        for name, _ in sorted(flips, key=lambda flip: _worth(start, flip[1])):
            made = self.look(best.integer ^ {name}, best.floats)
            if made is None:
                return
            if _worth(best, made) < (0.0, 0.0):
                best = made


def _worth(before: Mix, after: Mix) -> tuple[float, float]:
    """Below (0, 0) if the change pays; the lower the better: time that is told apart first, then noise."""
    time = math.log(after.latency_s / before.latency_s)
    if abs(time) < GAIN:
        time = 0.0
    return time, after.noise - before.noise
