"""Expected hypervolume improvement over a front of two losses, exactly.

With independent normal losses A and B at a point, the improvement is the part of the plane below the reference point
that the point would dominate and the front does not. Cut into strips between the front's points (a_i, b_i), rising in
a,

    E = sum_i (g(a_i+1; A) - g(a_i; A)) * g(b_i; B),
    g(c; X) = E[max(c - X, 0)] = (c - m) Phi(z) + s phi(z),    z = (c - m) / s,

where a_0 is minus infinity, b_0 the reference's b, and the last a its a. Source: Emmerich et al., 2011 (doi
10.1109/CEC.2011.5949880); the form by strips follows Yang et al., 2019 (doi 10.1007/s10898-019-00798-7). A loss that
is known has s = 0, and the formula still holds. Of a log-normal loss, log(X - a) = N(m, s),

    g(c; X) = (c - a) Phi(d) - exp(m + s^2 / 2) Phi(d - s),    d = (log(c - a) - m) / s,

the price of an option to sell (Black and Scholes, 1973, doi 10.1086/260062).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from modelwright.search.pareto import non_dominated

Numbers = NDArray[np.float64]


def gain_below(bound: float, mean: Numbers, spread: Numbers, above: float = -math.inf) -> Numbers:
    """E[max(bound - X, 0)] for normal X, elementwise; spread 0 is a known value.

    With a finite `above` X is log-normal above it; mean and spread, which must not be 0, are those of log(X - above).
    """
    if math.isfinite(above):
        return _gain_below_log_normal(bound - above, mean, spread)
    sure = spread <= 0
    safe = np.where(sure, 1.0, spread)
    z = (bound - mean) / safe
    unsure = (bound - mean) * ndtr(z) + safe * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    found: Numbers = np.where(sure, np.maximum(bound - mean, 0.0), np.maximum(unsure, 0.0))
    return found


def _gain_below_log_normal(room: float, mean: Numbers, spread: Numbers) -> Numbers:
    if room <= 0:
        return np.zeros(len(mean))
    d = (math.log(room) - mean) / spread
    found: Numbers = np.maximum(room * ndtr(d) - np.exp(mean + 0.5 * spread**2) * ndtr(d - spread), 0.0)
    return found


def expected_improvement(
    losses: Numbers, reference: Numbers, mean: Numbers, spread: Numbers, bounds: Numbers | None = None
) -> Numbers:
    """Of each point the hypervolume that it is expected to add, (points,).

    Args:
        losses: what was found so far, (found, 1 or 2 objectives).
        reference: (objectives,).
        mean: of the losses at the points, (points, objectives).
        spread: their standard deviations, (points, objectives); 0 for what is known.
        bounds: (objectives,), above which losses are log-normal, mean and spread those of the logarithms; minus
            infinity, or None, for normal ones.
    """
    above = [-math.inf] * losses.shape[1] if bounds is None else bounds.tolist()
    inside = losses[(losses < reference).all(axis=1)]
    front = inside[non_dominated(inside)]
    if losses.shape[1] == 1:
        best = front[0, 0] if len(front) else reference[0]
        return gain_below(float(best), mean[:, 0], spread[:, 0], above[0])
    ends = np.append(front[:, 0], reference[0]).tolist()
    heights = np.append(reference[1], front[:, 1]).tolist()
    before, total = np.zeros(len(mean)), np.zeros(len(mean))
    for end, height in zip(ends, heights, strict=True):
        upto = gain_below(end, mean[:, 0], spread[:, 0], above[0])
        total += (upto - before) * gain_below(height, mean[:, 1], spread[:, 1], above[1])
        before = upto
    return total
