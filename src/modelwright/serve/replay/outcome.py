"""What came of a replay: each request, each instance, and both in sum."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from modelwright.records.autoscaling import Activity, Reading, ScalableTarget, ScalingPolicy
from modelwright.records.capacity import CapacityPlan, Fleet, Spread, Timeline
from modelwright.serve.replay.latency import Times

SLICES = 480
"""Of a timeline, at most."""


@dataclasses.dataclass(frozen=True)
class Replay:
    """A replay in full; n requests, m instances, k readings.

    Attributes:
        arrivals: seconds; shape (n,).
        starts: of each request's first attempt, NaN where there was none; shape (n,).
        occupied: seconds that each needs of a slot, all its attempts together; shape (n,).
        dead: whether its attempts timed out; shape (n,).
        expired: whether it waited too long; shape (n,).
        lives: when each instance was asked for, was ready and had stopped; shape (m, 3).
        readings: of the moments of decision.
        desired: capacity that was decided on at each of them.
        activities: changes of capacity, as they began.
        seconds: that were replayed.
    """

    arrivals: Times
    starts: Times
    occupied: Times
    dead: npt.NDArray[np.bool_]
    expired: npt.NDArray[np.bool_]
    lives: Times
    readings: tuple[Reading, ...]
    desired: tuple[int, ...]
    activities: tuple[Activity, ...]
    seconds: float

    @property
    def finished(self) -> npt.NDArray[np.bool_]:
        """Which requests had an answer when it ended; shape (n,)."""
        return ~self.dead & (self.starts + self.occupied <= self.seconds)

    @property
    def waits(self) -> Times:
        """From arrival to start, of those that were started."""
        return (self.starts - self.arrivals)[~np.isnan(self.starts)]

    @property
    def responses(self) -> Times:
        """From arrival to answer, of the finished."""
        return (self.starts + self.occupied - self.arrivals)[self.finished]


def summary(
    found: Replay, fleet: Fleet, policies: Sequence[ScalingPolicy], target: ScalableTarget, name: str = ""
) -> CapacityPlan:
    """A replay in sum.

    Args:
        found: the replay.
        fleet: that it was of.
        policies: that scaled it.
        target: limits of its capacity.
        name: that tells it from others.
    """
    finished, expired = int(found.finished.sum()), int(found.expired.sum())
    dead = int((found.dead & (found.starts + found.occupied <= found.seconds)).sum())
    hours = float((found.lives[:, 2] - found.lives[:, 0]).sum()) / 3600
    slots = float(np.maximum(found.lives[:, 2] - found.lives[:, 1], 0).sum()) * fleet.concurrency
    ends = np.minimum(found.starts + found.occupied, found.seconds)
    busy = float(np.nansum(ends - found.starts))
    return CapacityPlan(
        name=name,
        target=target,
        policies=tuple(policies),
        arrived=len(found.arrivals),
        finished=finished,
        dead=dead,
        expired=expired,
        unfinished=len(found.arrivals) - finished - dead - expired,
        waiting=_spread(found.waits),
        response=_spread(found.responses),
        seconds=found.seconds,
        instance_hours=hours,
        cost=hours * fleet.price_per_hour,
        utilization=min(busy / slots, 1.0) if slots else 0.0,
        peak=max(one.capacity + one.draining for one in found.readings),
        scale_outs=sum(one.after > one.before for one in found.activities),
        scale_ins=sum(one.after < one.before for one in found.activities),
        activities=found.activities,
        timeline=_timeline(found, fleet),
    )


def _spread(times: Times) -> Spread:
    if not len(times):
        return Spread()
    p50, p90, p95, p99 = map(float, np.percentile(times, (50, 90, 95, 99)))
    return Spread(float(times.mean()), p50, p90, p95, p99, float(times.max()))


def _timeline(found: Replay, fleet: Fleet) -> Timeline:
    """In slices no shorter than the time between decisions; a slice without a reading is as the one before it."""
    count = max(1, min(SLICES, int(found.seconds // fleet.interval_s)))
    length = max(found.seconds, fleet.interval_s) / count
    places = np.minimum((np.array([one.at for one in found.readings]) // length).astype(np.int64), count - 1)
    starts = np.searchsorted(places, np.arange(count))
    inside = np.isin(np.arange(count), places)

    def most(values: Sequence[int]) -> tuple[int, ...]:
        kept = np.maximum.reduceat(np.array(values), np.minimum(starts, len(values) - 1))
        last = np.maximum.accumulate(np.where(inside, np.arange(count), 0))
        return tuple(kept[last].tolist())

    arrived = np.bincount(np.minimum(found.arrivals // length, count - 1).astype(np.int64), minlength=count)
    ends = np.searchsorted(places, np.arange(count), side="right") - 1
    return Timeline(
        slice_s=length,
        arrived=tuple(arrived.tolist()),
        backlog=most([one.backlog for one in found.readings]),
        instances=most([one.instances for one in found.readings]),
        starting=most([one.starting for one in found.readings]),
        draining=most([one.draining for one in found.readings]),
        desired=tuple(found.desired[max(end, 0)] for end in ends),
    )
