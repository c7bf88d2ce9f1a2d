"""Activities are followed up to one of AWS's codes, and nothing that a later decision needs is forgotten."""

import msgspec
import pytest

from modelwright.records.autoscaling import (
    Activity,
    NotScaledReason,
    Reading,
    ScalableTarget,
    Scaling,
    ScalingHistory,
    TargetTracking,
)
from modelwright.serve.scaling import decide, failed, remember, settled, started

TARGET = ScalableTarget(0, 5)
POLICY = TargetTracking("backlog", 5.0, scale_in_cooldown_s=60.0)


def test_a_scale_out_is_pending_in_progress_and_successful_when_its_instances_are_ready() -> None:
    begun = started(Scaling(1, 5, "why", "backlog"), 100.0)
    assert begun is not None
    assert (begun.status, begun.before, begun.after) == ("Pending", 1, 5)
    assert begun.description == "Setting desired instance count to 5."
    half = settled(begun, Reading(110.0, 20, 2, 2, 3), TARGET)
    assert (half.status, half.ended) == ("InProgress", None)
    done = settled(half, Reading(160.0, 10, 5, 5), TARGET)
    assert (done.status, done.ended) == ("Successful", 160.0)
    assert done.message == ("Successfully set desired instance count to 5. Change successfully fulfilled by sagemaker.")
    assert settled(done, Reading(9e9, 0, 0, 0), TARGET) == done


def test_a_scale_in_is_done_when_those_that_go_take_no_more_however_long_they_work() -> None:
    begun = started(Scaling(5, 1, "why", "backlog"), 0.0)
    assert begun is not None
    assert settled(begun, Reading(10.0, 0, 4, 1, 0, draining=3), TARGET).status == "Successful"


def test_a_scale_out_that_takes_too_long_is_unfulfilled_and_one_that_fails_tells_why() -> None:
    begun = Activity(0.0, 0, 3, "why", "", "InProgress")
    late = settled(begun, Reading(3600.0, 9, 1, 1, 2), TARGET)
    assert (late.status, late.ended) == ("Unfulfilled", 3600.0)
    assert "1 of 3" in late.message
    broken = failed(begun, "the model could not be loaded", 50.0)
    assert (broken.status, broken.message, broken.ended) == ("Failed", "the model could not be loaded", 50.0)
    assert failed(broken, "again", 60.0) == broken


def test_what_triggers_and_changes_nothing_is_kept_once_with_its_reason() -> None:
    history = ScalingHistory()
    for tick in range(5):
        one = Reading(tick * 10.0, 95, 5, 5)
        history = remember(history, one, decide(one, history, (POLICY,), TARGET, one.at), (POLICY,), TARGET, one.at)
    (kept,) = history.activities
    assert (kept.status, kept.before, kept.after) == ("Unfulfilled", 5, 5)
    assert kept.not_scaled_reasons == (NotScaledReason("AlreadyAtMaxCapacity", 5, max=5),)
    assert kept.description == "Attempting to scale due to alarm triggered"


def test_a_later_change_overrides_one_that_goes_on() -> None:
    first = Reading(0.0, 10, 0, 0)
    history = remember(
        ScalingHistory(), first, decide(first, ScalingHistory(), (POLICY,), TARGET, 0.0), (POLICY,), TARGET, 0.0
    )
    second = Reading(10.0, 22, 0, 0, 2)
    found = decide(second, history, (POLICY,), TARGET, 10.0)
    history = remember(history, second, found, (POLICY,), TARGET, 10.0)
    assert [one.status for one in history.activities] == ["Pending"], "what was overridden is decided on no more"
    assert (history.activities[0].before, history.activities[0].after) == (2, 5)


@pytest.mark.parametrize("imitate", [False, True])
def test_forgetting_changes_no_decision(imitate: bool) -> None:
    """With a history that forgets nothing, and with the one that is kept, the same is decided for a whole day."""
    target = msgspec.structs.replace(TARGET, imitate_aws=imitate)
    short, long, capacity = ScalingHistory(), ScalingHistory(), 0
    for tick in range(3000):
        now = tick * 10.0
        backlog = int(30 * abs((tick % 400) / 200 - 1) ** 4)
        one = Reading(now, max(backlog - capacity, 0), min(capacity, backlog), capacity)
        found = decide(one, short, (POLICY,), target, now)
        assert found == decide(one, long, (POLICY,), target, now)
        short = remember(short, one, found, (POLICY,), target, now)
        new = remember(long, one, found, (POLICY,), target, now).activities
        everything = {old.started: old for old in (*long.activities, *new)}
        long = ScalingHistory(
            (*long.readings, one)[-400:], tuple(everything[at] for at in sorted(everything)), short.alarms
        )
        capacity += found.change
    assert len(short.activities) <= 3
    assert len(long.activities) > 10
    assert len(short.readings) < 110
