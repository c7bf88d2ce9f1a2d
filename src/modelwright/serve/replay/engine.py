"""The replay: a queue with instances that come and go, from one decision of the autoscaler to the next.

First come, first served. Between two decisions nothing but arrivals and the times at which slots become free matters,
so a request costs one step on a small heap (Kiefer and Wolfowitz, 1955), however long a day is.
"""

import bisect
import heapq
import math
from collections.abc import Sequence

import numpy as np

from modelwright.records.autoscaling import (
    Activity,
    InstanceLoad,
    Reading,
    ScalableTarget,
    ScalingHistory,
    ScalingPolicy,
)
from modelwright.records.capacity import Fleet, Latency
from modelwright.serve.replay.latency import Times, draw
from modelwright.serve.replay.outcome import Replay
from modelwright.serve.replay.traffic import Traffic
from modelwright.serve.scaling.alarms import armed
from modelwright.serve.scaling.decision import decide
from modelwright.serve.scaling.draining import leaving, recalled
from modelwright.serve.scaling.history import remember

Slot = tuple[float, int, float]
"""When it is free, its instance, and when the request that it works on arrived."""


def replay(
    traffic: Traffic,
    latency: Latency,
    fleet: Fleet,
    policies: Sequence[ScalingPolicy],
    target: ScalableTarget,
    *,
    seed: int = 0,
) -> Replay:
    """What becomes of each request and each instance; it goes on until all requests are done.

    An attempt that times out is followed at once by the next, in the same slot; a request whose attempts are used up is
    dead. A request that has waited longer than it may expires without a start.

    Args:
        traffic: the requests.
        latency: how long one runs, where the traffic does not tell; in proportion to its size, where that has some.
        fleet: instances and rules.
        policies: none keep the capacity that there is.
        target: limits of the capacity.
        seed: of all draws. With the same one, requests run as long whatever the policies.
    """
    random = np.random.default_rng(seed)
    times = _times(traffic, latency, random)
    late = times > fleet.timeout_s
    occupied = np.where(late, fleet.timeout_s * fleet.attempts, times)
    floor = _Floor(traffic.arrivals.tolist(), occupied.tolist(), fleet, np.random.default_rng([seed, 1]))
    floor.add(max(fleet.initial, min(target.min, target.max)), 0.0, ready=True)
    desired, activities, end = _run(floor, armed(policies, target), target, traffic.duration_s)
    starts = np.array(floor.starts + [math.nan] * (len(times) - len(floor.starts)))
    expired = np.zeros(len(times), dtype=bool)
    expired[: floor.head] = np.isnan(starts[: floor.head])
    return Replay(
        arrivals=traffic.arrivals,
        starts=starts,
        occupied=occupied,
        dead=late & ~np.isnan(starts),
        expired=expired,
        lives=np.array(floor.lives(end)).reshape(-1, 3),
        readings=tuple(floor.readings),
        desired=tuple(desired),
        activities=activities,
        seconds=end,
    )


def _times(traffic: Traffic, latency: Latency, random: np.random.Generator) -> Times:
    """How long each request runs, without timeouts."""
    count = len(traffic.arrivals)
    times = draw(latency, count, random) if traffic.durations is None else traffic.durations
    if traffic.sizes is not None and traffic.sizes.any():
        times = times * (traffic.sizes / traffic.sizes.mean())
    return times


def _run(
    floor: "_Floor", policies: Sequence[ScalingPolicy], target: ScalableTarget, duration_s: float
) -> tuple[list[int], tuple[Activity, ...], float]:
    """Decide until all is done: the capacities sought, the activities, and when it ended."""
    history, now, done = ScalingHistory(), 0.0, math.inf
    desired: list[int] = []
    activities: list[Activity] = []
    while True:
        floor.advance(now)
        reading = floor.reading(now)
        scaling = decide(reading, history, policies, target, now)
        history = remember(history, reading, scaling, policies, target, now)
        if scaling.change:
            activities.append(history.activities[-1])
            (floor.add if scaling.change > 0 else floor.remove)(abs(scaling.change), now)
        desired.append(reading.capacity + scaling.change)
        over = floor.exhausted and not reading.backlog and now >= duration_s
        done = min(done, now) if over else math.inf
        if over and ((desired[-1] <= target.min and not reading.draining) or now >= done + floor.fleet.tail_s):
            return desired, tuple(activities), now
        now = floor.wake(now, target) if desired[-1] == 0 else now + floor.fleet.interval_s


class _Floor:
    """The queue and the instances at one moment, which only moves on."""

    def __init__(self, arrivals: list[float], occupied: list[float], fleet: Fleet, random: np.random.Generator) -> None:
        self.fleet, self.random = fleet, random
        self.arrivals, self.occupied = arrivals, occupied
        self.head = 0
        self.starts: list[float] = []
        self.slots: list[Slot] = []
        self.asked: list[float] = []
        self.ready: list[float] = []
        self.stopped: list[float] = []
        self.draining: dict[int, list[Slot]] = {}
        self.readings: list[Reading] = []

    @property
    def exhausted(self) -> bool:
        """Whether every request has been started or has expired."""
        return self.head == len(self.arrivals)

    def advance(self, until: float) -> None:
        """Start what can start until then, and let expire what has waited too long."""
        slots, arrivals, occupied, ttl = self.slots, self.arrivals, self.occupied, self.fleet.ttl_s
        head, count, started = self.head, len(self.arrivals), self.starts.append
        while slots and head < count:
            arrival = arrivals[head]
            free, instance, _ = slots[0]
            start = arrival if arrival > free else free
            if start > until:
                break
            if start - arrival > ttl:
                started(math.nan)
            else:
                heapq.heapreplace(slots, (start + occupied[head], instance, arrival))
                started(start)
            head += 1
        while head < count and until - arrivals[head] > ttl:
            started(math.nan)
            head += 1
        self.head = head

    def reading(self, now: float) -> Reading:
        """What the autoscaler would read at that moment, which is kept."""
        self.draining = {one: slots for one, slots in self.draining.items() if self.stopped[one] > now}
        starting = sum(self.ready[one] > now for one in self.taking())
        arrived_first = [arrival for free, _, arrival in self._busy(now)]
        queued = bisect.bisect_right(self.arrivals, now, lo=self.head) - self.head
        oldest = min(arrived_first, default=self.arrivals[self.head] if queued else now)
        found = Reading(
            at=now,
            queued=queued,
            running=len(arrived_first),
            instances=len(self.taking()) - starting,
            starting=starting,
            draining=len(self.draining),
            oldest_age_s=now - oldest,
        )
        self.readings.append(found)
        return found

    def taking(self) -> set[int]:
        """The instances that take requests or will."""
        return {instance for _, instance, _ in self.slots}

    def _busy(self, now: float) -> list[Slot]:
        """Slots that work, those of draining instances too."""
        slots = [*self.slots, *(slot for slots in self.draining.values() for slot in slots)]
        return [slot for slot in slots if slot[0] > now and self.ready[slot[1]] <= now]

    def add(self, count: int, now: float, *, ready: bool = False) -> None:
        """More instances: those that drain first, then new ones, which must start unless they are ready."""
        back = recalled(self._loads(now), count)
        for one in map(int, back):
            self.slots += self.draining.pop(one)
            self.stopped[one] = math.inf
        new = count - len(back)
        for delay in [0.0] * new if ready else draw(self.fleet.startup, new, self.random).tolist():
            self.slots += [(now + delay, len(self.asked), math.nan)] * self.fleet.concurrency
            self.asked.append(now)
            self.ready.append(now + delay)
            self.stopped.append(math.inf)
        heapq.heapify(self.slots)

    def remove(self, count: int, now: float) -> None:
        """Fewer instances: those that work stop when they have finished, the others at once."""
        going = set(map(int, leaving(self._loads(now), count)))
        gone = [slot for slot in self.slots if slot[1] in going]
        self.slots[:] = [slot for slot in self.slots if slot[1] not in going]
        heapq.heapify(self.slots)
        for one in going:
            kept = [slot for slot in gone if slot[1] == one]
            ends = max(free for free, _, _ in kept) if self.ready[one] <= now else now
            self.stopped[one] = max(ends, now)
            if ends > now:
                self.draining[one] = kept

    def _loads(self, now: float) -> list[InstanceLoad]:
        work = [one for _, one, _ in self._busy(now)]
        found = []
        for one in sorted({*self.taking(), *self.draining}):
            state = "draining" if one in self.draining else "ready" if self.ready[one] <= now else "starting"
            found.append(InstanceLoad(f"{one:d}", state, work.count(one), self.asked[one]))  # type: ignore[arg-type]  # each is a state
        return found

    def wake(self, now: float, target: ScalableTarget) -> float:
        """When to decide next without an instance: at the next arrival, unless AWS is imitated, which sees it later."""
        then = now + self.fleet.interval_s
        waiting = self.head < len(self.arrivals) and self.arrivals[self.head] <= now
        if target.imitate_aws or self.exhausted or waiting:
            return then
        return min(then, self.arrivals[self.head])

    def lives(self, end: float) -> list[tuple[float, float, float]]:
        """When each instance was asked for, was ready and had stopped; those that are there still stop at the end."""
        return [
            (asked, ready, end if math.isinf(stopped) else stopped)
            for asked, ready, stopped in zip(self.asked, self.ready, self.stopped, strict=True)
        ]
