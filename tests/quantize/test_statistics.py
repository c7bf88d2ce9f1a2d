"""Paired comparison: the interval covers the truth, the test is the binomial one, and both see pairs only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modelwright.errors import SettingError
from modelwright.quantize.statistics import drop_interval, mcnemar

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def columns(pairs: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(pairs)
    return table[:, 0], table[:, 1]


def test_the_interval_covers_the_truth_nineteen_times_of_twenty() -> None:
    """Of 400 simulated judgings; the share's own standard error is 1.1 %."""
    rng = np.random.default_rng(0)
    lost, gained = 0.06, 0.03
    covered = 0
    for seed in range(400):
        fate = rng.choice(4, 500, p=[lost, gained, 0.7, 0.21])
        low, high = drop_interval((fate == 0) | (fate == 2), (fate == 1) | (fate == 2), resamples=1000, seed=seed)
        covered += low <= lost - gained <= high
    assert covered / 400 == pytest.approx(0.95, abs=0.03)


def test_the_interval_is_that_of_drawing_pairs_one_by_one() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.random(300) < 0.8, rng.random(300) < 0.7
    picks = rng.integers(0, 300, (4000, 300))
    drops = before[picks].mean(axis=1) - after[picks].mean(axis=1)
    assert drop_interval(before, after) == pytest.approx(np.quantile(drops, [0.025, 0.975]), abs=0.008)


@given(pairs=PAIRS)
def test_the_interval_holds_what_was_seen_and_turns_with_the_sign(pairs: list[tuple[bool, bool]]) -> None:
    before, after = columns(pairs)
    low, high = drop_interval(before, after, confidence=0.999)
    assert low - 1e-9 <= before.mean() - after.mean() <= high + 1e-9
    assert low >= -1
    assert high <= 1
    assert drop_interval(before, before) == (0.0, 0.0)


@given(pairs=PAIRS, seed=st.integers(0, 5))
def test_neither_the_order_of_samples_nor_a_second_call_changes_anything(
    pairs: list[tuple[bool, bool]], seed: int
) -> None:
    before, after = columns(pairs)
    shuffled = np.random.default_rng(seed).permutation(len(pairs))
    assert drop_interval(before, after, seed=seed) == drop_interval(before[shuffled], after[shuffled], seed=seed)
    assert mcnemar(before, after) == mcnemar(before[shuffled], after[shuffled])


@given(lost=st.integers(0, 300), gained=st.integers(0, 300), alike=st.integers(1, 20))
def test_mcnemars_p_is_the_binomial_tests(lost: int, gained: int, alike: int) -> None:
    before = np.repeat([True, False, True], [lost, gained, alike])
    after = np.repeat([False, True, True], [lost, gained, alike])
    expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar(before, after) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(after, before) == mcnemar(before, after)


def test_mcnemar_errs_as_often_as_it_says_at_most() -> None:
    rng = np.random.default_rng(2)
    found = [mcnemar(rng.random(200) < 0.8, rng.random(200) < 0.8) for _ in range(1000)]
    assert np.mean(np.array(found) < 0.05) <= 0.05 + 0.014


@pytest.mark.parametrize(
    ("before", "after"),
    [([True], [True, False]), ([], []), ([0, 1], [1, 1]), ([[True]], [[True]]), ([0.5], [0.5])],
)
@pytest.mark.parametrize("call", [drop_interval, mcnemar])
def test_only_booleans_about_the_same_samples_are_compared(call: object, before: list, after: list) -> None:
    with pytest.raises(SettingError, match="same samples"):
        call(before, after)
