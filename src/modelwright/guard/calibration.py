"""Calibration: probabilities that say how often a prediction is right, and how far they are from that.

Temperature scaling divides all logits by one T > 0, which changes no prediction; T minimises the mean of
-ln softmax(logits / T)[label], a function of 1 / T that is convex. Source: Guo, Pleiss, Sun, Weinberger, 2017, "On
Calibration of Modern Neural Networks", arXiv 1706.04599, as of the expected calibration error (Naeini, Cooper,
Hauskrecht, 2015). Brier, 1950: the mean squared distance of the probabilities from the truth.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from modelwright.errors import SettingError
from modelwright.guard.rows import Array, Flags, Floats, Labels
from modelwright.records import ReliabilityBin

_RANGE = (math.log(1e-3), math.log(1e3))
"""Of ln T. Where all is right, or all of it is chance, no finite T is best; the nearer end then serves."""


def temperature_of(logits: Array, labels: Labels) -> float:
    """The temperature that makes the labels most likely, in [0.001, 1000].

    Args:
        logits: (n, k), finite.
        labels: (n,) true classes.

    Raises:
        SettingError: there are no rows.
    """
    if not len(labels):
        raise SettingError("there must be rows to calibrate with", where="labels", value=0)
    found = minimize_scalar(lambda power: nll(logits, labels, math.exp(power)), bounds=_RANGE, method="bounded")
    return float(math.exp(found.x))


def nll(logits: Array, labels: Labels, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood of the labels, in nats."""
    logs = log_softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    return float(-np.take_along_axis(logs, labels[:, None], axis=1).mean())


def probabilities(logits: Array, temperature: float = 1.0) -> Floats:
    """(n, k) probabilities; NaN in rows with a logit that is not finite."""
    scaled = np.asarray(logits, np.float64) / temperature
    found: Floats = softmax(np.where(np.isfinite(scaled).all(1, keepdims=True), scaled, np.nan), axis=1)
    return found


def brier(probability: Array, labels: Labels) -> float:
    """Mean over rows of sum_c (p_c - [c is the label])^2, from 0 to 2.

    Args:
        probability: (n, k).
        labels: (n,).
    """
    truth = np.zeros(np.shape(probability))
    np.put_along_axis(truth, labels[:, None], 1.0, axis=1)
    return float(((probability - truth) ** 2).sum(1).mean())


def reliability(probability: Array, right: NDArray[Any], bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """How often predictions of about a probability are right: bins of equal width, (low, high], 0 in the first.

    Args:
        probability: (n,) of the predicted classes.
        right: (n,) whether the prediction is.
        bins: how many.

    Raises:
        SettingError: there are no bins, or a probability is out of [0, 1].
    """
    values, flags = np.asarray(probability, np.float64), np.asarray(right, np.float64)
    if bins < 1 or not ((values >= 0) & (values <= 1)).all():
        raise SettingError("probabilities must be from 0 to 1, in one bin or more", value=bins)
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    some = np.maximum(counts, 1)
    confidence = np.minimum(np.bincount(places, weights=values, minlength=bins) / some, 1.0)
    accuracy = np.bincount(places, weights=flags, minlength=bins) / some
    return tuple(
        ReliabilityBin(float(edges[i]), float(edges[i + 1]), int(counts[i]), float(confidence[i]), float(accuracy[i]))
        for i in range(bins)
    )


def ece(probability: Array, right: Flags, bins: int = 15) -> float:
    """Expected calibration error: mean over predictions of |accuracy - confidence| of their bin; 0 of no predictions.

    Args:
        probability: (n,) of the predicted classes.
        right: (n,) whether the prediction is.
        bins: how many, of equal width.

    Raises:
        SettingError: there are no bins, or a probability is out of [0, 1].
    """
    gaps = [one.count * abs(one.accuracy - one.confidence) for one in reliability(probability, right, bins)]
    return sum(gaps) / max(len(probability), 1)
