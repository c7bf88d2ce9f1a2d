"""Which layers compute in whole numbers: chosen by what the whole graph takes, not by layers' own times.

Leaving a layer in float costs the conversions around it, and whole numbers between two layers in float do, so times do
not add up and are measured of the whole graph. Noise does add up, nearly: the outputs' mean squared error is taken
as the sum of its layers' (the winners are judged for themselves afterwards).
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import final

GAIN = 0.01
"""A change counts as faster if it saves this share of the time: less is hard to tell by measuring."""

CUTS = 8
"""The layers are left in float in so many steps, the most sensitive first."""


@final
@dataclass(frozen=True)
class Mix:
    """One way to deal out numbers.

    Attributes:
        integer: names of the layers that compute in whole numbers.
        floats: what the others compute in.
        latency_s: of the whole graph, as measured.
        noise: mean squared error of the outputs that is expected.
    """

    integer: frozenset[str]
    floats: str
    latency_s: float
    noise: float


Measure = Callable[[frozenset[str], str], float]
"""Seconds that the whole graph takes with these layers in whole numbers and the rest in these floats."""


def allocate(
    noise: Mapping[str, float],
    floats: Sequence[str],
    measure: Measure,
    *,
    together: Collection[Collection[str]] = (),
    floor: Mapping[str, float] | None = None,
    more: Callable[[], bool] = lambda: True,
) -> tuple[Mix, ...]:
    """All mixes that were measured, in order; `front` picks those that count.

    It measures the four corners (nothing and everything in whole numbers, in each float), and what others do without
    measuring: the most sensitive layers in float, an eighth of all at a time. Then it frees each group by itself from
    the fastest full corner, and quantizes each by itself in the fastest empty one. From both ends it goes on group by
    group, the most promising first, and keeps what makes the graph faster, or less noisy at no cost in time.

    Args:
        noise: layer -> mean squared error of the outputs if it alone is quantized.
        floats: what the rest may compute in.
        measure: asked once for each mix; infinity for one that cannot be made.
        together: groups of layers that are decided about together; each layer by itself if there are none.
        floor: floats -> noise of these floats themselves.
        more: whether there is time for another measurement.
    """
    groups = [frozenset(group) for group in together] or [frozenset({name}) for name in noise]
    search = _Search(noise, measure, groups, dict(floor or {}), more)
    empty, full = frozenset[str](), frozenset(noise)
    for kind in floats:
        search.look(empty, kind)
        search.look(full, kind)
    begun = search.fastest(empty)
    if begun:
        search.cut(begun.floats)
    for start in (full, empty):
        corner = search.fastest(start)
        if corner:
            search.descend(corner)
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
        self,
        noise: Mapping[str, float],
        measure: Measure,
        groups: Sequence[frozenset[str]],
        floor: Mapping[str, float],
        more: Callable[[], bool],
    ) -> None:
        self.noise, self.measure, self.floor, self.more = noise, measure, floor, more
        self.groups = sorted(groups, key=lambda group: -sum(noise[name] for name in group))
        self.mixes: dict[tuple[frozenset[str], str], Mix] = {}

    def fastest(self, integer: frozenset[str]) -> Mix | None:
        """Of the measured mixes with these layers in whole numbers; None where none could be made."""
        able = [mix for mix in self.mixes.values() if mix.integer == integer and mix.latency_s < math.inf]
        return min(able, key=lambda mix: mix.latency_s, default=None)

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

    def cut(self, floats: str) -> None:
        """The most sensitive layers in float, more of them at each step."""
        order = sorted(self.noise, key=lambda name: -self.noise[name])
        for step in range(1, CUTS):
            self.look(frozenset(order[len(order) * step // CUTS :]), floats)

    def descend(self, start: Mix) -> None:
        """Turn over each group by itself, then one after the other as long as that pays."""
        turned = []
        for group in self.groups:
            made = self.look(start.integer ^ group, start.floats)
            if made is None:
                return
            turned.append((group, made))
        best = start
        for group, _ in sorted(turned, key=lambda turn: _worth(start, turn[1])):
            made = self.look(best.integer ^ group, best.floats)
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
