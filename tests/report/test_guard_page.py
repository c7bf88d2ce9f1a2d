"""The page of a guard: its numbers are the record's, and every end that one can come to has a page."""

import html
import json
import re
from typing import Any

import msgspec
import numpy as np
import pytest

from modelwright.records import (
    DetectorTrial,
    EpochTrial,
    File,
    GuardEvaluation,
    GuardRecord,
    HeadRecord,
    OutlierTrial,
    Promise,
    ReliabilityBin,
)
from modelwright.records.evaluation import GroupResult, OutlierResult, RiskCurve, ScoreHistogram, ShownRow, Within
from modelwright.report import guard_page
from modelwright.report.guard import (
    choice_words,
    groups_table,
    outliers_table,
    risk_words,
    rows_table,
    trials_table,
    warnings,
)
from modelwright.report.guard_charts import (
    MOST_CLASSES,
    classes_chart,
    outliers_chart,
    reliability_chart,
    risk_chart,
)

replace = msgspec.structs.replace

PROMISE = Promise(0.05, 0.1, 0.95, True, "11 of 400 accepted rows were errors", 400, 11)
KINDS = (OutlierTrial("held-out", 0.84, 0.951, 0.213), OutlierTrial("between", 0.82, 0.707, 0.6))
TRIALS = (
    DetectorTrial("knn", {}, 0.83, (0.81, 0.85), 0.951, 0.213, 0.3, True, 0.012, 0.023, KINDS, "the best worst AUROC"),
    DetectorTrial("msp", {}, 0.842, (0.83, 0.854), 0.9, 0.3, 0.7, False, 0.0, 0.0, KINDS, "a worse worst AUROC"),
    DetectorTrial("energy", {}, 0.62, (0.6, 0.64), 0.902, 0.334, 0.0, False, 0.222, 0.051, KINDS, "less"),
)
GUARD = GuardRecord(
    artifact="a" * 64,
    detector="knn",
    settings={"neighbours": 10},
    threshold=1.25,
    temperature=1.5,
    least_probability=0.4,
    classes=("ant", "bee"),
    width=8,
    numbers=File("guard.safetensors", "0" * 64, 10),
    fitted=300,
    calibrated=200,
    promise=PROMISE,
    trials=TRIALS,
)


def group(
    name: str, kind: Any, rows: int, accuracy: float, coverage: float, risk: float | None, above: Any = "no"
) -> GroupResult:
    ends = (Within(0.613, 0.987), Within(0.614, 0.986), None if risk is None else Within(0.011, 0.321))
    return GroupResult(name, kind, rows, accuracy, coverage, risk, *ends, 0.777, 0.0444, above)


SHOWN = ShownRow("row-7", "bee", "ant", 0.987, 0.613, "")
REGRETTED = ShownRow("row-9", "bee", "bee", 0.913, 2.17, "out of distribution")
FOUND = GuardEvaluation(
    guard=GUARD,
    data="test.npz",
    rows=100,
    accuracy=0.91,
    coverage=0.8,
    risk=0.025,
    mixed_share=0.1,
    mixed_coverage=0.743,
    mixed_risk=0.0474,
    deferred={"out of distribution": 15, "uncertain": 5},
    ece=0.0321,
    brier=0.213,
    reliability=(ReliabilityBin(0, 0.5, 0, 0, 0), ReliabilityBin(0.5, 1, 100, 0.88, 0.91)),
    curves=(
        RiskCurve("by score", (0.01, 0.5, 1.0), (1.0, 0.01, 0.09)),
        RiskCurve("by probability", (0.5, 1.0), (0.02, 0.09)),
        RiskCurve("by score, 10% outliers", (0.5, 1.0), (0.03, 0.181)),
    ),
    histograms=(
        ScoreHistogram("ant", False, 0.0, 3.0, (30, 15, 5)),
        ScoreHistogram("bee", False, 0.0, 3.0, (20, 20, 10)),
        ScoreHistogram("spam", True, 0.0, 3.0, (1, 9, 30)),
    ),
    outliers=(OutlierResult("spam", 40, 0.225, 0.871, 0.451),),
    groups=(
        group("ant", "class", 50, 0.94, 0.86, 0.0233),
        group("bee", "class", 50, 0.88, 0.74, 0.027),
        group("night", "subgroup", 100, 0.91, 0.8, 0.025),
    ),
    surprising=(SHOWN,),
    regretted=(REGRETTED,),
)


def options(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]


def points(option: dict[str, Any], name: str) -> list[list[float]]:
    return [point["value"] for series in option["series"] if series.get("name") == name for point in series["data"]]


def test_the_page_tells_what_the_record_tells() -> None:
    page = guard_page(FOUND, made_by="modelwright guard evaluate")
    for told in ("80.0%", "2.5%", "74.3%", "4.7%", "22.5%", "87.1%", "45.1%", "row-7", "98.7%", "row-9", "night"):
        assert told in page
    assert "15 of 100 familiar rows deferred: out of distribution" in page
    assert html.escape(risk_words(GUARD)) in page
    assert "a" * 64 in page
    assert "modelwright guard evaluate" in page
    assert len(options(page)) == 4
    assert "http:" not in re.sub(r"<script>.*?</script>|<style>.*?</style>", "", page, flags=re.DOTALL)


def test_what_is_drawn_are_the_numbers() -> None:
    chart = risk_chart(FOUND)
    assert points(chart.option, "by score") == [[0.5, 0.01], [1.0, 0.09]]  # a hundredth of the rows tells nothing
    assert points(chart.option, "this guard, familiar rows") == [[0.8, 0.025]]
    assert points(chart.option, "this guard, 10.0% outliers") == [[0.743, 0.0474]]
    assert points(chart.option, "promised") == [[0, 0.05], [1, 0.05]]
    assert points(reliability_chart(FOUND).option, "predictions") == [[0.88, 0.91]]


def test_outlines_enclose_all_rows() -> None:
    for chart, name in (
        (outliers_chart(FOUND), "familiar"),
        (outliers_chart(FOUND), "spam"),
        (classes_chart(FOUND), "bee"),
    ):
        heights = [y for _, y in points(chart.option, name)[:-1]]  # the last closes the outline
        assert sum(heights) == pytest.approx(1)
    (limit, *_) = classes_chart(FOUND).option["series"]
    assert [point["value"][0] for point in limit["data"]] == [1.25, 1.25]


def test_of_many_classes_those_of_which_least_is_accepted_are_drawn() -> None:
    names = [f"class {number}" for number in range(30)]
    many = replace(
        FOUND,
        histograms=tuple(ScoreHistogram(name, False, 0.0, 3.0, (1, 2, 3)) for name in names),
        groups=tuple(group(name, "class", 6, 1.0, place / 30, 0.0) for place, name in enumerate(names)),
    )
    drawn = {series["name"] for series in classes_chart(many).option["series"] if "name" in series}
    assert drawn == set(names[:MOST_CLASSES])
    assert [row[0] for row in groups_table(many).rows] == names
    guard_page(many)


def test_tables_are_the_records() -> None:
    assert [row[0] for row in groups_table(FOUND).rows] == ["bee", "ant"]
    assert outliers_table(FOUND).rows == (("spam", "40", "22.5%", "87.1%", "45.1%"),)
    found = trials_table(GUARD)
    assert found.headings[4:6] == (">AUROC, held-out", ">AUROC, between")
    assert found.rows[0] == ("knn", "83.0%", "1.2% ± 2.3%", "30.0%", "95.1%", "70.7%", "chosen")
    assert [row[-1] for row in found.rows] == ["chosen", "as good", ""]
    assert "reason" not in rows_table(FOUND.surprising).headings
    assert rows_table(FOUND.regretted).rows[0][-1] == "out of distribution"


def test_the_page_says_why_this_detector_and_why_no_other() -> None:
    assert choice_words(GUARD) == "Why knn: the best worst AUROC."
    assert choice_words(replace(GUARD, trials=())) == ""
    page = guard_page(FOUND)
    for told in ("Why knn: the best worst AUROC.", "msp: a worse worst AUROC", "energy: less"):
        assert told in page


def test_a_group_is_told_with_its_intervals_and_its_calibration() -> None:
    data = groups_table(FOUND, "subgroup")
    assert data.rows == (
        *[("night", "100", "91.0%", "77.7%", "4.4%", "20.0%", "80.0% (61.4% to 98.6%)", "2.5% (1.1% to 32.1%)")],
    )
    none = replace(FOUND, groups=(group("dawn", "subgroup", 4, 1.0, 0.0, None),))
    assert groups_table(none, "subgroup").rows[0][-1] == "-"


def test_readers_are_warned_of_groups_with_more_errors_than_was_promised() -> None:
    groups = (
        group("ant", "class", 50, 0.9, 0.8, 0.1, "perhaps"),
        group("bee", "class", 50, 0.5, 0.8, 0.5, "beyond chance"),
        group("day", "subgroup", 60, 0.9, 0.5, 0.1, "perhaps"),
        group("night", "subgroup", 40, 0.5, 0.75, 0.4, "beyond chance"),
        group("noon", "subgroup", 40, 0.5, 0.75, 0.01),
    )
    found = replace(FOUND, groups=groups)
    bee, day, night = warnings(found)
    assert bee.startswith("Class bee: 20 of 40 accepted are errors, 50.0%, where at most 5.0% were promised of all;")
    assert day.startswith("Subgroup day: 3 of 30")
    assert "which chance may explain" in day
    assert night.startswith("Subgroup night: 12 of 30")
    assert "beyond what chance explains" in night
    assert [row[-1] for row in groups_table(found, "subgroup").rows] == ["more", "more, beyond chance", ""]
    page = guard_page(found)
    for told in (bee, day, night, "Above the promise"):
        assert html.escape(told) in page
    asked = replace(GUARD, promise=replace(PROMISE, holds=False))
    assert "were asked for of all" in warnings(replace(found, guard=asked))[0]
    assert warnings(FOUND) == ()
    assert "Above the promise" not in guard_page(FOUND)


def test_a_promise_that_is_not_given_is_not_told_as_one() -> None:
    broken = replace(PROMISE, holds=False, why="there are no outliers to learn from")
    words = risk_words(replace(GUARD, promise=broken))
    assert words.startswith("NOT promised")
    assert broken.why in words
    assert "no risk is promised" in risk_words(replace(GUARD, promise=None))
    page = guard_page(replace(FOUND, guard=replace(GUARD, promise=broken)))
    assert "NOT promised" in page
    assert points(options(page)[0], "promised") == []


def test_of_a_trained_head_the_page_tells_the_score() -> None:
    head = HeadRecord("outlier-mass", 3, 2, (5, 6), 64, 1, 0.0, (EpochTrial(3, 0.9, {"outlier-mass": 0.8}),))
    page = guard_page(replace(FOUND, guard=replace(GUARD, detector="reject", head=head)))
    assert "Head: reject, trained on" in page
    assert "outlier-mass" in page
    assert "Detector:" not in page


def test_every_end_has_a_page() -> None:
    empty = replace(
        FOUND,
        guard=replace(GUARD, promise=None, trials=(), artifact=""),
        data="",
        coverage=0.0,
        risk=None,
        mixed_share=0.0,
        mixed_risk=None,
        reliability=(),
        histograms=(),
        outliers=(),
        groups=(),
        surprising=(),
        regretted=(),
    )
    page = guard_page(empty)
    assert "No accepted row is an error." in page
    assert "No right prediction was deferred." in page
    assert "The model lives elsewhere." in page


def test_names_from_outside_are_words_only() -> None:
    evil = "</script><script>alert(1)</script>"
    shown = replace(SHOWN, key=evil, truth=evil, predicted=evil)
    page = guard_page(
        replace(
            FOUND,
            data=evil,
            surprising=(shown,),
            outliers=(replace(FOUND.outliers[0], name=evil),),
            histograms=(*FOUND.histograms[:2], replace(FOUND.histograms[2], name=evil)),
            groups=(replace(FOUND.groups[0], name=evil),),
        ),
        made_by=evil,
    )
    assert evil not in page
    assert html.escape(evil) in page


def test_scores_of_one_value_can_be_drawn() -> None:
    flat = replace(FOUND, histograms=tuple(replace(one, low=-0.5, high=0.5) for one in FOUND.histograms))
    heights = np.array(points(outliers_chart(flat).option, "familiar"))
    assert np.isfinite(heights).all()
