"""How good a score is: at telling outliers from what is familiar, and at telling wrong predictions from right ones.

A score is higher for less familiar; NaN, unavailable, is deferred first and counts as the highest. Equal scores count
as they must: no result depends on the order of the rows. Risk-coverage curves: El-Yaniv, Wiener, 2010; AURC: Geifman,
Uziel, El-Yaniv, 2018, arXiv 1805.08206.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from modelwright.errors import SettingError
from modelwright.guard.rows import Array, Floats


class RiskCoverage(NamedTuple):
    """What is accepted at each threshold, and how much of that is wrong.

    Attributes:
        thresholds: (m,) the distinct scores, in rising order.
        coverage: (m,) share of the rows, by weight, with a score up to it.
        risk: (m,) share of these that is wrong.
    """

    thresholds: Floats
    coverage: Floats
    risk: Floats


def auroc(outlier: NDArray[Any], score: Array) -> float:
    """Area under the ROC curve: the probability that an outlier's score is above another row's, equal ones half.

    Args:
        outlier: (n,) whether a row is one.
        score: (n,).

    Raises:
        SettingError: outliers, or others, are missing.
    """
    flags, values = _both(outlier, score)
    ranks = rankdata(values)
    count = int(flags.sum())
    return float((ranks[flags].sum() - count * (count + 1) / 2) / (count * (len(flags) - count)))


def aupr(outlier: NDArray[Any], score: Array) -> float:
    """Area under the precision-recall curve, as average precision, outliers being what is looked for.

    Args:
        outlier: (n,) whether a row is one.
        score: (n,).

    Raises:
        SettingError: outliers, or others, are missing.
    """
    flags, values = _both(outlier, score)
    levels, places = np.unique(-values, return_inverse=True)
    hits = np.cumsum(np.bincount(places, weights=flags, minlength=len(levels)))
    taken = np.cumsum(np.bincount(places, minlength=len(levels)))
    return float((np.diff(hits, prepend=0.0) * hits / taken).sum() / flags.sum())


def fpr95(outlier: NDArray[Any], score: Array, rate: float = 0.95) -> float:
    """Share of outliers that are accepted at the least threshold which accepts 95 % of the others (FPR at 95 % TPR).

    What is familiar is the positive class, as in ODIN (Liang, Li, Srikant, 2018, arXiv 1706.02690). Libraries that take
    outliers for positive give another number: with them it is fpr95(~outlier, -score).

    Args:
        outlier: (n,) whether a row is one.
        score: (n,).
        rate: of others accepted, in place of 0.95.

    Raises:
        SettingError: outliers, or others, are missing.
    """
    flags, values = _both(outlier, score)
    familiar = np.sort(values[~flags])
    threshold = familiar[int(np.ceil(rate * len(familiar) - 1e-9)) - 1]
    return float((values[flags] <= threshold).mean())


def risk_coverage(wrong: NDArray[Any], score: Array, weight: Array | None = None) -> RiskCoverage:
    """The risk-coverage curve, one point for each distinct score.

    Args:
        wrong: (n,) whether accepting the row is an error.
        score: (n,).
        weight: (n,) how much a row counts; one each where it is not given.

    Raises:
        SettingError: there are no rows.
    """
    flags, values = np.asarray(wrong, np.float64), _last(score)
    if not len(flags):
        raise SettingError("there must be rows", where="wrong", value=0)
    weights = np.ones(len(flags)) if weight is None else np.asarray(weight, np.float64)
    levels, places = np.unique(values, return_inverse=True)
    mass = np.cumsum(np.bincount(places, weights=weights))
    errors = np.cumsum(np.bincount(places, weights=weights * flags))
    return RiskCoverage(levels, mass / mass[-1], np.clip(errors / mass, 0.0, 1.0))


def aurc(wrong: NDArray[Any], score: Array) -> float:
    """Area under the risk-coverage curve: mean, over m from 1 to n, of the risk among the m rows of lowest score.

    Of equal scores the mean over all orders counts.

    Args:
        wrong: (n,) whether accepting the row is an error.
        score: (n,).

    Raises:
        SettingError: there are no rows.
    """
    curve = risk_coverage(wrong, score)
    count = len(np.asarray(wrong))
    taken = np.concatenate([[0.0], curve.coverage * count])
    errors = np.concatenate([[0.0], curve.risk * curve.coverage * count])
    rows = np.arange(1, count + 1)
    return float((np.interp(rows, taken, errors) / rows).mean())


def coverage_at(risk: float, wrong: NDArray[Any], score: Array, weight: Array | None = None) -> float:
    """The largest coverage at which the share of errors among the accepted is at most `risk`; 0 where there is none.

    Args:
        risk: in [0, 1].
        wrong: (n,) whether accepting the row is an error.
        score: (n,).
        weight: (n,) how much a row counts; one each where it is not given.

    Raises:
        SettingError: there are no rows.
    """
    curve = risk_coverage(wrong, score, weight)
    kept = curve.coverage[(curve.risk <= risk + 1e-12) & np.isfinite(curve.thresholds)]
    return float(kept.max()) if len(kept) else 0.0


def _both(outlier: NDArray[Any], score: Array) -> tuple[NDArray[np.bool_], Floats]:
    flags, values = np.asarray(outlier, bool), _last(score)
    if flags.shape != values.shape or not flags.any() or flags.all():
        rule = "there must be outliers and others, with one score each"
        raise SettingError(rule, where="outlier", value=f"{int(flags.sum())} of {flags.size}")
    return flags, values


def _last(score: Array) -> Floats:
    values = np.asarray(score, np.float64)
    return np.where(np.isnan(values), np.inf, values)
