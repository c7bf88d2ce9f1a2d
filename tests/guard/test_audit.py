"""Audits and what follows from verdicts: unbiased estimates, bounds that hold while one looks, thresholds that keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from modelwright.errors import SettingError
from modelwright.guard.audit import audited_risk, drawn
from modelwright.guard.betting import evidence_above, evidence_below, interval
from modelwright.guard.recalibrate import recalibrated
from modelwright.records import Verdict


def verdict(number: int, wrong: bool, score: float = 0.0, propensity: float = 1.0, reason: str = "audit") -> Verdict:
    return Verdict(f"item {number}", "dog" if wrong else "cat", "cat", "ann", "", reason, score, propensity)


# --- the draw ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(), max_size=20), st.floats(0, 1), st.integers(0, 9))
def test_a_key_is_drawn_always_or_never(keys, share, seed) -> None:
    kept = drawn(keys, share, seed)
    assert drawn(keys[::-1], share, seed).tolist() == kept[::-1].tolist()
    assert not drawn(keys, 0.0, seed).any()
    assert drawn(keys, 1.0, seed).all()
    assert (drawn(keys, share / 2, seed) <= kept).all()


def test_as_many_are_drawn_as_the_share_says() -> None:
    keys = [f"comment {number}" for number in range(20_000)]
    assert binomtest(int(drawn(keys, 0.05, 0).sum()), 20_000, 0.05).pvalue > 0.01
    both = drawn(keys, 0.5, 1) & drawn(keys, 0.5, 2)
    assert binomtest(int(both.sum()), 20_000, 0.25).pvalue > 0.01


# --- the estimate -----------------------------------------------------------------------------------------------------


def test_the_risk_among_accepted_is_estimated_without_bias() -> None:
    """Half of the accepted are sure and 2 % of these wrong, half are not and 30 % of these wrong: 16 % in all. Audits
    look ten times more often at the unsure. The plain share of errors is far off, the weighted one is not."""
    draw = np.random.default_rng(0)
    estimates, plain = [], []
    for _ in range(60):
        unsure = draw.random(3000) < 0.5
        wrong = draw.random(3000) < np.where(unsure, 0.3, 0.02)
        propensity = np.where(unsure, 0.5, 0.05)
        kept = draw.random(3000) < propensity
        audits = [verdict(n, bool(wrong[n]), 0.0, float(propensity[n])) for n in np.flatnonzero(kept)]
        found = audited_risk(audits)
        assert found.low <= found.risk <= found.high
        estimates.append(found.risk)
        plain.append(found.wrong / found.judged)
    assert np.mean(estimates) == pytest.approx(0.16, abs=0.006)
    assert np.mean(plain) > 0.25


def test_what_was_deferred_or_copied_says_nothing_of_the_accepted() -> None:
    deferred = [verdict(n, True, reason="uncertain") for n in range(50)]
    copied = [Verdict("c", "dog", "cat", "ann", "", "audit", copied_from="item 1")]
    found = audited_risk([*deferred, *copied, *(verdict(n, n == 0) for n in range(50, 60))])
    assert (found.judged, found.wrong, found.risk) == (10, 0, 0.0)
    nothing = audited_risk(deferred)
    assert (nothing.risk, nothing.low, nothing.high, nothing.judged) == (None, 0.0, 1.0, 0)


# --- bets -------------------------------------------------------------------------------------------------------------

VALUES = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=30).map(np.array)


@settings(max_examples=60)
@given(VALUES, st.floats(0.01, 0.98), st.floats(0.001, 0.019))
def test_what_is_ruled_out_is_ruled_out_from_there_on(data, mean, step) -> None:
    values, weights = data.T
    assert evidence_below(values, weights, mean) <= evidence_below(values, weights, mean + step) + 1e-9
    assert evidence_above(values, weights, mean) >= evidence_above(values, weights, mean + step) - 1e-9


@settings(max_examples=40)
@given(VALUES)
def test_an_interval_holds_the_weighted_mean_and_is_mirrored_with_its_values(data) -> None:
    values, weights = data.T
    low, high = interval(values, weights, 0.95)
    assert low - 1e-9 <= np.average(values, weights=weights) <= high + 1e-9
    if low > 0.001:
        assert evidence_above(values, weights, low) == pytest.approx(np.log(2 / 0.05), abs=1e-3)
    if high < 0.999:
        assert evidence_below(values, weights, high) == pytest.approx(np.log(2 / 0.05), abs=1e-3)
    mirrored = interval(1 - values, weights, 0.95)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)
    assert low >= interval(values, weights, 0.99)[0] - 1e-9


@pytest.mark.parametrize("rate", [0.03, 0.4])
def test_the_truth_is_hardly_ever_outside_though_one_looks_after_every_verdict(rate: float) -> None:
    """Ville's inequality: the share of streams whose interval ever misses the truth is below alpha."""
    draw = np.random.default_rng(7)
    outside = 0
    for _ in range(150):
        wrong = (draw.random(120) < rate).astype(float)
        weights = draw.choice([0.1, 1.0], 120)
        looks = ((wrong[:n], weights[:n]) for n in range(1, 121, 2))
        outside += any(
            max(evidence_above(*look, rate), evidence_below(*look, rate)) >= np.log(2 / 0.1) for look in looks
        )
    assert binomtest(outside, 150, 0.1, "greater").pvalue > 0.01


def test_an_interval_closes_in() -> None:
    """Of 2000 verdicts 100 are errors: the interval is at most twice as wide as the exact one for a single look."""
    wrong = np.zeros(2000)
    wrong[::20] = 1
    low, high = interval(wrong, np.ones(2000), 0.95)
    exact = binomtest(100, 2000).proportion_ci(0.95, "exact")
    assert low < exact.low < 0.05 < exact.high < high
    assert high - low < 2 * (exact.high - exact.low)


# --- a new threshold --------------------------------------------------------------------------------------------------

CANDIDATES = np.linspace(0.1, 0.9, 9)


def traffic(draw: np.random.Generator, count: int, threshold: float = 0.5, audit: float = 0.2) -> list[Verdict]:
    """Scores are uniform; of a score s the square of s is the rate of errors. Up to the threshold 1 in 5 is audited."""
    score = draw.random(count)
    wrong = draw.random(count) < score**2
    kept = (score > threshold) | (draw.random(count) < audit)
    return [
        verdict(
            n, bool(wrong[n]), float(score[n]), *((audit, "audit") if score[n] <= threshold else (1.0, "uncertain"))
        )
        for n in np.flatnonzero(kept)
    ]


def test_a_threshold_that_is_recalibrated_keeps_its_risk() -> None:
    """Among the accepted up to t the true risk is t^2 / 3. In 5 % of runs at most is too large a one chosen."""
    draw = np.random.default_rng(3)
    found = [recalibrated(traffic(draw, 1500), CANDIDATES, 0.12) for _ in range(60)]
    broken = sum(one.threshold is not None and one.threshold**2 / 3 > 0.12 for one in found)
    assert binomtest(broken, 60, 0.05, "greater").pvalue > 0.01


def test_with_many_verdicts_the_best_candidate_is_found_and_its_numbers_are_true() -> None:
    found = recalibrated(traffic(np.random.default_rng(4), 40_000), CANDIDATES, 0.12)
    assert found.holds
    assert found.threshold == pytest.approx(0.5)  # 0.6 would be exactly at the risk
    assert found.estimate == pytest.approx(0.5**2 / 3, abs=0.01)
    assert found.accepted == pytest.approx(0.5, abs=0.01)


def test_without_weights_a_threshold_would_be_too_strict() -> None:
    """Deferred items are all looked at, accepted ones seldom: counted alike, most accepted would seem bad."""
    verdicts = traffic(np.random.default_rng(5), 20_000, threshold=0.3, audit=0.05)
    counted = [Verdict(v.key, v.label, v.predicted, v.reviewer, v.at, v.reason, v.score) for v in verdicts]
    weighted, plain = (recalibrated(some, CANDIDATES, 0.14).threshold for some in (verdicts, counted))
    assert weighted is not None
    assert plain is None or plain < weighted


def test_where_nothing_can_be_promised_it_is_said() -> None:
    none = recalibrated([], CANDIDATES, 0.05)
    assert not none.holds
    assert "no verdict" in none.why
    few = recalibrated([verdict(n, False) for n in range(5)], CANDIDATES, 0.05)
    assert not few.holds
    assert "0 of 5 verdicts" in few.why
    unavailable = Verdict("u", "cat", "cat", "ann", "", score=None)
    assert recalibrated([unavailable] * 500, CANDIDATES, 0.05).judged == 0


@pytest.mark.parametrize("bad", [([], 0.1, 0.9), ([np.nan], 0.1, 0.9), ([1.0], 0.0, 0.9), ([1.0], 0.1, 1.0)])
def test_what_cannot_be_asked_is_refused(bad) -> None:
    with pytest.raises(SettingError):
        recalibrated([], *bad)
