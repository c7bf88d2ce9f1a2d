"""What review saves at each price: cost an item over the ratio of a review's cost to that of a wrong accept.

After decision curve analysis (Vickers, Elkin, Medical Decision Making 26, 2006): a policy that looks at an item when
its probability of error exceeds the price is compared at every price with looking at none and with looking at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.guard.betting import Floats


@final
@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Cost an item, in units of a wrong accept, at each ratio; all are (r,).

    Attributes:
        ratios: cost of a review over the cost of a wrong accept.
        none: nothing is reviewed.
        everything: all is.
        policy: what has an uncertainty above reviewer_error + ratio is.
        perfect: exactly the errors are, where that pays.
        reviewed: share of items that the policy reviews.
    """

    ratios: Floats
    none: Floats
    everything: Floats
    policy: Floats
    perfect: Floats
    reviewed: Floats


def decision_curve(
    wrong: NDArray[np.bool_],
    uncertainty: NDArray[np.floating[Any]],
    ratios: Sequence[float] = tuple(np.round(np.arange(0.0, 0.51, 0.01), 2).tolist()),
    reviewer_error: float = 0.0,
) -> DecisionCurve:
    """The curve of a calibrated uncertainty.

    Args:
        wrong: (n,) whether the prediction is.
        uncertainty: (n,) estimated probability of that; NaN counts as 1.
        ratios: prices, 0 or more.
        reviewer_error: how often a reviewer errs.

    Raises:
        SettingError: there are no items, or a ratio is negative.
    """
    prices = np.asarray(ratios, np.float64)
    if not len(wrong) or not (prices >= 0).all():
        raise SettingError("there must be items, and prices of 0 or more", value=(len(wrong), list(ratios)[:5]))
    known = np.where(np.isnan(uncertainty), 1.0, uncertainty)
    looked_at = known[None, :] > reviewer_error + prices[:, None]
    error, looking = float(np.mean(wrong)), reviewer_error + prices
    return DecisionCurve(
        ratios=prices,
        none=np.full_like(prices, error),
        everything=looking,
        policy=np.where(looked_at, looking[:, None], np.asarray(wrong, np.float64)[None, :]).mean(1),
        perfect=error * np.minimum(1.0, looking),
        reviewed=looked_at.mean(1),
    )
