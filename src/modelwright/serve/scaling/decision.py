"""The autoscaler: one pure function from what is known to the capacity that there shall be."""

from collections.abc import Sequence

from modelwright.records.autoscaling import (
    NotScaledCode,
    NotScaledReason,
    Reading,
    ScalableTarget,
    Scaling,
    ScalingHistory,
    ScalingPolicy,
)
from modelwright.serve.scaling.alarms import states
from modelwright.serve.scaling.proposals import Proposal, View, proposals

_WAKE = "a request waits and there is no instance"


def decide(
    reading: Reading | None,
    history: ScalingHistory,
    policies: Sequence[ScalingPolicy],
    target: ScalableTarget,
    now: float,
) -> Scaling:
    """The capacity that an endpoint shall have.

    Of several policies the largest capacity wins; less is decided only where every target-tracking policy that may
    scale in is ready to. The target's limits hold first of all, missing data never takes anything away, and the last
    instance does not go while there is backlog.

    Args:
        reading: of now; None where nothing could be read, and nothing is decided.
        history: as `remember` keeps it.
        policies: each with a name of its own.
        target: limits, and whether to imitate AWS.
        now: on the clock of readings and history, seconds.
    """
    seen = history.readings if reading is None else (*history.readings, reading)
    alarms = states(policies, target, seen, history.alarms, now)
    if reading is None:
        return Scaling(None, None, alarms=alarms)
    current = reading.capacity
    view = View(current, seen, history.activities, alarms, target, now)
    asked = proposals(policies, view)
    out = [one for one in asked if one.kind == "out" and not target.scale_out_suspended]
    if not target.imitate_aws and not target.scale_out_suspended and reading.queued and current == 0:
        out.append(Proposal("", "out", 1, _WAKE))
    if current < min(target.min, target.max):
        out.append(Proposal("", "out", target.min, f"minimum capacity was set to {target.min}"))
    if current > target.max:
        return Scaling(current, target.max, f"maximum capacity was set to {target.max}", alarms=alarms)
    if out:
        desired, one, reasons = _more(out, current, target)
    else:
        desired, one, reasons = _less(asked, reading, target)
    return Scaling(current, desired, one.cause if one else "", one.policy if one else "", reasons, alarms)


Verdict = tuple[int, Proposal | None, tuple[NotScaledReason, ...]]


def _more(asked: Sequence[Proposal], current: int, target: ScalableTarget) -> Verdict:
    """The largest capacity that is asked for, as far as the target allows."""
    one = max(asked, key=lambda proposal: proposal.desired)
    desired = max(min(one.desired, target.max), current)
    return desired, one, _reason("AlreadyAtMaxCapacity", current, target) if desired == current else ()


def _less(asked: Sequence[Proposal], reading: Reading, target: ScalableTarget) -> Verdict:
    """The largest of the smaller capacities that are asked for, where none objects."""
    current = reading.capacity
    willing = [one for one in asked if one.kind == "in"]
    if not willing or target.scale_in_suspended:
        return current, None, ()
    one = max(willing, key=lambda proposal: proposal.desired)
    if any(other.kind == "hold" for other in asked):
        flaps = any(other.needed > one.desired for other in asked)
        return current, one if flaps else None, _reason("AutoScalingAnticipatedFlapping", current) if flaps else ()
    floor = min(max(target.min, 1 if reading.backlog else 0), target.max)
    desired = min(max(one.desired, floor), current)
    if desired < current:
        return desired, one, ()
    code: NotScaledCode = "AlreadyAtDesiredCapacity"
    if one.desired < floor:
        code = "AlreadyAtMinCapacity" if floor <= target.min else "AutoScalingAnticipatedFlapping"
    return current, one, _reason(code, current, target)


def _reason(code: NotScaledCode, current: int, target: ScalableTarget | None = None) -> tuple[NotScaledReason, ...]:
    low = target.min if target and code == "AlreadyAtMinCapacity" else None
    high = target.max if target and code == "AlreadyAtMaxCapacity" else None
    return (NotScaledReason(code, current, low, high),)
