"""Bets against a mean: evidence that may be looked at after each observation, and grows only if the mean is another.

A gambler owns 1 and bets on every observation x in [0, 1] with weight w in (0, 1], so that on average he wins nothing
if the weighted mean is m. Against "the mean is m or more" he bets a share f of all that he owns on its being less,

    capital <- capital * (1 - f * w * (x - m) / (1 - m)),

and against "m or less" likewise (1 + f * w * (x - m) / m). Whoever owns 1 / alpha has, at any time, ruled m out at
confidence 1 - alpha (Ville's inequality). His 1 is dealt out evenly to gamblers of many shares f, so that none need be
chosen. Both capitals are monotone in m, so that the means not ruled out are an interval: a confidence sequence.

Sources: Waudby-Smith, Ramdas, 2020, arXiv 2010.09686 (bounded means); Waudby-Smith et al., 2022, arXiv 2210.10768
(weights by inverse propensity).
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARES = np.array([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97])
"""What the gamblers stake of all that they own."""


def evidence_below(values: Floats, weights: Floats, mean: float) -> float:
    """Natural logarithm of the capital against a weighted mean of `mean` or more.

    Args:
        values: (n,), each in [0, 1].
        weights: (n,), each in (0, 1].
        mean: in (0, 1).
    """
    return _capital(-weights * (values - mean) / (1.0 - mean))


def evidence_above(values: Floats, weights: Floats, mean: float) -> float:
    """Natural logarithm of the capital against a weighted mean of `mean` or less; as `evidence_below`."""
    return _capital(weights * (values - mean) / mean)


def interval(values: Floats, weights: Floats, confidence: float) -> tuple[float, float]:
    """Low and high end of the means that are not ruled out; valid at all times at once.

    Args:
        values: (n,), each in [0, 1].
        weights: (n,), each in (0, 1].
        confidence: of both ends together.
    """
    needed = math.log(2.0 / (1.0 - confidence))
    low = _boundary(lambda mean: evidence_above(values, weights, mean) < needed)
    high = _boundary(lambda mean: evidence_below(values, weights, mean) >= needed)
    return low, high


def _capital(gains: Floats) -> float:
    with np.errstate(divide="ignore"):
        logs = np.log1p(np.maximum(SHARES[:, None] * gains[None, :], -1.0)).sum(1)
    return float(np.logaddexp.reduce(logs) - math.log(len(SHARES)))


def _boundary(beyond: Callable[[float], bool]) -> float:
    """Where, between 0 and 1, a condition becomes true and stays so; 1 where it never does."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high if high < 1.0 else 1.0
