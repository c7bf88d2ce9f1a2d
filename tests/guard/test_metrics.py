"""Metrics of scores are those of scikit-learn, whatever ties there are, and curves end where they must."""

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from modelwright.errors import SettingError
from modelwright.guard.metrics import aupr, aurc, auroc, coverage_at, fpr95, risk_coverage

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=60)


def both(rows):
    flags, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    assume(flags.any() and not flags.all())
    return flags, scores


@given(ROWS)
def test_areas_are_scikit_learns_with_ties(rows):
    outlier, score = both(rows)
    assert auroc(outlier, score) == pytest.approx(roc_auc_score(outlier, score))
    assert aupr(outlier, score) == pytest.approx(average_precision_score(outlier, score))


@given(ROWS)
def test_fpr95_is_read_off_scikit_learns_curve(rows):
    outlier, score = both(rows)
    fpr, tpr, _ = roc_curve(~outlier, -score, drop_intermediate=False)
    assert fpr95(outlier, score) == pytest.approx(fpr[np.argmax(tpr >= 0.95 - 1e-9)])


@given(ROWS, st.floats(0.1, 10))
def test_only_the_order_of_scores_counts(rows, factor):
    outlier, score = both(rows)
    for measure in (auroc, aupr, fpr95, aurc):
        assert measure(outlier, np.exp(score * factor)) == pytest.approx(measure(outlier, score))


def test_a_score_that_is_unavailable_is_the_highest():
    outlier = np.array([False, False, True])
    assert auroc(outlier, np.array([1.0, 2.0, math.nan])) == 1.0
    assert auroc(outlier, np.array([math.nan, math.nan, 2.0])) == 0.0


def test_of_no_outliers_nothing_can_be_said():
    for measure in (auroc, aupr, fpr95):
        with pytest.raises(SettingError, match="outliers and others"):
            measure(np.zeros(3, bool), np.arange(3.0))


@given(ROWS)
def test_a_curve_ends_at_all_rows_and_their_error_rate(rows):
    wrong, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    curve = risk_coverage(wrong, score)
    assert curve.coverage[-1] == pytest.approx(1.0)
    assert curve.risk[-1] == pytest.approx(wrong.mean())
    for threshold, coverage, risk in zip(*curve, strict=True):
        assert coverage == pytest.approx((score <= threshold).mean())
        assert risk == pytest.approx(wrong[score <= threshold].mean())


@given(ROWS, st.floats(0, 1))
def test_coverage_at_a_risk_is_the_best_of_all_thresholds(rows, risk):
    wrong, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    best = max(((score <= t).mean() for t in score if wrong[score <= t].mean() <= risk), default=0.0)
    assert coverage_at(risk, wrong, score) == pytest.approx(best)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1)), min_size=1, max_size=5))
def test_aurc_is_the_mean_over_all_orders_of_equal_scores(rows):
    wrong, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    orders = [o for o in permutations(range(len(rows))) if all(score[a] <= score[b] for a, b in pairwise(o))]
    areas = [np.mean(np.cumsum(wrong[list(order)]) / np.arange(1, len(rows) + 1)) for order in orders]
    assert aurc(wrong, score) == pytest.approx(np.mean(areas))


@given(ROWS, st.lists(st.integers(1, 4), min_size=60, max_size=60))
def test_a_weight_is_so_many_rows(rows, weights):
    wrong, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    counts = np.array(weights[: len(rows)])
    weighted = risk_coverage(wrong, score, counts)
    repeated = risk_coverage(np.repeat(wrong, counts), np.repeat(score, counts))
    for one, other in zip(weighted, repeated, strict=True):
        assert one == pytest.approx(other)


def test_nothing_unavailable_is_covered():
    assert coverage_at(0.5, np.zeros(4, bool), np.array([1.0, math.nan, 2.0, math.nan])) == 0.5
