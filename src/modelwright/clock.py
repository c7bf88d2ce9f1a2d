"""Time as an argument: the one place that reads a clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What decides and measures by time takes one of these."""

    def now(self) -> datetime:
        """The wall-clock time, in UTC."""
        ...

    def seconds(self) -> float:
        """A monotonic count of seconds, for durations."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The wall-clock time, in UTC."""
        return datetime.now(UTC)

    def seconds(self) -> float:
        """A monotonic count of seconds with the finest resolution there is."""
        return time.perf_counter()


class ManualClock:
    """A clock that moves only when told, so that a day passes in a test.

    Args:
        start: the wall-clock time at which it stands, in UTC.
    """

    def __init__(self, start: datetime = datetime(2000, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Move on by that many seconds (zero or more)."""
        if seconds < 0:
            raise ValueError(f"time moves forward only, not by {seconds!r} seconds")
        self._seconds += seconds

    def now(self) -> datetime:
        """The wall-clock time, in UTC."""
        from_start = self._start.timestamp() + self._seconds
        return datetime.fromtimestamp(from_start, UTC)

    def seconds(self) -> float:
        """The seconds that were advanced so far."""
        return self._seconds


def pause(seconds: float) -> None:
    """Let so many seconds of the machine's time pass."""
    time.sleep(max(0.0, seconds))
