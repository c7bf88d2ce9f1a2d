"""What one policy asks for by itself: more capacity, less, or nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from modelwright.records.autoscaling import (
    BACKLOG_PER_INSTANCE,
    Activity,
    Alarm,
    AlarmState,
    Reading,
    ScalableTarget,
    StepAdjustment,
    StepScaling,
    TargetTracking,
)
from modelwright.serve.scaling.alarms import alarms_of
from modelwright.serve.scaling.datapoints import datapoints, within

_ROUNDING = 1e-9
"""Share by which a product may lie above a whole number and still be that number."""


class View(msgspec.Struct, frozen=True):
    """All that a policy looks at.

    Attributes:
        capacity: that there is.
        readings: oldest first, the present one last.
        activities: of the past.
        alarms: name -> state now.
        target: what is scaled.
        now: seconds.
    """

    capacity: int
    readings: tuple[Reading, ...]
    activities: tuple[Activity, ...]
    alarms: Mapping[str, AlarmState]
    target: ScalableTarget
    now: float

    def cooling(self, direction: int, cooldown_s: float) -> Activity | None:
        """The last scale-out (1) or scale-in (-1), while it goes on or its cooldown runs.

        A scale-out ends the cooldown of a scale-in before it.
        """
        made = [one for one in self.activities if one.after != one.before and one.started <= self.now]
        last = next((one for one in reversed(made) if direction * (one.after - one.before) > 0), None)
        if last is None or (direction < 0 and made[-1].after > made[-1].before):
            return None
        return last if last.ended is None or self.now < last.ended + cooldown_s else None


class Proposal(msgspec.Struct, frozen=True):
    """What a policy asks for.

    Attributes:
        policy: its name.
        kind: "out", "in", or "hold" where it objects to less.
        desired: capacity.
        cause: in AWS's words.
        needed: capacity with which its metric would be no higher than its target; scale-in below it would flap.
    """

    policy: str
    kind: Literal["out", "in", "hold"]
    desired: int
    cause: str = ""
    needed: int = 0


def track(policy: TargetTracking, view: View) -> Proposal | None:
    """What a target-tracking policy asks for; None where it has no say.

    desired = ceil(instances x metric / target), where the alarm of its direction is on. Of the metric's readings since
    the alarm's last period began (when capacity falls by default: since its first) the largest product counts, and
    what is missing lets nothing fall.

    Unless AWS is imitated, capacity does not fall below the instances that were at work on average in that time: fewer
    could not keep up, and a backlog would bring them back.
    """
    high, low = alarms_of(policy, view.target)
    proportion = _proportion(policy, view, high.period_s)
    if view.alarms[high.name] == "ALARM" and proportion is not None and proportion > view.capacity:
        return Proposal(policy.name, "out", proportion, _cause(high, policy.name), proportion)
    if policy.disable_scale_in:
        return None
    hold = Proposal(policy.name, "hold", view.capacity, needed=proportion or 0)
    if view.capacity == 0 or view.alarms[low.name] != "ALARM" or view.cooling(-1, policy.scale_in_cooldown_s):
        return hold
    whole = low.period_s * (1 if view.target.imitate_aws else low.evaluation_periods)
    enough = max(_proportion(policy, view, whole) or 0, _at_work(view, whole))
    if enough >= view.capacity or None in datapoints(low, view.readings, view.now)[-low.evaluation_periods :]:
        return msgspec.structs.replace(hold, needed=enough)
    return Proposal(policy.name, "in", enough, _cause(low, policy.name), enough)


def _proportion(policy: TargetTracking, view: View, span_s: float) -> int | None:
    """Capacity in proportion to the metric, the largest of the readings of a span; None where none has data.

    The metric is as it is because of the instances that were there when it was read. In the cooldown of a scale-out
    those that it added do not count among them, as they have not shown what they can do; but a backlog per instance
    times the instances is the backlog, whoever is there.
    """
    cooling = view.cooling(1, policy.scale_out_cooldown_s)
    before = math.inf if cooling is None or policy.metric == BACKLOG_PER_INSTANCE else max(cooling.before, 1)
    products = [
        value * min(reading.instances or 1, before) / policy.target
        for reading in within(view.readings, view.now, span_s)
        if (value := reading.metric(policy.metric)) is not None
    ]
    return math.ceil(max(products) * (1 - _ROUNDING)) if products else None


def _at_work(view: View, span_s: float) -> int:
    """Instances' worth of work that ran on average over a span; 0 where AWS is imitated, which does not ask."""
    running = [reading.running for reading in within(view.readings, view.now, span_s)]
    if view.target.imitate_aws or not running:
        return 0
    return math.ceil(sum(running) / len(running) / view.target.concurrency * (1 - _ROUNDING))


def step(policy: StepScaling, view: View) -> Proposal | None:
    """What a step policy asks for while an alarm of it is on; None where none is.

    Of several alarms the largest capacity counts. In the cooldown of a scale-out, what that added counts as a part of
    what is asked for; while any cooldown runs, nothing is taken away.
    """
    found = [
        (desired, alarm)
        for alarm in policy.alarms
        if view.alarms[alarm.name] == "ALARM" and (desired := _stepped(policy, alarm, view)) is not None
    ]
    if not found:
        return None
    desired, alarm = max(found, key=lambda one: one[0])
    cause = _cause(alarm, policy.name)
    if desired > view.capacity:
        return Proposal(policy.name, "out", desired, cause)
    if any(view.cooling(direction, policy.cooldown_s) for direction in (1, -1)):
        return None
    return Proposal(policy.name, "in", desired, cause)


def _stepped(policy: StepScaling, alarm: Alarm, view: View) -> int | None:
    """The capacity that an alarm's step leads to; None where no step holds the metric's distance."""
    measured = msgspec.structs.replace(alarm, statistic=policy.statistic)
    points = [point for point in datapoints(measured, view.readings, view.now) if point is not None]
    if not points:
        return None
    distance = points[-1] - alarm.threshold
    adjustment = next((one.change for one in policy.steps if _holds(one, distance)), None)
    if adjustment is None:
        return None
    if policy.adjustment == "ExactCapacity":
        return max(adjustment, 0)
    cooling = view.cooling(1, policy.cooldown_s) if adjustment > 0 else None
    start = view.capacity if cooling is None else min(view.capacity, cooling.before)
    return max(
        start + (adjustment if policy.adjustment == "ChangeInCapacity" else _share(policy, adjustment, start)), 0
    )


def _holds(one: StepAdjustment, distance: float) -> bool:
    """Whether a step's range holds a distance: above the threshold without its upper end, below without its lower."""
    lower, upper = -math.inf if one.lower is None else one.lower, math.inf if one.upper is None else one.upper
    return lower <= distance < upper if distance >= 0 else lower < distance <= upper


def _share(policy: StepScaling, percent: int, start: int) -> int:
    """Instances that a change in per cent means: rounded towards none, but one at least, and the policy's least."""
    exact = start * percent / 100
    size = max(math.floor(abs(exact) + _ROUNDING), 1 if exact else 0, policy.least_change)
    return size if percent > 0 else -size


def _cause(alarm: Alarm, policy: str) -> str:
    return f"monitor alarm {alarm.name} in state ALARM triggered policy {policy}"


def proposals(policies: Sequence[TargetTracking | StepScaling], view: View) -> list[Proposal]:
    """What those policies ask for that have a say, in order."""
    asked = (track(one, view) if isinstance(one, TargetTracking) else step(one, view) for one in policies)
    return [one for one in asked if one is not None]
