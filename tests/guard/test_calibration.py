"""Calibration finds the temperature that logits were spoilt with, and its errors are zero of the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad
from scipy.special import softmax
from sklearn.metrics import log_loss

from modelwright.errors import SettingError
from modelwright.guard.calibration import brier, ece, nll, probabilities, reliability, temperature_of


def drawn(seed, count=20_000, classes=4, scale=2.0):
    """Logits whose softmax is the truth: labels are drawn from it."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, classes)) * scale
    chance = np.cumsum(softmax(logits, axis=1), axis=1)
    return logits, (random.random((count, 1)) > chance[:, :-1]).sum(1)


@pytest.mark.parametrize("spoilt", [0.3, 1.0, 2.5])
def test_the_temperature_undoes_what_was_done_to_the_logits(spoilt):
    logits, labels = drawn(0)
    assert temperature_of(logits * spoilt, labels) == pytest.approx(spoilt, rel=0.05)


def test_at_the_temperature_the_likelihood_is_flat():
    logits, labels = drawn(1, 500)
    found = temperature_of(logits * 3, labels)
    here = nll(logits * 3, labels, found)
    assert here <= min(nll(logits * 3, labels, found * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0))
    slope = check_grad(lambda t: nll(logits * 3, labels, float(t[0])), lambda t: np.zeros(1), np.array([found]))
    assert slope < 1e-3


def test_the_likelihood_is_scikit_learns():
    logits, labels = drawn(2, 300)
    assert nll(logits, labels) == pytest.approx(log_loss(labels, softmax(logits, axis=1)))


def test_where_all_is_right_the_temperature_stays_finite():
    logits = np.eye(3)
    assert 1e-3 <= temperature_of(logits, np.arange(3)) < 0.05
    assert nll(logits, np.arange(3), temperature_of(logits, np.arange(3))) < 1e-12
    assert temperature_of(logits, np.array([1, 2, 0])) == pytest.approx(1e3, rel=0.01)
    with pytest.raises(SettingError, match="rows to calibrate"):
        temperature_of(np.zeros((0, 3)), np.zeros(0, np.int64))


@given(st.floats(0.05, 20))
def test_a_temperature_changes_no_prediction(temperature):
    logits, _ = drawn(3, 50)
    assert (probabilities(logits, temperature).argmax(1) == logits.argmax(1)).all()


def test_a_row_that_is_not_finite_has_no_probability():
    found = probabilities(np.array([[1.0, np.nan], [np.inf, 0.0], [0.0, 0.0]]))
    assert np.isnan(found[:2]).all()
    assert found[2].tolist() == [0.5, 0.5]


def test_true_probabilities_have_next_to_no_calibration_error_and_spoilt_ones_do():
    logits, labels = drawn(4)
    right = logits.argmax(1) == labels
    assert ece(softmax(logits, axis=1).max(1), right) < 0.01
    assert ece(softmax(logits * 3, axis=1).max(1), right) > 0.1


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.integers(1, 20))
def test_bins_hold_every_prediction_once_and_on_average_what_it_says(rows, bins):
    probability, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = reliability(probability, right, bins)
    assert sum(one.count for one in found) == len(rows)
    assert sum(one.count * one.accuracy for one in found) == pytest.approx(right.sum())
    assert sum(one.count * one.confidence for one in found) == pytest.approx(probability.sum())
    assert all(one.low - 1e-9 <= one.confidence <= one.high + 1e-9 for one in found if one.count)


def test_one_bin_compares_the_means():
    probability, right = np.array([0.9, 0.6, 0.5]), np.array([True, False, True])
    assert ece(probability, right, bins=1) == pytest.approx(abs(2 / 3 - 2 / 3))
    assert ece(probability, ~right, bins=1) == pytest.approx(abs(1 / 3 - 2 / 3))


def test_brier_by_hand():
    assert brier(np.array([[0.7, 0.3]]), np.array([0])) == pytest.approx(0.18)
    assert brier(np.array([[1.0, 0.0]]), np.array([1])) == 2.0
