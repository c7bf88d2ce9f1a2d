"""The autoscaler does what AWS publishes of its own, and what ours promises besides."""

import math
from typing import Any

import msgspec
import pytest

from modelwright.records.autoscaling import (
    Activity,
    Alarm,
    Reading,
    ScalableTarget,
    ScalingHistory,
    StepAdjustment,
    StepScaling,
    TargetTracking,
)
from modelwright.serve.scaling import decide, waking_policy

replace = msgspec.structs.replace
NOW = 10_000.0
ARTICLE = TargetTracking("backlog", 5.0, scale_out_cooldown_s=120.0, scale_in_cooldown_s=120.0)
"""The policy of the published article."""
FIVE = ScalableTarget(0, 5)


def reading(backlog: int = 0, instances: int = 0, at: float = NOW, **more: Any) -> Reading:
    running = min(backlog, instances, 1)
    return Reading(at, backlog - running, running, instances, **more)


def past(one: Reading, seconds: float = 1200.0, step: float = 10.0, **more: Any) -> ScalingHistory:
    """As it was read all the time until now."""
    count = int(seconds / step)
    readings = tuple(replace(one, at=one.at - step * back) for back in range(count, 0, -1))
    return ScalingHistory(readings, **more)


def change(before: int, after: int, ago: float, ended: float | None = 0.0) -> Activity:
    done = None if ended is None else NOW - ago + ended
    return Activity(NOW - ago, before, after, "a cause", "", "InProgress" if done is None else "Successful", ended=done)


def steady(backlog: int, instances: int, policies: Any = (ARTICLE,), target: ScalableTarget = FIVE, **more: Any) -> int:
    """Desired capacity after a long time in which nothing changed."""
    one = reading(backlog, instances)
    found = decide(one, past(one, **more), policies, target, NOW).desired
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("backlog", "instances", "desired"),
    [
        (6, 1, 2),
        (25, 1, 5),
        (11, 2, 3),
        (1000, 1, 5),
        (5, 1, 1),
        (10, 2, 2),
        (9, 2, 2),
        (8, 2, 2),
        (5, 2, 1),
        (4, 2, 1),
    ],
)
def test_capacity_is_in_proportion_to_the_metric_rounded_up(backlog: int, instances: int, desired: int) -> None:
    assert steady(backlog, instances) == desired


@pytest.mark.parametrize("backlog", range(46, 51))
def test_within_a_tenth_below_the_target_nothing_changes(backlog: int) -> None:
    assert steady(backlog, 10, target=ScalableTarget(0, 20)) == 10
    assert steady(44, 10, target=ScalableTarget(0, 20)) == 9


def test_without_backlog_capacity_falls_to_its_least() -> None:
    assert steady(0, 5) == 0
    assert steady(0, 5, target=ScalableTarget(2, 5)) == 2


def test_the_first_request_wakes_an_endpoint_without_instances() -> None:
    found = decide(reading(1), ScalingHistory(), (ARTICLE,), FIVE, NOW)
    assert (found.current, found.desired) == (0, 1)
    assert decide(reading(1), ScalingHistory(), (), FIVE, NOW).desired == 1
    assert decide(reading(23), ScalingHistory(), (ARTICLE,), FIVE, NOW).desired == 5
    assert decide(reading(1, starting=1), ScalingHistory(), (), FIVE, NOW).desired == 1


def test_imitating_aws_only_a_backlog_above_the_target_wakes_it_after_three_minutes() -> None:
    aws = replace(FIVE, imitate_aws=True)
    assert steady(5, 0, target=aws) == 0
    assert steady(6, 0, target=aws) == 2
    assert decide(reading(100), past(reading(100), 110), (ARTICLE,), aws, NOW).desired == 0
    assert decide(reading(100), past(reading(100), 170), (ARTICLE,), aws, NOW).desired == 5


def test_the_documented_step_policy_wakes_it_in_either_case() -> None:
    aws = replace(FIVE, imitate_aws=True)
    found = decide(reading(1), past(reading(1)), (ARTICLE, waking_policy()), aws, NOW)
    assert (found.desired, found.policy) == (1, "wake")
    assert found.cause == "monitor alarm wake-HasBacklogWithoutCapacity in state ALARM triggered policy wake"
    cooling = past(reading(1), activities=(change(0, 1, 100),))
    assert decide(reading(1), cooling, (waking_policy(),), aws, NOW).desired == 1


def test_imitating_aws_capacity_falls_after_fifteen_minutes_below() -> None:
    aws = replace(FIVE, imitate_aws=True)
    low = reading(0, 3)
    assert decide(low, past(low, 14 * 60 - 10), (ARTICLE,), aws, NOW).desired == 3
    assert decide(low, past(low, 15 * 60 - 10), (ARTICLE,), aws, NOW).desired == 0


def test_capacity_falls_only_to_what_was_enough_all_through_the_cooldown() -> None:
    history = past(reading(0, 5))
    busy = [replace(one, queued=7) if NOW - 60 < one.at < NOW - 40 else one for one in history.readings]
    found = decide(reading(0, 5), replace(history, readings=tuple(busy)), (ARTICLE,), FIVE, NOW)
    assert found.desired == 2


def test_capacity_does_not_fall_below_the_work_that_ran_unless_aws_is_imitated() -> None:
    busy = Reading(NOW, 0, 4, 5)
    assert decide(busy, past(busy), (ARTICLE,), FIVE, NOW).desired == 4
    assert decide(busy, past(busy), (ARTICLE,), replace(FIVE, concurrency=2), NOW).desired == 2
    assert decide(busy, past(busy), (ARTICLE,), replace(FIVE, imitate_aws=True), NOW).desired == 1
    history = past(busy)
    half = tuple(replace(one, running=2) if number % 2 else one for number, one in enumerate(history.readings))
    assert decide(replace(busy, running=2), replace(history, readings=half), (ARTICLE,), FIVE, NOW).desired == 3


def test_missing_data_takes_nothing_away_and_nothing_read_decides_nothing() -> None:
    one = reading(0, 5)
    history = past(one)
    gap = tuple(old for old in history.readings if not NOW - 130 < old.at < NOW - 50)
    assert decide(one, history, (ARTICLE,), FIVE, NOW).desired == 0
    assert decide(one, replace(history, readings=gap), (ARTICLE,), FIVE, NOW).desired == 5
    assert decide(one, ScalingHistory(), (ARTICLE,), FIVE, NOW).desired == 5
    custom = replace(ARTICLE, metric="InvocationsProcessed")
    assert decide(one, history, (custom,), FIVE, NOW).desired == 5
    assert decide(one, history, (ARTICLE, replace(custom, name="other")), FIVE, NOW).desired == 5
    nothing = decide(None, history, (ARTICLE,), FIVE, NOW)
    assert (nothing.current, nothing.desired, nothing.change) == (None, None, 0)


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    history = past(reading(0, 5))
    back = NOW - 5000
    assert decide(reading(0, 5, back), history, (ARTICLE,), FIVE, back).desired == 5
    assert decide(reading(25, 1, back), history, (ARTICLE,), FIVE, back).desired == 5


def test_of_several_policies_the_largest_capacity_wins_and_scale_in_needs_all() -> None:
    age = TargetTracking("age", 60.0, "ApproximateAgeOfOldestRequest")
    both = (ARTICLE, age)
    one = reading(6, 2, oldest_age_s=120.0)
    assert decide(one, past(one), both, FIVE, NOW).desired == 4
    assert decide(one, past(one), both, FIVE, NOW).policy == "age"
    one = reading(2, 4, oldest_age_s=59.0)
    assert decide(one, past(one), (ARTICLE,), FIVE, NOW).desired == 1
    assert decide(one, past(one), both, FIVE, NOW).desired == 4
    one = reading(2, 4, oldest_age_s=25.0)
    assert decide(one, past(one), both, FIVE, NOW).desired == 2
    out_only = (replace(ARTICLE, disable_scale_in=True), age)
    assert decide(one, past(one), out_only, FIVE, NOW).desired == 2
    assert decide(one, past(one), out_only[:1], FIVE, NOW).desired == 4


def test_in_the_scale_out_cooldown_only_a_larger_scale_out_adds_more() -> None:
    age = TargetTracking("age", 60.0, "ApproximateAgeOfOldestRequest")
    target = ScalableTarget(0, 50)

    def after(seconds: float, ago: float) -> int | None:
        one = reading(50, 4, oldest_age_s=seconds)
        return decide(one, past(one, activities=(change(2, 4, ago),)), (age,), target, NOW).desired

    assert after(120, 299) == 4  # 2 x 120 / 60: what the two that came were meant for
    assert after(180, 299) == 6
    assert after(120, 301) == 8
    one = reading(30, 1, starting=4)
    history = past(one, activities=(change(1, 5, 60, None),))
    assert decide(one, history, (ARTICLE,), target, NOW).desired == 6  # the backlog's own share, not 5 x 30 / 5


def test_scale_in_waits_for_its_cooldown_and_a_scale_out_breaks_it() -> None:
    one = reading(1, 3)
    assert decide(one, past(one, activities=(change(5, 3, 119),)), (ARTICLE,), FIVE, NOW).desired == 3
    assert decide(one, past(one, activities=(change(5, 3, 121),)), (ARTICLE,), FIVE, NOW).desired == 1
    one = reading(25, 3)
    assert decide(one, past(one, activities=(change(5, 3, 5),)), (ARTICLE,), FIVE, NOW).desired == 5
    one = reading(1, 3)
    broken = (change(5, 2, 110), change(2, 3, 100))
    assert decide(one, past(one, activities=broken), (ARTICLE,), FIVE, NOW).desired == 1


def stepping(*steps: StepAdjustment, kind: str = "ChangeInCapacity", low: bool = False, **more: Any) -> StepScaling:
    comparison = "LessThanOrEqualToThreshold" if low else "GreaterThanOrEqualToThreshold"
    alarm = Alarm("a", "ApproximateBacklogSize", 20.0, comparison)
    return StepScaling("step", steps, kind, alarms=(alarm,), **more)


@pytest.mark.parametrize(
    ("backlog", "desired"), [(19, 10), (20, 11), (29, 11), (30, 13), (49, 13), (50, 16), (900, 16)]
)
def test_the_step_that_holds_the_distance_from_the_threshold_counts(backlog: int, desired: int) -> None:
    policy = stepping(StepAdjustment(1, 0, 10), StepAdjustment(3, 10, 30), StepAdjustment(6, 30))
    assert steady(backlog, 10, (policy,), ScalableTarget(0, 50)) == desired


def test_what_a_scale_out_added_counts_towards_the_next_while_it_cools() -> None:
    """AWS's example: 2 were added, a step of 3 comes within the cooldown: one more is added."""
    target = ScalableTarget(0, 50)
    one = reading(40, 12)
    history = past(one, activities=(change(10, 12, 100),))
    assert decide(one, history, (stepping(StepAdjustment(3, 0)),), target, NOW).desired == 13
    assert decide(one, history, (stepping(StepAdjustment(2, 0)),), target, NOW).desired == 12
    assert decide(one, history, (stepping(StepAdjustment(3, 0), cooldown_s=60.0),), target, NOW).desired == 15


@pytest.mark.parametrize(
    ("percent", "least", "desired"), [(10, 0, 11), (66, 0, 16), (1, 0, 11), (10, 4, 14), (-1, 0, 9), (-66, 0, 4)]
)
def test_shares_of_capacity_are_rounded_as_aws_rounds_them(percent: int, least: int, desired: int) -> None:
    """10 instances: 6.6 is 6 and -6.6 is -6, 0.1 is 1 and -0.1 is -1; a least change is kept."""
    low = percent < 0
    step = StepAdjustment(percent, None if low else 0, 0 if low else None)
    policy = stepping(step, kind="PercentChangeInCapacity", low=low, least_change=least)
    assert steady(10 if low else 30, 10, (policy,), ScalableTarget(0, 50)) == desired


def test_an_exact_capacity_is_that() -> None:
    assert steady(30, 10, (stepping(StepAdjustment(4, 0), kind="ExactCapacity"),), ScalableTarget(0, 50)) == 4
    assert steady(30, 3, (stepping(StepAdjustment(4, 0), kind="ExactCapacity"),), ScalableTarget(0, 50)) == 4


def test_a_step_in_that_target_tracking_would_undo_is_anticipated_flapping() -> None:
    policy = stepping(StepAdjustment(-3, None, 0), low=True)
    one = reading(19, 4)
    found = decide(one, past(one), (ARTICLE, policy), FIVE, NOW)
    assert found.desired == 4
    assert [reason.code for reason in found.not_scaled_reasons] == ["AutoScalingAnticipatedFlapping"]
    assert decide(one, past(one), (policy,), FIVE, NOW).desired == 1


def test_the_last_instance_stays_while_there_is_backlog() -> None:
    processed = TargetTracking("done", 100.0, "InvocationsProcessed")
    one = reading(1, 3, metrics={"InvocationsProcessed": 0.0})
    assert decide(one, past(one), (processed,), FIVE, NOW).desired == 1
    one = Reading(NOW, 1, 0, 1, metrics={"InvocationsProcessed": 0.0})
    found = decide(one, past(one), (processed,), FIVE, NOW)
    assert found.desired == 1
    assert [reason.code for reason in found.not_scaled_reasons] == ["AutoScalingAnticipatedFlapping"]


def test_limits_are_kept_whatever_policies_say_and_told_as_reasons() -> None:
    found = decide(reading(100, 5), past(reading(100, 5)), (ARTICLE,), FIVE, NOW)
    (reason,) = found.not_scaled_reasons
    assert (found.desired, reason.code, reason.max, reason.current) == (5, "AlreadyAtMaxCapacity", 5, 5)
    found = decide(reading(0, 2), past(reading(0, 2)), (ARTICLE,), ScalableTarget(2, 5), NOW)
    (reason,) = found.not_scaled_reasons
    assert (found.desired, reason.code, reason.min) == (2, "AlreadyAtMinCapacity", 2)
    found = decide(reading(100, 9), past(reading(100, 9)), (ARTICLE,), FIVE, NOW)
    assert (found.desired, found.cause) == (5, "maximum capacity was set to 5")
    found = decide(reading(0, 1), ScalingHistory(), (ARTICLE,), ScalableTarget(3, 5), NOW)
    assert (found.desired, found.cause) == (3, "minimum capacity was set to 3")


def test_what_is_suspended_does_not_happen() -> None:
    assert steady(25, 1, target=replace(FIVE, scale_out_suspended=True)) == 1
    assert steady(3, 0, target=replace(FIVE, scale_out_suspended=True)) == 0
    assert steady(0, 3, target=replace(FIVE, scale_in_suspended=True)) == 3
    assert steady(25, 1, target=replace(FIVE, scale_in_suspended=True)) == 5


def test_a_cause_names_the_alarm_and_the_policy_in_aws_words() -> None:
    found = decide(reading(25, 1), ScalingHistory(), (ARTICLE,), FIVE, NOW)
    assert found.cause == "monitor alarm TargetTracking-backlog-AlarmHigh-high in state ALARM triggered policy backlog"
    assert found.alarms["TargetTracking-backlog-AlarmHigh-high"] == "ALARM"
    assert not math.isnan(found.change)


def test_a_product_that_floats_round_up_asks_for_no_more() -> None:
    for instances in range(1, 40):
        for each in range(1, 30):
            one = reading(instances * each, instances)
            policy = replace(ARTICLE, target=each / 3)
            found = decide(one, ScalingHistory(), (policy,), ScalableTarget(0, 1000), NOW)
            assert found.desired == 3 * instances
