"""The page of a search: every number is its record's, what is drawn as a front is one, and every end has its words."""

import html
import itertools
import re
import statistics
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.records.study import Findings, Member, Objective, Trial
from modelwright.report import search_page
from modelwright.report.candidates import basis, counted, keeps_limits, predicted, short_names
from modelwright.report.chosen import changes, changes_chart, reasons_table
from modelwright.report.curves import agreement_chart, learning_curves
from modelwright.report.family import columns_words, members_table
from modelwright.report.progress import best_so_far, causes, progress, trials_table
from modelwright.report.proxies import by_flops, by_model, flops_chart, model_words
from modelwright.report.quantity import percent, quantity, ratio
from modelwright.report.search import result, rival
from modelwright.report.trials import search_plane

Study = Callable[..., Findings]
replace = msgspec.structs.replace


def words(page: str) -> str:
    """What a reader reads: no tags, no scripts, no style."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", bare)).split())


def latency(member: Member) -> float:
    """Measured, as all are in the study that is made up."""
    assert member.measurement is not None
    return member.measurement.median_s


def series(option: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [point for one in option["series"] if one.get("name") == name for point in one["data"]]


def test_every_member_and_reference_stands_in_the_table_with_its_own_numbers(findings: Findings) -> None:
    data = members_table(findings)
    rows = {row[0]: dict(zip(data.headings, row, strict=True)) for row in data.rows}
    page = words(search_page(findings))
    for member in (*findings.family, *findings.references):
        row, taken, expected = rows[member.name], member.measurement, predicted(findings.plan, member)
        assert taken is not None
        assert expected
        assert row["role"] == ("reference" if member.trial is None else "member")
        assert row[">test accuracy"] == percent(member.learning.test_accuracy or 0)
        assert row[">validation"] == percent(member.learning.accuracy)
        assert row[">latency, measured"] == quantity(taken.median_s, "s")
        assert row[">predicted"] == quantity(expected, "s")
        assert row[">ratio"] == ratio(taken.median_s / expected)
        assert row[">FLOPs"] == quantity(member.estimates["flops"])
        assert row[">trial"] == ("" if member.trial is None else str(member.trial))
        assert " ".join(filter(None, data.rows[[*rows].index(member.name)])) in page


def test_the_result_holds_the_best_member_against_its_hardest_rival(findings: Findings) -> None:
    told, on = result(findings), basis([*findings.family, *findings.references])
    best = max(findings.family, key=lambda member: member.learning.accuracy)
    other = rival(findings.references, best, on)
    assert on.accuracy(other) >= on.accuracy(best), "in this study there is one"
    for reference in findings.references:
        assert on.accuracy(reference) < on.accuracy(best) or latency(reference) >= latency(other)
    factor = latency(other) / latency(best)
    verdict = f"is {ratio(factor)} as fast." if factor >= 1 else f"takes {ratio(1 / factor)} as long."
    assert told.startswith(
        f"{best.name} is right on {percent(on.accuracy(best))} of the test split and takes "
        f"{quantity(latency(best), 's')} (measured); the fastest reference at least as accurate, {other.name}, is "
        f"right on {percent(on.accuracy(other))} and takes {quantity(latency(other), 's')}: {best.name} {verdict}"
    )
    for member in findings.family:
        theirs = rival(findings.references, member, on)
        assert on.accuracy(theirs) >= on.accuracy(member)
        if member is not best:
            assert (
                f"{member.name} ({percent(on.accuracy(member))}) is {ratio(latency(theirs) / latency(member))}" in told
            )


def test_where_no_reference_is_as_accurate_the_most_accurate_one_is_the_rival(findings: Findings) -> None:
    best = findings.family[-1]
    winner = replace(best, learning=replace(best.learning, accuracy=0.99, test_accuracy=0.99))
    told = result(replace(findings, family=(winner,)))
    assert "the most accurate reference, efficientnet-x-b2, is right on 93.5%" in told


def test_networks_that_were_not_got_alike_are_not_called_so(findings: Findings) -> None:
    first, *others = findings.family
    assert "All were trained by one recipe, and measured on one machine." in columns_words(findings.family)
    longer = replace(first, learning=replace(first.learning, recipe=replace(first.learning.recipe, epochs=90)))
    assert "not all trained by one recipe" in columns_words([longer, *others])
    reseeded = replace(first, learning=replace(first.learning, recipe=replace(first.learning.recipe, seed=9)))
    assert "All were trained by one recipe" in columns_words([reseeded, *others])
    assert first.measurement is not None
    elsewhere = replace(first.measurement, device=replace(first.measurement.device, name="another"))
    assert "more than one machine" in columns_words([replace(first, measurement=elsewhere), *others])


def test_scores_of_untrained_networks_share_no_axis_with_accuracies(findings: Findings) -> None:
    scored = tuple(
        replace(trial, values={**trial.values, "accuracy": 1000 * trial.values["accuracy"]}) if trial.values else trial
        for trial in findings.trials
    )
    chart = search_plane(replace(findings, trials=scored, plan=replace(findings.plan, evidence="score")))
    assert chart is not None
    assert chart.option["yAxis"]["name"] == "score"
    assert series(chart.option, "family") == []
    assert "full training" not in chart.note


def test_without_a_measurement_of_all_estimates_are_compared_and_called_so(findings: Findings) -> None:
    partly = replace(findings, references=tuple(replace(one, measurement=None) for one in findings.references))
    assert "(estimated)" in result(partly)
    assert "Nothing was measured" not in words(search_page(partly))
    nothing = replace(partly, family=tuple(replace(one, measurement=None) for one in findings.family), predictions=())
    page = words(search_page(nothing))
    assert "Nothing was measured: every latency here is an estimate." in page
    assert "Predicted against measured" not in page


numbers = st.tuples(st.integers(1, 30).map(lambda n: n / 1000), st.integers(0, 20).map(lambda n: n / 20))


@given(st.lists(numbers, min_size=1, max_size=12), st.data())
def test_what_is_drawn_as_a_front_dominates_itself_nowhere(
    findings: Findings, points: list[tuple[float, float]], data: st.DataObject
) -> None:
    trials = tuple(
        Trial(number, {"depth": number}, "finished", {"latency_s": cost, "accuracy": accuracy})
        for number, (cost, accuracy) in enumerate(points)
    )
    best = tuple(sorted(data.draw(st.sets(st.integers(0, len(points) - 1), min_size=1))))  # even a record that errs
    chart = search_plane(replace(findings, trials=trials, front=best, family=(), references=()))
    assert chart is not None
    drawn = [tuple(point["value"]) for point in series(chart.option, "front of the trials")]
    assert drawn
    assert drawn == sorted(drawn)
    assert all(low[1] < high[1] for low, high in itertools.pairwise(drawn))
    every = drawn + [
        tuple(point["value"])
        for name in ("trials", "also best in a third number")
        for point in series(chart.option, name)
    ]
    assert sorted(every) == sorted(points), "each finished trial is drawn once"


def test_more_throughput_is_better_and_the_front_is_drawn_that_way_round(findings: Findings) -> None:
    plan = replace(findings.plan, objectives=(Objective("accuracy"), Objective("throughput_per_s", limit=100.0)))
    values = {0: (200.0, 0.7), 1: (150.0, 0.8), 2: (120.0, 0.75), 3: (90.0, 0.9)}
    trials = tuple(
        Trial(n, {}, "finished", {"throughput_per_s": rate, "accuracy": right}) for n, (rate, right) in values.items()
    )
    found = replace(findings, plan=plan, trials=trials, front=(0, 1, 3), family=(), references=(), hypervolume=())
    chart = search_plane(found)
    assert chart is not None
    assert [point["value"] for point in series(chart.option, "front of the trials")] == [
        [200.0, 0.7],
        [150.0, 0.8],
        [90.0, 0.9],
    ]
    assert [keeps_limits(trial, plan) for trial in trials] == [True, True, True, False]
    (best,) = progress(found)
    assert best.data.rows[-1][1] == "80.0%", "the most accurate one is too slow"


def test_failed_trials_are_told_and_not_drawn(findings: Findings) -> None:
    failed = [trial for trial in findings.trials if trial.state == "failed"]
    chart = search_plane(findings)
    assert chart is not None
    names = {point["card"][0] for one in chart.option["series"] for point in one["data"] if "card" in point}
    assert names.isdisjoint({f"trial {trial.number}" for trial in failed})
    drawn = {f"trial {trial.number}" for trial in findings.trials if trial.state in ("finished", "stopped")}
    assert drawn <= names
    listed = ", ".join(str(trial.number) for trial in failed)
    assert causes(findings, "failed") == [f"trials {listed}: CUDA out of memory at batch 512"]


def test_the_limit_stands_where_it_is(findings: Findings) -> None:
    chart = search_plane(findings)
    assert chart is not None
    lines = [
        one["data"] for one in chart.option["series"] if any(p.get("text") == "limit 6.00 ms" for p in one["data"])
    ]
    assert [[point["value"][0] for point in line] for line in lines] == [[0.006, 0.006]]


def test_a_point_tells_what_was_chosen_for_it(findings: Findings) -> None:
    chart, trial = search_plane(findings), findings.trials[findings.front[0]]
    assert chart is not None
    cards = {point["card"][0]: dict(point["card"][1:]) for one in chart.option["series"] for point in one["data"]
             if "card" in point}  # fmt: skip
    card = cards[f"trial {trial.number}"]
    for choice, value in trial.point.items():
        place, _, what = choice.rpartition(".")
        told = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        assert f"{what} {told}" in card[place or "network"].split(", ")
    member = next(one for one in findings.family if one.trial == trial.number)
    assert cards[member.name].items() >= {key: card[key] for key in card if key.startswith("stages")}.items()


def test_every_trial_is_a_row(findings: Findings) -> None:
    rows = trials_table(findings).rows
    assert [row[0] for row in rows] == [str(trial.number) for trial in findings.trials]
    on_front = {int(row[0]) for row in rows if row[-2] == "yes"}
    assert on_front == set(findings.front)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_the_best_so_far_only_rises_and_ends_with_the_best(values: list[float]) -> None:
    found = best_so_far(list(enumerate(values)))
    assert [value for _, value in found] == sorted({value for _, value in found})
    assert all(values[place] == value for place, value in found)
    assert not values or found[-1][1] == max(values)


def test_the_worst_network_for_flops_is_named_with_its_error(findings: Findings) -> None:
    pairs, chart = by_flops(findings), flops_chart(findings)
    assert chart is not None
    rate = statistics.median(pair.seconds / pair.proxy for pair in pairs)
    worst = max(pairs, key=lambda pair: abs(rate * pair.proxy / pair.seconds - 1))
    error = abs(rate * worst.proxy / worst.seconds - 1)
    assert f"{100 * error:.0f}% at worst: {worst.name} takes {quantity(worst.seconds, 's')}" in chart.note
    start, end = (point["value"] for point in series(chart.option, "proportional"))
    assert start[1] / start[0] == pytest.approx(rate) == end[1] / end[0]


def test_a_perfect_prediction_is_called_perfect(findings: Findings) -> None:
    exact = tuple(replace(p, predicted_s=p.measured_s) for p in findings.predictions)
    found = replace(findings, predictions=exact, family=(), references=())
    assert "median error 0%, largest 0%, rank correlation (Kendall's tau) 1.00" in model_words(found)
    assert "Measured is 1.00x estimated" in model_words(found)
    assert len(by_model(found)) == len(exact)


def test_calibrated_predictions_are_judged_by_themselves(findings: Findings) -> None:
    both = (
        *findings.predictions,
        *(replace(p, predicted_s=p.measured_s, source="calibrated") for p in findings.predictions),
    )
    told = model_words(replace(findings, predictions=both))
    count = len(findings.predictions) + len(findings.family) + len(findings.references)
    assert f"The performance model: {count} networks" in told
    assert f"Calibrated by a few measurements: {len(findings.predictions)} networks, median error 0%" in told


def test_changes_are_held_against_the_largest_member(findings: Findings) -> None:
    base = counted(findings, findings.family[-1], "latency_s")
    found = changes(findings)
    assert base
    assert found
    for change in found:
        assert change.cost == pytest.approx(base * (1 + change.gain))
    assert [abs(change.gain) for change in found] == sorted((abs(c.gain) for c in found), reverse=True)
    assert {(change.choice, change.value) for change in found} == {
        (reason.choice, value)
        for reason in findings.reasons
        for value, (_, cost) in reason.effects.items()
        if cost != base
    }
    rows = reasons_table(findings).rows
    assert [f"{place}.{what}".removeprefix("network.") for place, what, *_ in rows] == [
        reason.choice for reason in findings.reasons
    ]
    chart = changes_chart(findings)
    assert chart is not None
    bars = chart.option["series"][0]["data"]
    assert [bar["value"] for bar in bars] == [change.gain for change in found[: len(bars)]]


def test_sisters_are_told_apart_in_a_word_where_the_key_names_their_family(findings: Findings) -> None:
    assert set(short_names(findings.references).values()) == {"b0", "b1", "b2"}
    alone = findings.references[:1]
    assert short_names(alone) == {alone[0].name: alone[0].name}
    chart = search_plane(findings)
    assert chart is not None
    named = {
        (one["name"], point["text"])
        for one in chart.option["series"]
        for point in one["data"]
        if "text" in point
        if "card" in point
    }
    assert named == {
        *((kind, f"b{size}") for kind in ("efficientnet", "efficientnet-x") for size in range(3)),
        *(("family", member.name) for member in findings.family),
    }


def test_learning_curves_hold_every_epoch_of_every_network(findings: Findings) -> None:
    by_epoch, by_time = learning_curves(findings)
    for chart in (by_epoch, by_time):
        drawn = sorted(p["value"][1] for one in chart.option["series"] for p in one["data"])
        assert drawn == sorted(
            epoch.accuracy for one in (*findings.family, *findings.references) for epoch in one.learning.epochs
        )


def test_agreement_is_drawn_pair_by_pair_with_its_correlation(findings: Findings) -> None:
    for found in findings.agreements:
        chart = agreement_chart(found)
        assert [tuple(point["value"]) for point in chart.option["series"][0]["data"]] == list(found.pairs)
        assert f"tau {found.kendall:.3f}" in chart.note


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"trials": (), "family": (), "front": (), "hypervolume": (), "references": ()}, "No trial was begun."),
        ({"family": (), "reasons": ()}, "No network came of it."),
        ({"references": ()}, "of the test split and takes"),
        ({"notes": ("No candidate keeps the limit of 1.00 ms.",)}, "No candidate keeps the limit of 1.00 ms."),
        ({"agreements": (), "reasons": (), "predictions": (), "hypervolume": ()}, "How this was got"),
    ],
)
def test_every_end_has_its_words(study: Study, changed: dict[str, Any], told: str) -> None:
    assert told in words(search_page(study(**changed)))


def test_a_search_whose_every_trial_failed_says_so_and_why(findings: Findings) -> None:
    failed = tuple(replace(trial, state="failed", values={}, reason="no memory") for trial in findings.trials)
    page = words(search_page(replace(findings, trials=failed, front=(), family=(), hypervolume=())))
    assert "No trial has both an accuracy and a latency." in page
    assert "48 trials: 48 failed." in page
    assert "no memory" in page


def test_a_search_of_one_trial_has_a_page(findings: Findings) -> None:
    only = replace(findings.trials[findings.front[0]], number=0)
    member = replace(findings.family[0], trial=0)
    one = replace(
        findings, trials=(only,), front=(0,), family=(member,), references=(), hypervolume=(0.5,), predictions=()
    )
    page = words(search_page(one))
    assert member.name in page
    assert "1 trial: 1 finished." in page


def test_where_the_search_chose_numbers_members_stand_with_theirs(findings: Findings) -> None:
    """Nothing is said of precision where it was no choice."""
    assert "precision" not in members_table(findings).headings
    first, *others = findings.family
    own = replace(first, precision="int8", accuracies={"validation": 0.5, "test": 0.25})
    found = replace(findings, family=(own, *others))
    data = members_table(found)
    rows = {row[0]: dict(zip(data.headings, row, strict=True)) for row in data.rows}
    assert (rows[own.name]["precision"], rows[own.name][">validation"], rows[own.name][">test accuracy"]) == (
        "int8",
        percent(0.5),
        percent(0.25),
    )
    assert all(rows[one.name]["precision"] == findings.plan.precision for one in findings.references)
    assert basis(found.family).accuracy(own) == 0.25
