"""The page of a capacity plan: its numbers are the record's, and every end that a replay can come to has a page."""

import html
import json
import re
from typing import Any

import msgspec
import pytest

from modelwright.records.autoscaling import Activity, ScalableTarget, StepAdjustment, StepScaling, TargetTracking
from modelwright.records.capacity import CapacityFindings, CapacityPlan, Fleet, Latency, Spread, Timeline
from modelwright.report.serve_charts import arrivals_chart, backlog_chart, clock, instances_chart, tradeoff_chart
from modelwright.report.serve_plan import latency_words, outcome, policy_words, serve_plan_page

replace = msgspec.structs.replace

LINE = Timeline(
    slice_s=900.0,
    arrived=(3, 0, 40, 2),
    backlog=(2, 0, 31, 1),
    instances=(1, 1, 4, 2),
    starting=(0, 0, 3, 0),
    draining=(0, 0, 0, 2),
    desired=(1, 1, 4, 1),
)
PLAN = CapacityPlan(
    name="target 5, 0 to 5",
    target=ScalableTarget(0, 5),
    policies=(TargetTracking("target", 5.0),),
    arrived=45,
    finished=41,
    dead=1,
    expired=3,
    unfinished=0,
    waiting=Spread(12.5, 2.5, 40.0, 47.0, 61.0, 75.0),
    response=Spread(15.5, 5.5, 43.0, 50.0, 64.0, 78.0),
    seconds=3600.0,
    instance_hours=2.25,
    cost=4.5,
    utilization=0.625,
    peak=6,
    scale_outs=2,
    scale_ins=1,
    activities=(Activity(1800.0, 1, 4, "monitor alarm high in state ALARM triggered policy target", "", "Successful"),),
    timeline=LINE,
)
FIXED = replace(
    PLAN, name="always 3", policies=(), target=ScalableTarget(3, 3), cost=6.0, instance_hours=3.0, activities=(),
    waiting=Spread(1.0, 0.0, 2.0, 3.0, 4.0, 5.0),
)  # fmt: skip
FOUND = CapacityFindings(
    traffic="trace.csv",
    requests=45,
    duration_s=3000.0,
    busiest=17,
    latency="3.00 s each",
    fleet=Fleet(price_per_hour=2.0),
    seed=0,
    plans=(PLAN, FIXED),
)


def options(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]


def points(option: dict[str, Any], name: str) -> list[list[float]]:
    return [point["value"] for series in option["series"] if series.get("name") == name for point in series["data"]]


def test_the_page_tells_what_the_record_tells() -> None:
    page = serve_plan_page(FOUND, made_by="modelwright serve plan")
    for told in ("12.5 s", "47.0 s", "1 min 1 s", "2.25", "4.50", "62.5%", "at most 17 a minute", "trace.csv"):
        assert told in page
    assert "41 of 45 requests finished, 3 expired, 1 used up their attempts." in page
    assert "does not scale" in page
    assert "1 to 4" in page
    assert len(options(page)) == 2 + 2 * 2
    assert "http:" not in re.sub(r"<script>.*?</script>|<style>.*?</style>", "", page, flags=re.DOTALL)


def test_rows_hold_the_cost_only_where_a_price_is_known() -> None:
    priced = outcome(FOUND)
    assert [len(row) for row in priced.rows] == [len(priced.headings)] * 2
    assert dict(zip(priced.headings, priced.rows[0], strict=True))[">lost"] == "4"
    free = outcome(replace(FOUND, fleet=Fleet()))
    assert ">cost" not in free.headings
    assert [len(row) for row in free.rows] == [len(free.headings)] * 2
    assert "instance-hours" in serve_plan_page(replace(FOUND, fleet=Fleet()))


def test_lines_are_drawn_as_steps_from_the_beginning_to_the_end() -> None:
    chart = instances_chart(PLAN)
    assert points(chart.option, "ready") == [[0, 1], [30, 4], [45, 2], [60, 2]]
    assert points(chart.option, "sought") == [[0, 1], [30, 4], [45, 1], [60, 1]]
    assert points(chart.option, "draining")[-1] == [60, 2]
    assert not points(instances_chart(replace(PLAN, timeline=replace(LINE, draining=(0, 0, 0, 0)))).option, "draining")
    assert points(backlog_chart(PLAN, 10.0).option, "backlog") == [[0, 2], [15, 0], [30, 31], [45, 1], [60, 1]]
    rates = points(arrivals_chart(FOUND).option, "requests a minute")
    assert sum(y for _, y in rates[:-1]) * LINE.slice_s / 60 == pytest.approx(45)


def test_plans_are_held_against_one_another_where_there_are_two() -> None:
    chart = tradeoff_chart(FOUND)
    assert chart is not None
    assert points(chart.option, "target 5, 0 to 5") == [[4.5, 47.0]]
    assert points(chart.option, "always 3") == [[6.0, 3.0]]
    assert tradeoff_chart(replace(FOUND, plans=(PLAN,))) is None
    assert len(options(serve_plan_page(replace(FOUND, plans=(PLAN,))))) == 3


def test_a_replay_in_which_nothing_happened_has_a_page() -> None:
    line = Timeline(10.0, (0,), (0,), (0,), (0,), (0,), (0,))
    empty = replace(
        PLAN, arrived=0, finished=0, dead=0, expired=0, waiting=Spread(), response=Spread(), seconds=0.0, timeline=line,
        activities=(),
    )  # fmt: skip
    page = serve_plan_page(replace(FOUND, requests=0, plans=(empty, empty)))
    assert "No request was started." in page
    assert "0 of 0 requests finished" in page


def test_words_say_what_is_meant() -> None:
    step = StepScaling("wake", (StepAdjustment(1, 0.0),))
    assert policy_words(step) == "wake: ChangeInCapacity +1 on no alarm yet; cooldown 5 min 0 s"
    assert "never scales in" in policy_words(TargetTracking("t", 5.0, disable_scale_in=True))
    assert latency_words(Latency("constant", 3.0)) == "3.00 s each"
    assert latency_words(None, sized=True) == "times of the trace, in proportion to their size"
    assert latency_words(Latency("sample", 2.0, sample=(1.0, 3.0))) == (
        "times drawn from 2 measured ones, 2.00 s on average"
    )


def test_times_are_told_in_a_unit_that_fits() -> None:
    assert [clock(seconds).unit for seconds in (0, 299, 300, 7199, 7200, 86400, 400_000)] == [
        *("seconds", "seconds", "minutes", "minutes", "hours", "hours", "days")
    ]


def test_names_from_outside_are_words_only() -> None:
    evil = "</script><script>alert(1)</script>"
    page = serve_plan_page(replace(FOUND, traffic=evil, plans=(replace(PLAN, name=evil), FIXED)), made_by=evil)
    assert evil not in page
    assert html.escape(evil) in page
