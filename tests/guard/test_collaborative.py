"""Models and people together: identities of the metrics, known orders, fallible reviewers, decision curves."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from modelwright.errors import SettingError
from modelwright.guard.collaborative import (
    collaborative_accuracy,
    collaborative_auprc,
    collaborative_auroc,
    errors_caught,
    review_effectiveness,
    review_efficiency,
    reviewed,
)
from modelwright.guard.decision_curve import decision_curve

PRIORITIES = st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, float("nan")])
"""Few values, so that there are ties."""


@st.composite
def judged(draw):
    rows = draw(st.lists(st.tuples(st.booleans(), PRIORITIES), min_size=1, max_size=30))
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


SHARE = st.floats(0, 1)
RATE = st.floats(0, 1)


@given(judged(), SHARE)
def test_what_is_reviewed_adds_up_to_the_budget(items, share) -> None:
    _, priority = items
    looked_at = reviewed(priority, share)
    assert looked_at.sum() == pytest.approx(share * len(priority))
    assert ((looked_at >= 0) & (looked_at <= 1)).all()


@given(judged(), SHARE, RATE)
def test_the_identity_of_collaboration(items, share, error) -> None:
    """Collaborative accuracy = accuracy + f * (review efficiency - the reviewers' error rate), at every f."""
    wrong, priority = items
    efficiency = review_efficiency(wrong, priority, share)
    accuracy = 1 - wrong.mean()
    assert collaborative_accuracy(wrong, priority, share) == pytest.approx(accuracy + share * efficiency)
    fallible = collaborative_accuracy(wrong, priority, share, error)
    assert fallible == pytest.approx(accuracy + share * (efficiency - error))


@given(judged(), SHARE)
def test_efficiency_and_effectiveness_count_the_same_errors(items, share) -> None:
    wrong, priority = items
    if wrong.any():
        found = review_efficiency(wrong, priority, share) * share * len(wrong)
        assert review_effectiveness(wrong, priority, share) * wrong.sum() == pytest.approx(found)


@given(judged(), SHARE, st.randoms(use_true_random=False))
def test_the_order_of_the_data_does_not_count(items, share, random) -> None:
    wrong, priority = items
    order = list(range(len(wrong)))
    random.shuffle(order)
    shuffled = review_effectiveness(wrong[order], priority[order], share)
    assert shuffled == pytest.approx(review_effectiveness(wrong, priority, share))


@given(judged())
def test_nobody_is_asked_or_everybody(items) -> None:
    wrong, priority = items
    assert collaborative_accuracy(wrong, priority, 0.0) == pytest.approx(1 - wrong.mean())
    assert collaborative_accuracy(wrong, priority, 1.0) == pytest.approx(1.0)
    assert (np.diff(errors_caught(wrong, priority, np.linspace(0, 1, 11))) >= -1e-12).all()


def test_a_perfect_choice_catches_all_errors_with_as_many_reviews() -> None:
    wrong = np.arange(100) % 10 == 0
    assert errors_caught(wrong, wrong.astype(float)).tolist() == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert errors_caught(wrong, np.zeros(100)).tolist() == pytest.approx([0.01, 0.05, 0.1, 0.2])  # chance


def test_what_nothing_is_known_of_is_looked_at_first() -> None:
    assert reviewed(np.array([0.9, np.nan, 1.0]), 1 / 3).tolist() == pytest.approx([0, 1, 0])


# --- areas ------------------------------------------------------------------------------------------------------------


@st.composite
def scored(draw):
    size = draw(st.integers(2, 25))
    positive = np.array([True, False, *draw(st.lists(st.booleans(), min_size=size - 2, max_size=size - 2))])
    score = np.array(draw(st.lists(st.integers(0, 8), min_size=size, max_size=size))) / 8
    return positive, score


@settings(max_examples=40)
@given(scored())
def test_without_reviews_the_areas_are_the_models_and_with_all_they_are_one(data) -> None:
    positive, score = data
    priority = -np.abs(score - 0.5)
    for area, known in ((collaborative_auroc, roc_auc_score), (collaborative_auprc, average_precision_score)):
        assert area(positive, score, priority, 0.0) == pytest.approx(known(positive, score))
        assert area(positive, score, priority, 1.0) == pytest.approx(1.0)
        assert area(positive, score, priority, 1.0, 0.0) >= area(positive, score, priority, 0.5)
        assert area(positive, score, priority, 0.5) >= area(positive, score, priority, 0.0) - 1e-12


@settings(max_examples=40)
@given(scored(), st.integers(0, 25))
def test_a_reviewed_score_becomes_the_truth(data, reviews) -> None:
    """The definition: replace the scores of the reviewed items by their labels, and take the plain areas."""
    positive, score = data
    reviews = min(reviews, len(score))
    priority = np.arange(len(score), 0.0, -1.0)
    replaced = np.concatenate([np.where(positive, 2.0, -1.0)[:reviews], score[reviews:]])
    share = reviews / len(score)
    assert collaborative_auroc(positive, score, priority, share) == pytest.approx(roc_auc_score(positive, replaced))
    expected = average_precision_score(positive, replaced)
    assert collaborative_auprc(positive, score, priority, share) == pytest.approx(expected)


def test_fallible_reviewers_are_averaged_over_all_that_they_might_say() -> None:
    """The area under the ROC curve is the mean over every combination of right and wrong verdicts."""
    positive = np.array([True, False, True, False, True])
    score = np.array([0.1, 0.4, 0.35, 0.8, 0.7])
    priority, error = np.array([5.0, 4.0, 3.0, 2.0, 1.0]), np.array([0.1, 0.3, 0.2, 0.0, 0.0])
    mean = 0.0
    for errs in itertools.product((False, True), repeat=3):
        said = np.where(positive[:3] ^ np.array(errs), 2.0, -1.0)
        chance = np.prod(np.where(errs, error[:3], 1 - error[:3]))
        mean += chance * roc_auc_score(positive, np.concatenate([said, score[3:]]))
    assert collaborative_auroc(positive, score, priority, 0.6, error) == pytest.approx(mean)


def test_reviewers_who_toss_a_coin_make_a_good_model_worse() -> None:
    positive = np.arange(10) >= 5
    score = np.linspace(0, 1, 10)
    assert collaborative_auroc(positive, score, score, 0.0) == 1.0
    assert collaborative_auroc(positive, score, score, 1.0, 0.5) == pytest.approx(0.5)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(SettingError, match="both classes"):
        collaborative_auroc(np.array([True, True]), np.array([0.1, 0.2]), np.zeros(2), 0.5)
    with pytest.raises(SettingError, match="between 0 and 1"):
        reviewed(np.zeros(2), 1.5)
    with pytest.raises(SettingError, match="must be items"):
        reviewed(np.zeros(0), 0.5)


# --- decision curves --------------------------------------------------------------------------------------------------


@given(judged(), RATE)
def test_no_policy_costs_less_than_one_that_knows_the_errors(items, error) -> None:
    wrong, uncertainty = items
    curve = decision_curve(wrong, uncertainty, reviewer_error=error)
    assert (curve.perfect <= curve.policy + 1e-12).all()
    assert (curve.perfect <= np.minimum(curve.none, curve.everything) + 1e-12).all()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.floats(0, 0.3))
def test_a_calibrated_uncertainty_costs_no_more_than_none_or_all(groups, error) -> None:
    """Groups of 4 with exactly g errors and an uncertainty of g / 4: no other choice by groups is cheaper."""
    wrong = np.concatenate([np.arange(4) < g for g in groups])
    uncertainty = np.repeat(np.array(groups) / 4, 4)
    curve = decision_curve(wrong, uncertainty, reviewer_error=error)
    assert (curve.policy <= np.minimum(curve.none, curve.everything) + 1e-12).all()
    assert (np.diff(curve.reviewed) <= 0).all()


def test_prices_below_zero_are_refused() -> None:
    with pytest.raises(SettingError, match="prices"):
        decision_curve(np.array([True]), np.array([0.5]), [-0.1])
