"""How good a model and people are together, when people look at a share of the items and the model decides the rest.

Source: Kivlichan, Lin, Liu, Vasserman, 2021, "Measuring and Improving Model-Moderator Collaboration using Uncertainty
Estimation", arXiv 2107.04212. With r the probability that an item is reviewed and e that its reviewer errs, a reviewed
item is wrong with probability e instead of when the model is. For a perfect reviewer

    collaborative accuracy(f) = accuracy + f * review efficiency(f).

Items of equal priority are reviewed with equal probability, so that no result depends on the order of the data; NaN is
the highest priority. All functions take (n,) arrays, and shares in [0, 1].
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from modelwright.errors import SettingError
from modelwright.guard.betting import Floats

Array = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
SHARES = (0.01, 0.05, 0.1, 0.2)


def reviewed(priority: Array, share: float) -> Floats:
    """The probability with which each item is reviewed; they add up to share * n.

    Raises:
        SettingError: the share is out of range, or there are no items.
    """
    group, sizes = _groups(priority, (share,))
    before = np.cumsum(sizes) - sizes
    portion: Floats = np.clip((share * len(priority) - before) / sizes, 0.0, 1.0)
    return portion[group]


def collaborative_accuracy(wrong: Flags, priority: Array, share: float, reviewer_error: float | Array = 0.0) -> float:
    """Share of items that are right in the end.

    Args:
        wrong: whether the model's prediction is.
        priority: what is reviewed first.
        share: of items that are reviewed.
        reviewer_error: how often a reviewer errs, one rate or one for each item.
    """
    looked_at = reviewed(priority, share)
    return float(1.0 - np.mean((1.0 - looked_at) * wrong + looked_at * reviewer_error))


def review_efficiency(wrong: Flags, priority: Array, share: float) -> float:
    """Share of reviewed items whose prediction was wrong: precision of the choice. 0 where nothing is reviewed."""
    looked_at = reviewed(priority, share)
    total = float(looked_at.sum())
    return float((looked_at * wrong).sum()) / total if total else 0.0


def review_effectiveness(wrong: NDArray[Any], priority: Array, share: float) -> float:
    """Share of all errors that are reviewed: recall of the choice. 1 where there is no error.

    In place of flags there may be what each error costs: then it is the share of costs.
    """
    return float(errors_caught(wrong, priority, (share,))[0])


def errors_caught(wrong: NDArray[Any], priority: Array, shares: Sequence[float] = SHARES) -> Floats:
    """`review_effectiveness` at each of the shares."""
    group, sizes = _groups(priority, shares)
    errors = np.bincount(group, weights=np.asarray(wrong, np.float64))
    if not errors.any():
        return np.ones(len(shares))
    points = np.concatenate([[0.0], np.cumsum(sizes)])
    found = np.interp(np.asarray(shares) * len(priority), points, np.concatenate([[0.0], np.cumsum(errors)]))
    return np.asarray(found / errors.sum(), np.float64)


def collaborative_auroc(
    positive: Flags, score: Array, priority: Array, share: float, reviewer_error: float | Array = 0.0
) -> float:
    """Area under the ROC curve of model and people, its mean over reviewers who err independently.

    The score of a reviewed item becomes the highest where the reviewer says that it is positive, the lowest where not.

    Args:
        positive: the true classes.
        score: higher for more probably positive.
        priority: what is reviewed first.
        share: of items that are reviewed.
        reviewer_error: how often a reviewer errs, one rate or one for each item.

    Raises:
        SettingError: one of the two classes is missing.
    """
    return float(_area(roc_auc_score, (positive, score), reviewed(priority, share), reviewer_error))


def collaborative_auprc(
    positive: Flags, score: Array, priority: Array, share: float, reviewer_error: float | Array = 0.0
) -> float:
    """Average precision (area under the precision-recall curve) likewise; of the mean curve where reviewers err.

    Args:
        positive: the true classes.
        score: higher for more probably positive.
        priority: what is reviewed first.
        share: of items that are reviewed.
        reviewer_error: how often a reviewer errs, one rate or one for each item.

    Raises:
        SettingError: one of the two classes is missing.
    """
    return float(_area(average_precision_score, (positive, score), reviewed(priority, share), reviewer_error))


def _area(measure: Any, truth: tuple[Flags, Array], looked_at: Floats, reviewer_error: float | Array) -> float:
    """A measure of scores, where each item counts in parts: as the model left it, as reviewed rightly, and wrongly."""
    positive, score = np.asarray(truth[0], bool), np.asarray(truth[1], np.float64)
    if positive.all() or not positive.any():
        raise SettingError("both classes must be there", where="positive", value=f"{int(positive.sum())} positive")
    _, ranks = np.unique(score, return_inverse=True)
    bottom, top = -1.0, float(len(ranks))
    right = np.where(positive, top, bottom)
    scores = np.concatenate([ranks.reshape(-1), right, bottom + top - right])
    error = np.broadcast_to(np.asarray(reviewer_error, np.float64), looked_at.shape)
    weights = np.concatenate([1.0 - looked_at, looked_at * (1.0 - error), looked_at * error])
    counts = weights > 0
    return float(measure(np.tile(positive, 3)[counts], scores[counts], sample_weight=weights[counts]))


def _groups(priority: Array, shares: Sequence[float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each item the number of its group of equal priority, from the most urgent, and the groups' sizes."""
    if not len(priority):
        raise SettingError("there must be items", where="priority", value=0)
    if not all(0 <= share <= 1 for share in shares):
        raise SettingError("a share must be between 0 and 1", where="share", value=shares)
    urgency = np.where(np.isnan(priority), np.inf, priority)
    _, group, sizes = np.unique(-urgency, return_inverse=True, return_counts=True)
    return group.reshape(-1), sizes
