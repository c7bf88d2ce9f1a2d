"""Alarms: those that policies bring along, and the state of one as CloudWatch would tell it from its data points.

The rules for missing data are those of the CloudWatch user guide, "Configuring how CloudWatch alarms treat missing
data".
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence

import msgspec

from modelwright.records.autoscaling import (
    Alarm,
    AlarmState,
    Comparison,
    Reading,
    ScalableTarget,
    ScalingPolicy,
    TargetTracking,
)
from modelwright.serve.scaling.datapoints import SPARE, datapoints

DEAD_BAND = 0.1
"""Share of the target by which the metric must lie below it before capacity falls."""
PERIOD_S, QUICK_S = 60.0, 10.0
_HIGH, _LOW = 3, 15
"""Minutes after which AWS's own two alarms go off."""

_BREACHES: dict[Comparison, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def tracking_alarms(
    policy: TargetTracking, target: ScalableTarget, *, resource: str = "", ids: tuple[str, str] = ("high", "low")
) -> tuple[Alarm, Alarm]:
    """The two alarms that are created with a target-tracking policy: above the target, and clearly below it.

    By default the high one goes off at once, and the low one when a whole scale-in cooldown lay below, whose largest
    value counts: so capacity falls only to what was enough all the time. Imitating AWS, it is 3 and 15 minutes.

    Args:
        policy: which they belong to; alarms that it has already are not looked at.
        target: whether to imitate AWS.
        resource: such as "endpoint/name/variant/AllTraffic"; the policy's name where it is empty.
        ids: of the high one and the low one, unique.
    """
    name, low = f"TargetTracking-{resource or policy.name}", policy.target * (1 - DEAD_BAND)
    above = Alarm(f"{name}-AlarmHigh-{ids[0]}", policy.metric, policy.target, "GreaterThanThreshold", PERIOD_S, _HIGH)
    below = Alarm(f"{name}-AlarmLow-{ids[1]}", policy.metric, low, "LessThanThreshold", PERIOD_S, _LOW)
    above, below = (msgspec.structs.replace(alarm, statistic=policy.statistic) for alarm in (above, below))
    if target.imitate_aws:
        return above, below
    wait = policy.scale_in_cooldown_s
    periods = max(1, math.ceil(wait / PERIOD_S))
    quick = msgspec.structs.replace(_safe(above), period_s=QUICK_S, evaluation_periods=1)
    length = max(QUICK_S, wait / periods)
    return quick, msgspec.structs.replace(_safe(below), period_s=length, evaluation_periods=periods)


def armed(policies: Sequence[ScalingPolicy], target: ScalableTarget) -> tuple[ScalingPolicy, ...]:
    """The policies, those of target tracking with the alarms that they would be created with where they have none."""
    return tuple(msgspec.structs.replace(policy, alarms=alarms_of(policy, target)) for policy in policies)


def alarms_of(policy: ScalingPolicy, target: ScalableTarget) -> tuple[Alarm, ...]:
    """The alarms that trigger a policy: its own, or those that a target-tracking policy would be created with."""
    if isinstance(policy, TargetTracking) and len(policy.alarms) != 2:
        return tracking_alarms(policy, target)
    return policy.alarms


def states(
    policies: Sequence[ScalingPolicy],
    target: ScalableTarget,
    readings: Sequence[Reading],
    before: Mapping[str, AlarmState],
    now: float,
) -> dict[str, AlarmState]:
    """Name -> state of every alarm of the policies, in order."""
    return {
        alarm.name: next_state(alarm, datapoints(alarm, readings, now), before.get(alarm.name, "INSUFFICIENT_DATA"))
        for policy in policies
        for alarm in alarms_of(policy, target)
    }


def horizon_s(policies: Sequence[ScalingPolicy], target: ScalableTarget) -> float:
    """How far back readings are looked at, in seconds."""
    spans = [
        alarm.period_s * (alarm.evaluation_periods + SPARE)
        for policy in policies
        for alarm in alarms_of(policy, target)
    ]
    return max(spans, default=0.0)


def next_state(alarm: Alarm, points: Sequence[float | None], before: AlarmState) -> AlarmState:
    """The state of an alarm after its latest data points.

    Where the evaluated periods lack data, older points that are there take their place first; what is missing still
    counts as the alarm says. An alarm whose points all breach goes off early: when the oldest of them is as old as the
    data points that it needs.

    Args:
        alarm: the rule.
        points: oldest first, as `datapoints` gives them; None where there is none.
        before: its state until now, which "ignore" keeps.
    """
    needed = alarm.datapoints_to_alarm or alarm.evaluation_periods
    there = [(age, breaches(alarm, point)) for age, point in enumerate(reversed(points), 1) if point is not None]
    recent = there[: alarm.evaluation_periods]
    lacking = alarm.evaluation_periods - len(recent)
    count = sum(breach for _, breach in recent)
    if count >= needed or (alarm.missing == "breaching" and count + lacking >= needed):
        return "ALARM"
    early = lacking > 0 and count == len(recent) and (not there or recent[-1][0] >= needed)
    if not early or alarm.missing not in ("missing", "ignore"):
        return "OK"
    if alarm.missing == "ignore":
        return before
    return "ALARM" if there else "INSUFFICIENT_DATA"


def breaches(alarm: Alarm, value: float) -> bool:
    """Whether a data point lies beyond the alarm's threshold."""
    return _BREACHES[alarm.comparison](value, alarm.threshold)


def _safe(alarm: Alarm) -> Alarm:
    """The same, but a period counts by its largest value where it would by its average."""
    return msgspec.structs.replace(alarm, statistic="Maximum") if alarm.statistic == "Average" else alarm
