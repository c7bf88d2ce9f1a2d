"""The last minutes by the second, and the last day by the quarter of a minute, in bounded memory."""

from collections import deque
from typing import final

import msgspec

from modelwright.records.watching import Point

FINE_S, COARSE_S = 1.0, 15.0
_FINE, _COARSE = 900, 5760


@final
class History:
    """Points of one endpoint, as they came."""

    def __init__(self) -> None:
        self._fine: deque[Point] = deque(maxlen=_FINE)
        self._coarse: deque[Point] = deque(maxlen=_COARSE)

    def add(self, point: Point) -> None:
        """Take a point, which is later than all before."""
        self._fine.append(point)
        step = point.at // COARSE_S * COARSE_S
        if self._coarse and self._coarse[-1].at == step:
            self._coarse[-1] = _both(self._coarse[-1], point)
        else:
            self._coarse.append(msgspec.structs.replace(point, at=step))

    def points(self, since: float = 0.0, *, coarse: bool = False) -> list[Point]:
        """The points after `since`, oldest first; by the second, or for a day."""
        return [one for one in (self._coarse if coarse else self._fine) if one.at > since]

    def per_s(self, seconds: float = 10.0) -> float:
        """Requests that came to an end, a second, over the last so many seconds."""
        if not self._fine:
            return 0.0
        end = self._fine[-1].at
        recent = [one for one in self._fine if one.at > end - seconds]
        return sum(one.ended for one in recent) / seconds


def _both(one: Point, other: Point) -> Point:
    """Two points of one step."""
    return Point(
        one.at,
        max(one.queued, other.queued),
        max(one.running, other.running),
        max(one.ready, other.ready),
        max(one.starting, other.starting),
        max(one.draining, other.draining),
        max(one.wanted, other.wanted),
        one.ended + other.ended,
    )
