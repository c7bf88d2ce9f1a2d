"""Skewed losses made even: the logarithm of what they are above a bound, so that one noise fits all of them.

Errors of networks have a long tail to the bad side. A process that sees them as they are is too unsure among the good
and too sure among the bad. So a loss X is taken to be log-normal above a bound a, log(X - a) = N(m, s), where a is
chosen by the likelihood of the losses as Box and Cox choose their transformation (1964, doi
10.1111/j.2517-6161.1964.tb00553.x); minus infinity stands for a loss that is better taken as it is. Outcomes are warped
in HEBO too (Cowen-Rivers et al., 2020, arXiv 2012.03826); the logarithm keeps the expected improvement in closed form.
"""

import math

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

SHARES = np.geomspace(0.05, 5.0, 9)
"""How far a bound may lie below the least loss, in extents of the losses: not so near that nothing could be better."""
ENOUGH = 4
"""Losses that it takes to tell a bound."""


def bound_below(losses: Numbers) -> float:
    """The bound above which losses are most likely log-normal; minus infinity where they are rather normal.

    Args:
        losses: (points,).
    """
    extent = float(np.ptp(losses)) if len(losses) >= ENOUGH else 0.0
    if extent <= 0:
        return -math.inf
    likelihoods = {-math.inf: -len(losses) * math.log(losses.std())}
    for share in SHARES.tolist():
        bound = float(losses.min()) - share * extent
        logs = np.log(losses - bound)
        likelihoods[bound] = -len(losses) * math.log(logs.std()) - float(logs.sum())
    return max(likelihoods, key=lambda bound: likelihoods[bound])


def warped(losses: Numbers, bounds: Numbers) -> Numbers:
    """Losses as processes see them; what is not above its bound is far below all that is.

    Args:
        losses: (points, objectives).
        bounds: (objectives,), minus infinity for losses that stay as they are.
    """
    finite = np.isfinite(bounds)
    above = np.maximum(losses - np.where(finite, bounds, 0.0), 1e-12)
    found: Numbers = np.where(finite, np.log(above), losses)
    return found


def unwarped(seen: Numbers, bounds: Numbers) -> Numbers:
    """The inverse of `warped`, (..., objectives)."""
    finite = np.isfinite(bounds)
    found: Numbers = np.where(finite, np.where(finite, bounds, 0.0) + np.exp(np.where(finite, seen, 0.0)), seen)
    return found
