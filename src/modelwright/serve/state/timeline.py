"""The service's own line of time, which never jumps and never goes back.

Within a run of a server it goes with the monotonic clock. Over a restart it goes on where it was last written down,
plus the time that has passed on the wall clock since; where that is less than nothing, it stands. So a wall clock
that is set while the service runs changes nothing that is decided: leases, times to live, delays and limits are told
by this line. Where the wall clock was set while no server ran, what passed cannot be known better.
"""

from dataclasses import dataclass
from typing import final

from modelwright.clock import Clock


@final
@dataclass(frozen=True)
class Moment:
    """One moment in two ways.

    Attributes:
        t: on the line of time, seconds.
        at: on the wall clock, seconds since 1970 in UTC.
    """

    t: float
    at: float


@final
@dataclass(frozen=True)
class Timeline:
    """The line of time in one run of a server.

    Args:
        clock: the machine's, or one that a test moves.
        start: where the line was when `clock.seconds()` was `seconds`.
        seconds: of the monotonic clock then.
    """

    clock: Clock
    start: float
    seconds: float

    @classmethod
    def after(cls, last: Moment | None, clock: Clock) -> "Timeline":
        """The line that goes on after the last moment written down; a new one begins at the wall clock's time."""
        seconds, at = clock.seconds(), clock.now().timestamp()
        return cls(clock, at if last is None else last.t + max(0.0, at - last.at), seconds)

    def now(self) -> Moment:
        """The present moment."""
        return Moment(self.start + self.clock.seconds() - self.seconds, self.clock.now().timestamp())
