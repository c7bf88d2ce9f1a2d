"""What is remembered from one decision to the next, and no more than that."""

import bisect
import operator
from collections.abc import Sequence

from modelwright.records.autoscaling import (
    Activity,
    Reading,
    ScalableTarget,
    Scaling,
    ScalingHistory,
    ScalingPolicy,
)
from modelwright.serve.scaling.activities import overridden, settled, started
from modelwright.serve.scaling.alarms import horizon_s

_AT = operator.attrgetter("at")


def remember(
    history: ScalingHistory,
    reading: Reading | None,
    scaling: Scaling,
    policies: Sequence[ScalingPolicy],
    target: ScalableTarget,
    now: float,
) -> ScalingHistory:
    """The history after a decision: the reading is added, open activities are followed up, a new one is begun.

    Kept are the readings that an alarm may still look at, and of the activities those that go on, the last scale-out,
    the last scale-in and the last one of all. An activity that changes nothing is not added twice in a row.

    Args:
        history: before it.
        reading: that was decided on; None where nothing could be read.
        scaling: the decision.
        policies: which it was made by.
        target: whose limits it kept.
        now: when it was made, seconds.
    """
    readings, activities = history.readings, list(history.activities)
    if reading is not None:
        since = now - horizon_s(policies, target)
        first, end = (bisect.bisect_right(readings, at, key=_AT) for at in (since, now))
        readings = (*readings[first:end], reading)
        activities = [settled(one, reading, target) for one in activities]
    begun = started(scaling, now)
    if begun and begun.before != begun.after:
        activities = [*(overridden(one, now) for one in activities), begun]
    elif begun and not (activities and _same(activities[-1], begun)):
        activities.append(begun)
    return ScalingHistory(readings, _kept(activities), scaling.alarms)


def _same(one: Activity, other: Activity) -> bool:
    """Whether two activities changed nothing for the same reason."""
    return one.not_scaled_reasons == other.not_scaled_reasons and one.cause == other.cause and one.after == other.after


def _kept(activities: Sequence[Activity]) -> tuple[Activity, ...]:
    """Those that a decision can still depend on, and the last one."""
    places = {len(activities) - 1} if activities else set()
    for direction in (1, -1):
        made = [place for place, one in enumerate(activities) if direction * (one.after - one.before) > 0]
        places.update(made[-1:])
    return tuple(one for place, one in enumerate(activities) if place in places or one.ended is None)
