"""A mix of uncertainty and score, one number of which is chosen on validation data.

With F_u and F_s the shares of validation items below a value (equal ones count half),

    priority = (1 - |a|) * F_u(uncertainty) + a * F_s(score),    a in [-1, 1].

a = 0 is uncertainty alone, a = 1 the score alone, a = -1 the score from below. As ranks go in, neither needs to be
calibrated, nor do the two need one unit. On the validation data the best a catches at least as much as either alone.
Where the score is the probability whose uncertainty it is, as with one class against the rest, see `shift`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.guard.betting import Floats
from modelwright.guard.collaborative import errors_caught

Array = NDArray[np.floating[Any]]

GRID = np.round(np.linspace(-1.0, 1.0, 81), 3)
"""What `a` may be."""


@final
@dataclass(frozen=True, eq=False)
class Mix:
    """A fitted mix.

    Attributes:
        a: how much the score counts, in [-1, 1].
        uncertainties: of the validation items, in rising order.
        scores: likewise.
        caught: share of the validation items' errors that it catches, mean over the budgets.
    """

    a: float
    uncertainties: Floats
    scores: Floats
    caught: float

    def priority(self, uncertainty: Array, score: Array) -> Floats:
        """Of each item, (n,); NaN where either is."""
        first, second = _rank(self.uncertainties, uncertainty), _rank(self.scores, score)
        return (1.0 - abs(self.a)) * first + self.a * second


def fit_mix(
    uncertainty: Array, score: Array, wrong: NDArray[Any], shares: Sequence[float] = (0.05, 0.1, 0.15, 0.2)
) -> Mix:
    """The mix that catches most errors, mean over budgets.

    Args:
        uncertainty: (n,) of validation items, none NaN.
        score: (n,) likewise.
        wrong: (n,) whether the prediction is, or what its error costs and 0 where it is right.
        shares: of items that are reviewed.

    Raises:
        SettingError: there are no validation items, none is wrong, or a value is NaN.
    """
    first, second = np.asarray(uncertainty, np.float64), np.asarray(score, np.float64)
    if not len(first) or not np.any(wrong) or np.isnan(first).any() or np.isnan(second).any():
        rule = "validation items must have an uncertainty and a score, and some of them be wrong"
        raise SettingError(rule, where="validation", value=(len(first), int(np.sum(wrong))))
    mixes = [Mix(float(a), np.sort(first), np.sort(second), 0.0) for a in GRID[np.argsort(np.abs(GRID), kind="stable")]]
    caught = [float(np.mean(errors_caught(wrong, mix.priority(first, second), shares))) for mix in mixes]
    best = int(np.argmax(caught))  # of equals the one nearest to uncertainty alone
    return Mix(mixes[best].a, mixes[best].uncertainties, mixes[best].scores, caught[best])


def _rank(known: Floats, values: Array) -> Floats:
    low, high = np.searchsorted(known, values, "left"), np.searchsorted(known, values, "right")
    return np.where(np.isnan(values), np.nan, (low + high) / (2.0 * len(known)))
