"""What is told of groups: intervals are scipy's and hold as often as they say, and few are accused in vain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from modelwright.guard.decisions import Decisions
from modelwright.guard.subgroups import above, group_results, within


@given(st.integers(1, 400), st.floats(0, 1))
def test_an_interval_is_made_of_quantiles_of_beta(rows, share):
    count = round(rows * share)
    found = within(count, rows)
    assert found.low == pytest.approx(beta.ppf(0.025, count, rows - count + 1) if count else 0, abs=1e-9)
    assert found.high == pytest.approx(beta.ppf(0.975, count + 1, rows - count) if count < rows else 1, abs=1e-9)
    assert found.low <= count / rows <= found.high


def test_an_interval_holds_the_truth_as_often_as_it_says():
    seen = np.random.default_rng(0).binomial(60, 0.07, 2000)
    ends = {count: within(count, 60) for count in np.unique(seen).tolist()}
    assert np.mean([ends[count].low <= 0.07 <= ends[count].high for count in seen.tolist()]) >= 0.95


def test_of_many_groups_that_keep_the_promise_hardly_ever_one_is_accused():
    random = np.random.default_rng(1)
    accused = [
        any(above(int(errors), 80, 0.05, 20) == "beyond chance" for errors in random.binomial(80, 0.05, 20))
        for _ in range(400)
    ]
    assert np.mean(accused) <= 0.05
    assert (
        np.mean([above(int(errors), 80, 0.05, 20) == "beyond chance" for errors in random.binomial(80, 0.25, 400)])
        > 0.9
    )


def test_more_than_was_promised_is_said_to_be_more():
    assert above(5, 100, 0.05, 1) == "no"
    assert above(6, 100, 0.05, 1) == "perhaps"
    assert above(30, 100, 0.05, 1) == "beyond chance"
    assert above(0, 0, 0.05, 1) == "no"
    assert above(100, 100, None, 1) == "no"


@given(st.integers(0, 999))
def test_groups_add_up_and_their_calibration_is_their_own(seed):
    """Of group a every probability is the truth's; of b all are 1 and half are right."""
    random = np.random.default_rng(seed)
    group = np.array(["a", "b"], object)[random.permutation(np.arange(40) % 2)]
    probability = np.where(group == "a", 0.75, 1.0)
    places = {name: np.flatnonzero(group == name) for name in "ab"}
    wrong = np.zeros(40, bool)
    wrong[places["a"][:5]] = wrong[places["b"][:10]] = True
    reason = random.integers(0, 2, 40).astype(np.int8)
    found = Decisions(reason, np.zeros(40, np.int64), probability, np.zeros(40))
    a, b = group_results(found, wrong, group, "subgroup", ("a", "b", "none"), 0.05)
    assert (a.name, a.kind, a.rows, b.name) == ("a", "subgroup", 20, "b")
    assert (a.accuracy, a.probability, a.ece) == (0.75, 0.75, pytest.approx(0))
    assert (b.accuracy, b.probability, b.ece) == (0.5, 1.0, pytest.approx(0.5))
    for one in (a, b):
        taken = (reason[places[one.name]] == 0).sum()
        assert one.coverage == taken / 20
        assert one.risk == (wrong[places[one.name]] & (reason[places[one.name]] == 0)).sum() / taken


def test_a_group_of_which_nothing_is_known_is_told_of_with_nothing():
    lost = Decisions(np.full(3, 3, np.int8), np.full(3, -1), np.full(3, np.nan), np.full(3, np.nan))
    [found] = group_results(lost, np.ones(3, bool), np.array(["x"] * 3, object), "subgroup", ("x",), 0.05)
    assert (found.coverage, found.risk, found.risk_within, found.probability, found.above) == (
        0,
        None,
        None,
        None,
        "no",
    )
