"""Alarms are in the states that CloudWatch's user guide publishes for them."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.records.autoscaling import Alarm, Reading, ScalableTarget, TargetTracking
from modelwright.serve.scaling import datapoints, next_state, tracking_alarms

replace = msgspec.structs.replace
ALARM = Alarm("high", "ApproximateBacklogSize", 5.0, "GreaterThanThreshold", evaluation_periods=3)
POINTS = {"0": 1.0, "X": 9.0, "-": None}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
RETAINED = "retained"

PUBLISHED = [
    # data points, and the state where missing data counts as: missing, ignore, breaching, notBreaching
    (3, "0 - X - X", ("OK", "OK", "OK", "OK")),
    (3, "0 - - - -", ("OK", "OK", "OK", "OK")),
    (3, "- - - - -", ("INSUFFICIENT_DATA", RETAINED, "ALARM", "OK")),
    (3, "0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (3, "- - X - -", ("ALARM", RETAINED, "ALARM", "OK")),
    (2, "0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0 - X - -", ("OK", "OK", "ALARM", "OK")),
    (2, "- - - - 0", ("OK", "OK", "ALARM", "OK")),
    (2, "- - - X -", ("ALARM", RETAINED, "ALARM", "OK")),
]
"""The two tables of "Configuring how CloudWatch alarms treat missing data": 3 out of 3 and 2 out of 3."""


@pytest.mark.parametrize(("needed", "row", "told"), PUBLISHED)
@pytest.mark.parametrize("before", ["OK", "ALARM", "INSUFFICIENT_DATA"])
def test_states_are_those_of_the_published_tables(needed: int, row: str, told: tuple[str, ...], before: str) -> None:
    points = [POINTS[mark] for mark in row.split()]
    found = [next_state(replace(ALARM, datapoints_to_alarm=needed, missing=one), points, before) for one in TREATMENTS]
    assert found == [before if state == RETAINED else state for state in told]


@given(st.lists(st.sampled_from([1.0, 9.0]), min_size=5, max_size=5), st.integers(1, 3))
def test_without_gaps_the_latest_points_alone_decide(points: list[float], needed: int) -> None:
    for missing in TREATMENTS:
        alarm = replace(ALARM, datapoints_to_alarm=needed, missing=missing)
        breaching = sum(point > 5 for point in points[-3:])
        assert next_state(alarm, points, "OK") == ("ALARM" if breaching >= needed else "OK")


def test_one_more_breach_never_ends_an_alarm() -> None:
    worse = {"0": "X", "-": "X"}
    for row in itertools.product("0X-", repeat=5):
        for missing in ("missing", "breaching", "notBreaching"):
            alarm = replace(ALARM, missing=missing)
            before = next_state(alarm, [POINTS[mark] for mark in row], "OK")
            for place in range(5):
                harder = [*row[:place], worse.get(row[place], "X"), *row[place + 1 :]]
                after = next_state(alarm, [POINTS[mark] for mark in harder], "OK")
                assert before != "ALARM" or after == "ALARM" or row[place] == "-", (row, harder, missing)


def test_a_point_is_the_statistic_of_its_minute_and_future_readings_count_for_nothing() -> None:
    readings = [Reading(at, queued, 0, 1) for at, queued in ((-130, 7), (-60, 1), (-30, 3), (-1, 8), (0, 1), (5, 99))]

    def points(statistic: str) -> tuple[float | None, ...]:
        alarm = replace(ALARM, statistic=statistic, evaluation_periods=2)
        return datapoints(alarm, [replace(one, at=one.at + 1000) for one in readings], 1000.0)

    assert points("Average") == (None, 7.0, 1.0, 4.0)
    assert points("Maximum") == (None, 7.0, 1.0, 8.0)
    assert points("Minimum") == (None, 7.0, 1.0, 1.0)
    assert points("Sum") == (None, 7.0, 1.0, 12.0)
    assert points("SampleCount") == (None, 1.0, 1.0, 3.0)


def test_a_policy_brings_the_two_alarms_that_aws_creates() -> None:
    policy = TargetTracking("p", 5.0)
    high, low = tracking_alarms(
        policy, ScalableTarget(imitate_aws=True), resource="endpoint/e/variant/AllTraffic", ids=("1a", "2b")
    )
    assert high.name == "TargetTracking-endpoint/e/variant/AllTraffic-AlarmHigh-1a"
    assert low.name == "TargetTracking-endpoint/e/variant/AllTraffic-AlarmLow-2b"
    assert (high.threshold, high.comparison, high.evaluation_periods, high.period_s) == (
        5,
        "GreaterThanThreshold",
        3,
        60,
    )
    assert (low.threshold, low.comparison, low.evaluation_periods, low.period_s) == (4.5, "LessThanThreshold", 15, 60)


@given(st.floats(0, 3600))
def test_our_low_alarm_looks_back_over_the_whole_scale_in_cooldown(cooldown: float) -> None:
    _, low = tracking_alarms(TargetTracking("p", 5.0, scale_in_cooldown_s=cooldown), ScalableTarget())
    assert low.period_s * low.evaluation_periods == pytest.approx(max(cooldown, 10))
    assert low.period_s <= 60
