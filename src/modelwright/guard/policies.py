"""Who is asked about what: policies that pick items for review under a budget. Pure functions of what is known of them.

Throughout, `priority` of an item is the higher, the sooner it is looked at, and NaN (nothing is known) is highest.
"""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.guard.betting import Floats
from modelwright.guard.mix import Mix
from modelwright.guard.shift import Shift

Rows = NDArray[np.int64]
Array = NDArray[np.floating[Any]]

HOUR_S = 3600.0


@final
@dataclass(frozen=True)
class ReviewCosts:
    """What mistakes and people cost, in one unit, such as minutes or euros.

    Attributes:
        wrong: of accepting a prediction that is wrong, above zero.
        review: of looking at one item.
        reviewer_error: the rate at which a reviewer's verdict is wrong, in [0, 1].

    Raises:
        SettingError: one is out of range.
    """

    wrong: float = 1.0
    review: float = 0.0
    reviewer_error: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.wrong < math.inf and 0 <= self.review < math.inf and 0 <= self.reviewer_error <= 1):
            rule = "costs must be finite, a wrong accept's above zero, and the reviewers' error rate between 0 and 1"
            raise SettingError(rule, value=(self.wrong, self.review, self.reviewer_error))

    def worth(self, uncertainty: Array) -> Floats:
        """What looking at each item is worth: wrong * (uncertainty - reviewer_error) - review, (n,)."""
        return self.wrong * (np.asarray(uncertainty, np.float64) - self.reviewer_error) - self.review


def allowance(count: int, *, share: float = 1.0, per_hour: float = math.inf, hours: float = 1.0) -> int:
    """How many of `count` items a budget allows to be reviewed: a share of them, and at most so many an hour.

    Args:
        count: of items.
        share: of them, in [0, 1].
        per_hour: what reviewers get through in an hour.
        hours: in which the items came.

    Raises:
        SettingError: one is out of range.
    """
    if not 0 <= share <= 1 or not per_hour >= 0 or not 0 < hours < math.inf:
        rule = "a budget's share must be between 0 and 1, its reviews an hour not negative, its hours above 0"
        raise SettingError(rule, value=(share, per_hour, hours))
    return int(min(count, math.floor(share * count + 1e-9), per_hour * hours))


def most_urgent(priority: Array, reviews: int) -> Rows:
    """Rows of the `reviews` items of highest priority, the most urgent first; of equals the first."""
    order = np.argsort(-np.where(np.isnan(priority), np.inf, priority), kind="stable")
    return order[: max(reviews, 0)].astype(np.int64)


def by_uncertainty(uncertainty: Array, reviews: int) -> Rows:
    """Rows of those that the model is least sure of (Kivlichan et al., 2021, arXiv 2107.04212).

    Args:
        uncertainty: (n,), 1 - the calibrated probability of the predicted class.
        reviews: how many the budget allows.
    """
    return most_urgent(uncertainty, reviews)


def by_score(score: Array, reviews: int) -> Rows:
    """Rows of those with the highest score, such as a guard's, or the probability that a comment is toxic.

    Args:
        score: (n,).
        reviews: how many the budget allows.
    """
    return most_urgent(score, reviews)


def by_mix(uncertainty: Array, score: Array, mix: Mix, reviews: int) -> Rows:
    """Rows of those of highest priority by a mix of both, which was fitted on validation data.

    Args:
        uncertainty: (n,).
        score: (n,).
        mix: from `fit_mix`.
        reviews: how many the budget allows.
    """
    return most_urgent(mix.priority(uncertainty, score), reviews)


def by_shift(probability: Array, shift: Shift, reviews: int) -> Rows:
    """Rows of those nearest to a middle that was fitted on validation data: the mix for one class against the rest.

    Args:
        probability: (n,) of the class in question.
        shift: from `fit_shift`.
        reviews: how many the budget allows.
    """
    return most_urgent(shift.priority(probability), reviews)


def by_worth(uncertainty: Array, costs: ReviewCosts, reviews: int) -> Rows:
    """Rows of those for which a look pays, dearest first: no budget is spent where it would cost more than it saves.

    Args:
        uncertainty: (n,), which must be calibrated; NaN counts as 1.
        costs: of wrong accepts and of reviews.
        reviews: how many the budget allows.
    """
    worth = costs.worth(np.where(np.isnan(uncertainty), 1.0, uncertainty))
    return most_urgent(worth, min(reviews, int((worth > 0).sum())))


def least_priority(priority: Array, share: float) -> float:
    """The priority that a share of items like these have or exceed: what to ask of a stream, so as to use its budget.

    Args:
        priority: (n,) of validation items.
        share: in [0, 1], such as reviews an hour over items an hour.

    Returns:
        -inf where all, inf where none should be reviewed.

    Raises:
        SettingError: there are no items.
    """
    if not len(priority):
        raise SettingError("there must be validation items to learn a priority from", where="priority", value=0)
    wanted = allowance(len(priority), share=share)
    if wanted == len(priority):
        return -math.inf
    return float(np.sort(np.where(np.isnan(priority), np.inf, priority))[-wanted]) if wanted else math.inf


def within_hours(times_s: Array, priority: Array, least: float, per_hour: int) -> Rows:
    """Rows of a stream that are reviewed: of that priority or more, as they come, at most so many in any hour.

    Args:
        times_s: (n,) seconds, in rising order.
        priority: (n,).
        least: from `least_priority`.
        per_hour: reviews that begin within 3600 s, wherever these start.

    Raises:
        SettingError: the times are not in rising order.
    """
    if np.any(np.diff(times_s) < 0):
        raise SettingError("the times of a stream must rise", where="times_s")
    taken: list[int] = []
    for row in np.flatnonzero(np.isnan(priority) | (priority >= least)):
        if len(taken) < per_hour or (per_hour and times_s[row] - times_s[taken[-per_hour]] >= HOUR_S):
            taken.append(int(row))
    return np.array(taken, np.int64)
