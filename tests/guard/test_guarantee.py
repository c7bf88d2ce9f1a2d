"""A promise is kept as often as it says, at the share of outliers it names; calibrated without outliers it is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from modelwright.errors import SettingError
from modelwright.guard.acceptance import Judged, masses, mixture_weights, most_right, rules_of
from modelwright.guard.guarantee import guarantee, mixed, passes
from modelwright.records import GuardPlan

RISK, CONFIDENCE, REPEATS = 0.05, 0.9, 200
FAR = 2.5
"""Outliers' scores are normal around this, others' around 0."""


def chances(random, count):
    """Probabilities 1 - u^2 / 2, u uniform."""
    return 1.0 - random.random(count) ** 2 / 2


def familiar(random, count):
    """A prediction is right with its probability; the score is independent of both."""
    probability = chances(random, count)
    return Judged(random.normal(size=count), probability, random.random(count) > probability)


def strange(random, count):
    return Judged(FAR + random.normal(size=count), chances(random, count), np.ones(count, bool))


def true_risk(threshold, least, share):
    """The error rate among the accepted: where 1 - u^2 / 2 >= least, the mean of u^2 / 2 is (1 - least) / 3."""
    mean_error = min(1 - least, 0.5) / 3
    inside, outside = (1 - share) * norm.cdf(threshold), share * norm.cdf(threshold - FAR)
    return (inside * mean_error + outside) / (inside + outside)


def plan(share, seed, risk=RISK):
    return GuardPlan(risk=risk, ood_share=share, confidence=CONFIDENCE, seed=seed)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.2])
def test_a_promise_is_kept_as_often_as_it_says(share):
    broken, given_ = 0, 0
    for seed in range(REPEATS):
        random = np.random.default_rng(seed)
        found = guarantee(familiar(random, 2000), strange(random, 800), plan(share, seed))
        given_ += found.promise.holds
        broken += found.promise.holds and true_risk(found.threshold, found.least_probability, share) > RISK
    assert broken <= (1 - CONFIDENCE) * REPEATS
    assert given_ >= REPEATS / 2


def test_calibrated_without_outliers_a_promise_is_broken_by_them():
    """What is promised of no outliers is not kept at 10 %, in nearly every repetition."""
    broken = []
    for seed in range(REPEATS):
        random = np.random.default_rng(seed)
        found = guarantee(familiar(random, 2000), None, plan(0.0, seed))
        if found.promise.holds:
            broken.append(true_risk(found.threshold, found.least_probability, 0.1) > RISK)
    assert len(broken) > REPEATS / 2
    assert np.mean(broken) > 0.9


def test_where_no_rule_keeps_the_risk_nothing_is_promised():
    random = np.random.default_rng(0)
    hopeless = Judged(random.normal(size=500), np.full(500, 0.6), random.random(500) > 0.6)  # wrong in 40 %
    found = guarantee(hopeless, None, plan(0.0, 0))
    assert not found.promise.holds
    assert "shows no error rate" in found.promise.why


def test_without_outliers_nothing_is_promised_of_them():
    found = guarantee(familiar(np.random.default_rng(0), 500), None, plan(0.1, 0))
    assert not found.promise.holds
    assert "no outliers" in found.promise.why
    assert math.isfinite(found.threshold)


def test_too_few_rows_prove_nothing():
    """Not one error among the 45 rows that 0.95 ** 45 = 0.0994 needs is not enough where there are fewer."""
    sure = Judged(np.arange(60.0), np.ones(60), np.zeros(60, bool))
    assert not guarantee(sure, None, plan(0.0, 0)).promise.holds
    assert guarantee(sure, None, plan(0.0, 0, risk=0.2)).promise.holds
    with pytest.raises(SettingError, match="two rows"):
        guarantee(sure.take([0]), None, plan(0.0, 0))


@given(st.integers(1, 300), st.integers(0, 300), st.floats(0.01, 0.5), st.floats(0.01, 0.2))
def test_passing_is_scipys_binomial_test(accepted, errors, risk, level):
    errors = min(errors, accepted)
    assert passes(accepted, errors, risk, level) == (
        binomtest(errors, accepted, risk, alternative="less").pvalue <= level
    )


@given(st.integers(20, 400), st.integers(20, 400), st.floats(0.01, 0.6), st.integers(0, 99))
def test_a_mixture_takes_no_row_twice_and_no_more_than_there_are(inside, outside, share, seed):
    random = np.random.default_rng(seed)
    known = Judged(np.arange(inside, dtype=float), np.ones(inside), np.zeros(inside, bool))
    others = Judged(1000.0 + np.arange(outside), np.ones(outside), np.ones(outside, bool))
    found = mixed(known, others, share, random, 1e-3)
    assert len(np.unique(found.score)) == len(found)
    assert ((found.score >= 1000) == found.wrong).all()


def test_a_mixture_has_the_share_of_outliers_on_average_and_uses_most_rows():
    random = np.random.default_rng(0)
    known = Judged(np.zeros(2000), np.ones(2000), np.zeros(2000, bool))
    others = Judged(np.ones(400), np.ones(400), np.ones(400, bool))
    found = [mixed(known, others, 0.1, random, 1e-3) for _ in range(100)]
    shares = [one.wrong.mean() for one in found]
    assert min(map(len, found)) > 2100
    assert np.mean(shares) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 2100 / 100))
    assert np.std(shares) == pytest.approx(np.sqrt(0.09 / len(found[0])), rel=0.25)


@given(st.integers(0, 500))
def test_masses_are_what_counting_gives(seed):
    random = np.random.default_rng(seed)
    rows = familiar(random, 80)
    rows.score[:3], rows.probability[3] = np.nan, np.nan
    weight = random.random(80)
    rules = rules_of(rows)
    accepted, errors = masses(rules, rows, weight)
    for i in random.integers(0, len(rules.thresholds), 5):
        for j in random.integers(0, len(rules.least), 5):
            taken = (rows.score <= rules.thresholds[i]) & (rows.probability >= rules.least[j])
            assert accepted[i, j] == pytest.approx(weight[taken].sum())
            assert errors[i, j] == pytest.approx((weight * rows.wrong)[taken].sum())


@given(st.integers(0, 500), st.floats(0, 0.4))
def test_what_is_accepted_and_right_grows_with_the_risk_that_is_allowed(seed, share):
    random = np.random.default_rng(seed)
    rows = familiar(random, 100).joined(strange(random, 30))
    weight = mixture_weights(np.arange(130) >= 100, share)
    assert weight.sum() == pytest.approx(1.0)
    rules = rules_of(rows)
    right = [most_right(rules, rows, weight, risk) for risk in (0.01, 0.05, 0.1, 0.3, 1.0)]
    assert right == sorted(right)
    most = (weight * ~rows.wrong).sum()
    assert 0.95 * most <= right[-1] <= most + 1e-12


def test_a_score_is_no_better_for_the_outliers_that_a_risk_leaves_room_for():
    """One score parts the outliers from the others, another takes them in: either accepts all that is right."""
    random = np.random.default_rng(0)
    wrong = np.arange(200) >= 180
    weight = mixture_weights(wrong, 0.1)
    for score in (np.where(wrong, 9.0, random.random(200)), np.where(wrong, -9.0, random.random(200))):
        rows = Judged(score, np.ones(200), wrong)
        assert most_right(rules_of(rows.take(~wrong)), rows, weight, 0.1) == pytest.approx(0.9)
