"""Trials at different budgets are made comparable without changing their order; the front and the family follow."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.records import Device, Epoch, Learning, Objective, Plan, Recipe, Space, Trial
from modelwright.search.objectives import keeps, losses
from modelwright.search.pareto import hypervolume, reference_point
from modelwright.search.standing import front, growth, levelled, spread

RUNGS = (1, 3, 9)
PLAN = Plan(Space("any", (), "", {}), (Objective("accuracy", None, "training"), Objective("latency_s", 6.0)), "", "x86")
SHARES = st.integers(0, 20).map(lambda number: number / 20)
ROWS = st.lists(
    st.builds(lambda a, s: {"accuracy": a, "latency_s": float(s)}, SHARES, st.integers(1, 9)), min_size=1, max_size=7
)


def trial(number: int, *accuracies: float, seconds: float = 1.0) -> Trial:
    """One that was trained for as many epochs as there are accuracies."""
    epochs = tuple(Epoch(place, 1.0, accuracy, 1.0, 1e-3) for place, accuracy in enumerate(accuracies, 1))
    learning = Learning("any", "any", Recipe(), epochs, accuracies[-1], None, False, Device("cpu", "any", 1, {}))
    values = {"accuracy": accuracies[-1], "latency_s": seconds}
    return Trial(number, {}, "stopped", values, len(epochs), learning=learning)


def judged(rows: list[dict[str, float]]) -> list[Trial]:
    """Trials that went all the way."""
    return [Trial(number, {}, "finished", row, RUNGS[-1]) for number, row in enumerate(rows)]


def test_of_an_early_error_there_remains_what_remained_of_others() -> None:
    went_on = [trial(0, 0.6, 0.7, 0.8), trial(1, 0.4, 0.5, 0.7)]  # half of the error remained
    early = [trial(2, 0.5), trial(3, 0.2)]
    assert levelled([*went_on, *early], RUNGS) == pytest.approx([0.8, 0.7, 0.75, 0.6])


def test_what_remains_is_multiplied_from_rung_to_rung() -> None:
    whole = trial(0, 0.6, 0.7, 0.8, 0.85, 0.87, 0.88, 0.89, 0.9, 0.9)  # errors 0.4, then 0.2, then 0.1
    assert levelled([whole, trial(1, 0.2), trial(2, 0.4, 0.5, 0.7)], RUNGS) == pytest.approx([0.9, 0.8, 0.85])


@given(st.lists(st.lists(SHARES, min_size=1, max_size=3).filter(lambda row: len(row) != 2), max_size=9))
def test_nobody_is_taken_for_worse_and_those_of_one_rung_keep_their_order(rows: list[list[float]]) -> None:
    trials = [trial(number, *row) for number, row in enumerate(rows)]
    found = levelled(trials, RUNGS)
    assert all(now >= one.values["accuracy"] - 1e-12 for now, one in zip(found, trials, strict=True))
    for one, other in combinations(range(len(trials)), 2):
        if trials[one].budget == trials[other].budget and rows[one][-1] < rows[other][-1]:
            assert found[one] <= found[other]


def test_without_anyone_who_went_on_numbers_are_as_they_are() -> None:
    assert levelled([trial(0, 0.5), trial(1, 0.25)], RUNGS) == [0.5, 0.25]


@given(ROWS)
def test_a_trial_is_on_the_front_if_nothing_within_the_limits_is_better(rows: list[dict[str, float]]) -> None:
    trials = judged(rows)
    inside = [row for row in rows if keeps(PLAN.objectives, row)]
    found = [rows[one.number] for one in front(PLAN, trials, RUNGS)]
    best = {
        (row["accuracy"], row["latency_s"])
        for row in inside
        if not any(o["accuracy"] >= row["accuracy"] and o["latency_s"] <= row["latency_s"] and o != row for o in inside)
    }
    assert sorted((row["accuracy"], row["latency_s"]) for row in found) == sorted(best)


@given(ROWS)
def test_the_hypervolume_never_falls_and_ends_whole(rows: list[dict[str, float]]) -> None:
    shares = growth(PLAN, judged(rows), RUNGS)
    assert list(shares) == sorted(shares)
    if any(keeps(PLAN.objectives, row) for row in rows):
        assert shares[-1] == pytest.approx(1.0)
        assert len(shares) == len(rows)
    else:
        assert shares == ()


@given(ROWS, st.integers(1, 4))
def test_a_family_has_the_most_accurate_and_adds_near_the_most_that_can_be_added(
    rows: list[dict[str, float]], count: int
) -> None:
    found = spread(PLAN, rows, count)
    assert rows[found[0]]["accuracy"] == max(row["accuracy"] for row in rows)
    assert len(set(found)) == len(found) <= count
    every = losses(PLAN.objectives, rows)
    reference = reference_point(every)

    def added(places: list[int]) -> float:
        return hypervolume(every[[found[0], *places]], reference) - hypervolume(every[[found[0]]], reference)

    others = combinations(range(len(rows)), min(count - 1, len(rows)))
    most = max(added(list(places)) for places in others)
    assert added(found[1:]) >= (1 - 1 / np.e) * most - 1e-9


def test_of_nothing_there_is_no_family() -> None:
    assert spread(PLAN, [], 3) == []
    assert front(PLAN, [], RUNGS) == []
