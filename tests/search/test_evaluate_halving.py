"""Successive halving: the best of a rung go on, each once, none that failed; rank agreement by its definition."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import SettingError, TrainingError
from modelwright.records import Architecture, ConvStem, Epoch, Learning, MBConv, PoolHead, Recipe, Stage, Trial
from modelwright.records.measurement import Device
from modelwright.search.evaluate import Judge, Judgement, agreement, held_against, promotions, rungs

BUDGETS = (1, 3, 9)
HERE = Device("cpu", "a machine", 1, {})
accuracies = st.lists(st.integers(0, 1000), min_size=1, max_size=30, unique=True)


def ended(number: int, accuracy: float, budget: int = 1, state: str = "finished", **costs: float) -> Trial:
    return Trial(number, {}, state, {"accuracy": accuracy, **costs}, budget)


def trained(number: int, curve: list[float], **costs: float) -> Trial:
    """A trial as its last run left it, with the accuracy after each epoch."""
    epochs = tuple(Epoch(place, 1.0, accuracy, 1.0, 0.1) for place, accuracy in enumerate(curve, 1))
    learning = Learning("a", "b", Recipe(), epochs, curve[-1], None, False, HERE)
    return Trial(number, {}, "finished", {"accuracy": curve[-1], **costs}, len(curve), learning=learning)


# --- rungs ------------------------------------------------------------------------------------------------------------


@given(epochs=st.integers(1, 500), eta=st.integers(2, 5), least=st.integers(1, 20))
def test_rungs_rise_by_eta_to_the_whole_training(epochs: int, eta: int, least: int) -> None:
    found = rungs(epochs, eta, least)
    assert found[-1] == epochs
    assert all(low == high // eta for low, high in itertools.pairwise(found))
    assert found[0] // eta < least
    assert len(found) == 1 or found[0] >= least


def test_the_rungs_of_the_paper_are_powers_of_eta() -> None:
    assert rungs(256, 4) == (1, 4, 16, 64, 256)
    assert rungs(12) == (1, 4, 12)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"epochs": 9, "eta": 1}, {"epochs": 9, "least": 0}])
def test_rungs_that_mean_nothing_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingError, match="must be at least"):
        rungs(**wrong)


# --- one rung ---------------------------------------------------------------------------------------------------------


@given(accuracies, st.integers(2, 5))
def test_the_best_share_goes_on_and_the_best_of_all_first(values: list[int], eta: int) -> None:
    found = promotions([ended(number, value / 1000) for number, value in enumerate(values)], BUDGETS, eta)
    best = sorted(range(len(values)), key=lambda number: -values[number])
    assert found == [(number, 3) for number in best[: len(values) // eta]]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20),
    st.integers(2, 3),
)
def test_nobody_goes_on_while_one_that_dominates_it_stays(values: list[tuple], eta: int) -> None:
    trials = [
        ended(number, accuracy, latency_s=latency, throughput_per_s=rate)
        for number, (accuracy, latency, rate) in enumerate(values)
    ]
    chosen = {number for number, _ in promotions(trials, BUDGETS, eta)}
    assert len(chosen) == len(values) // eta
    most = max(value[0] for value in values)
    assert any(values[number][0] == most for number in chosen)
    for stays in set(range(len(values))) - chosen:
        for goes in chosen:
            better = [values[stays][0] >= values[goes][0], values[stays][1] <= values[goes][1]]
            better.append(values[stays][2] >= values[goes][2])
            assert not all(better) or values[stays] == values[goes]


@given(accuracies)
def test_a_better_accuracy_never_costs_a_trial_its_promotion(values: list[int]) -> None:
    trials = [ended(number, value / 1000) for number, value in enumerate(values)]
    for number, _ in promotions(trials, BUDGETS):
        raised = [*trials]
        raised[number] = ended(number, values[number] / 1000 + 0.5)
        assert number in {other for other, _ in promotions(raised, BUDGETS)}


def test_costs_that_are_named_are_all_that_count() -> None:
    trials = [ended(0, 0.9, flops=3, params=1), ended(1, 0.8, flops=2, params=9), ended(2, 0.7, flops=5, params=2)]
    assert promotions(trials, BUDGETS, 2, costs=["flops"]) == [(0, 3)]
    four = [*trials, ended(3, 0.6, flops=1, params=5)]
    assert promotions(four, BUDGETS, 2, costs=["flops"]) == [(0, 3), (1, 3)]
    assert promotions(four, BUDGETS, 2, costs=["params"]) == [(0, 3), (1, 3)]
    assert promotions(four[1:], BUDGETS, 3, costs=["params"]) == [(1, 3)]
    assert promotions([ended(0, 0.5, flops=1), ended(1, 0.9)], BUDGETS, 2) == [(1, 3)]


def test_nothing_comes_of_nothing() -> None:
    assert promotions([], BUDGETS) == []
    assert promotions([ended(0, 0.5), ended(1, 0.6)], BUDGETS) == []
    assert promotions([ended(number, 0.5) for number in range(9)], (9,)) == []


# --- over time --------------------------------------------------------------------------------------------------------

arrivals = st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=1, max_size=40)


@given(arrivals, st.booleans())
def test_a_search_that_runs_on_promotes_none_twice_and_none_that_failed(order: list, latest: bool) -> None:
    """Trials arrive one by one, some fail at the next rung; rungs thin out, and nobody is forgotten."""
    log: dict[tuple[int, int], Trial] = {}
    seen: set[tuple[int, int]] = set()
    for number, (accuracy, fails) in enumerate(order):
        log[number, 1] = ended(number, accuracy / 1000, 1, "stopped" if fails else "finished")
        while True:
            known = dict(sorted(log.items()))
            trials = list({key[0]: trial for key, trial in known.items()}.values()) if latest else list(known.values())
            found = promotions(trials, BUDGETS)
            if not found:
                break
            goes, budget = found[0]
            assert (goes, budget) not in seen
            before = BUDGETS[BUDGETS.index(budget) - 1]
            assert log[goes, before].state != "failed"
            seen.add((goes, budget))
            log[goes, budget] = ended(goes, accuracy / 1000, budget, "failed" if order[goes][1] else "finished")
        counts = [sum(budget == other for _, other in log) for budget in BUDGETS]
        assert counts == sorted(counts, reverse=True)
        assert counts[0] == number + 1


def test_a_running_trial_is_not_promoted_and_keeps_its_place_below() -> None:
    rung = [ended(number, 0.9 - number / 10) for number in range(6)]
    assert promotions(rung, BUDGETS) == [(0, 3), (1, 3)]
    running = [Trial(0, {}, "running", budget=3), *rung[1:]]
    assert promotions(running, BUDGETS) == [(1, 3)]
    assert promotions([*running, Trial(6, {}, "running", budget=1)], BUDGETS) == [(1, 3)]
    failed = [Trial(0, {}, "failed", budget=3), Trial(1, {}, "failed", budget=3), *rung[2:]]
    assert promotions(failed, BUDGETS) == []


def test_a_latecomer_among_the_best_goes_on_as_in_the_paper() -> None:
    """0 went on as the best of three, then 3 came and was better: both have gone on, one more than a third."""
    known = [trained(0, [0.5, 0.6, 0.6]), ended(1, 0.4), ended(2, 0.3), ended(3, 0.9)]
    assert promotions(known, BUDGETS) == [(3, 3)]


def test_a_rung_that_was_left_is_ranked_by_what_was_seen_there() -> None:
    """0 is better by now, but was not after one epoch."""
    left = trained(0, [0.1, 0.7, 0.95])
    assert promotions([left, ended(1, 0.5), ended(2, 0.4)], BUDGETS) == [(1, 3)]


def test_the_highest_rung_comes_first() -> None:
    third = [ended(number, 0.5 + number / 100, 3) for number in range(3)]
    first = [ended(number, 0.6 + number / 100) for number in range(3, 9)]
    found = promotions([*third, *first], BUDGETS)
    assert found[0] == (2, 9)
    assert [budget for _, budget in found] == sorted((budget for _, budget in found), reverse=True)


# --- agreement --------------------------------------------------------------------------------------------------------

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=15)


@given(pairs)
def test_agreement_is_kendalls_tau_b_by_its_definition(found: list[tuple[int, int]]) -> None:
    couples = list(itertools.combinations(found, 2))
    score = sum(math.copysign(1, (a - c) * (b - d)) for (a, b), (c, d) in couples if a != c and b != d)
    untied = [sum(one[side] != other[side] for one, other in couples) for side in (0, 1)]
    expected = score / math.sqrt(untied[0] * untied[1]) if all(untied) else 0.0
    assert agreement("x", found).kendall == pytest.approx(expected, abs=1e-12)


@given(pairs)
def test_agreement_cares_for_ranks_only_and_takes_both_sides_alike(found: list[tuple[int, int]]) -> None:
    tau = agreement("x", found).kendall
    assert agreement("x", [(math.exp(a), b**3) for a, b in found]).kendall == pytest.approx(tau, abs=1e-12)
    assert agreement("x", [(b, a) for a, b in found]).kendall == pytest.approx(tau, abs=1e-12)
    assert agreement("x", [(-a, b) for a, b in found]).kendall == pytest.approx(-tau, abs=1e-12)


def test_one_candidate_ranks_nothing() -> None:
    with pytest.raises(SettingError, match="two candidates"):
        agreement("x", [(1.0, 1.0)])


class Said(Judge):
    """Says what it was told to; a candidate that it was not told of fails."""

    def __init__(self, words: dict[str, float]) -> None:
        self.words = words

    @property
    def rungs(self) -> tuple[int, ...]:
        return (1, 3)

    def judge(self, architecture: Architecture, point: dict, budget: int, name: str) -> Judgement:
        if name not in self.words:
            raise TrainingError("the loss must stay a finite number")
        return Judgement(self.words[name] * budget, None, f"word of {budget}")


def test_judges_are_held_against_each_other_where_both_can_judge() -> None:
    network = Architecture("a", (1, 8, 8), 10, ConvStem((8,)), (Stage(MBConv(8, 8, 8)),), PoolHead())
    candidates = {name: (network, {}) for name in "abcd"}
    found = held_against(Said({"a": 1, "b": 2, "c": 3}), Said({"a": 2, "b": 3, "d": 1}), candidates)
    assert found.kendall == 1.0
    assert found.evidence == "word of 3"
    assert found.pairs == ((3.0, 6.0), (6.0, 9.0))
