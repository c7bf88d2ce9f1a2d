"""Between uncertainty and score where both are one probability: the middle of what is reviewed, chosen on data.

With p the probability of the class in question (such as "toxic") and c one number,

    priority = -|logit(p) - c|.

c = 0 is uncertainty; c = inf is the score, the most probable first; c = -inf the score from below. Another c pays where
the model errs more often on one side of 1/2 than its probability says, or where an error on one side costs more.
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

GRID = np.array([*np.round(np.linspace(-4.0, 4.0, 81), 3), np.inf, -np.inf])
"""What c may be."""

_LEAST = 1e-12


@final
@dataclass(frozen=True)
class Shift:
    """A fitted middle.

    Attributes:
        middle: c, in logits.
        caught: share of the validation items' errors that it catches, mean over the budgets.
    """

    middle: float
    caught: float = 0.0

    def priority(self, probability: Array) -> Floats:
        """Of each item, (n,); NaN where the probability is."""
        known = np.clip(np.asarray(probability, np.float64), _LEAST, 1.0 - _LEAST)
        logit: Floats = np.log(known) - np.log1p(-known)
        found: Floats = logit * np.sign(self.middle) if np.isinf(self.middle) else -np.abs(logit - self.middle)
        return found


def fit_shift(probability: Array, wrong: NDArray[Any], shares: Sequence[float] = (0.05, 0.1, 0.15, 0.2)) -> Shift:
    """The middle that catches most errors, mean over budgets; on the validation data no fewer than either end does.

    Args:
        probability: (n,) of validation items, none NaN.
        wrong: (n,) whether the prediction is, or what its error costs and 0 where it is right.
        shares: of items that are reviewed.

    Raises:
        SettingError: there are no validation items, none is wrong, or a probability is none.
    """
    known = np.asarray(probability, np.float64)
    if not len(known) or not np.any(wrong) or not ((known >= 0) & (known <= 1)).all():
        rule = "validation items must have a probability, and some of them be wrong"
        raise SettingError(rule, where="validation", value=(len(known), int(np.count_nonzero(wrong))))
    middles = GRID[np.argsort(np.abs(GRID), kind="stable")]
    caught = [float(np.mean(errors_caught(wrong, Shift(float(c)).priority(known), shares))) for c in middles]
    best = int(np.argmax(caught))  # of equals the one nearest to uncertainty alone
    return Shift(float(middles[best]), caught[best])
