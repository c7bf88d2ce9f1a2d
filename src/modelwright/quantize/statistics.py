"""Whether two networks' accuracies differ by more than chance, judged on the same samples.

Sources: Efron and Tibshirani, 1993, An Introduction to the Bootstrap, chapter 13 (percentile interval); McNemar, 1947,
Psychometrika 12:153 (the test); Dror et al., 2018, The Hitchhiker's Guide to Testing Statistical Significance in NLP.
"""

import numpy as np
import numpy.typing as npt
from scipy import special

from modelwright.errors import SettingError
from modelwright.records.quantization import Interval


def drop_interval(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Where the accuracy lost, before less after, lies: a percentile interval from paired bootstrap.

    A pair's difference is -1, 0 or 1, so a resample of pairs is one multinomial draw of how many there are of each.
    Where no pair differs the interval is (0, 0), though n pairs alike only show that fewer than about 3 / n differ.

    Args:
        before: of each sample, whether the first network was right.
        after: whether the second was, in the same order.
        confidence: that the interval covers the difference.
        resamples: how many.
        seed: of the draws.

    Raises:
        SettingError: they are not two vectors of booleans of one length, or there are no samples.
    """
    lost, gained, pairs = _counts(before, after)
    shares = np.array([lost, gained, pairs - lost - gained]) / pairs
    draws = np.random.default_rng(seed).multinomial(pairs, shares, resamples)
    drops = (draws[:, 0] - draws[:, 1]) / pairs
    low, high = np.quantile(drops, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mcnemar(before: npt.ArrayLike, after: npt.ArrayLike) -> float:
    """The chance of pairs as uneven as these, were both networks equally accurate: McNemar's exact test, two-sided.

    Of the pairs that differ, as many should be lost as gained: twice the binomial tail at one half, at most 1.

    Args:
        before: of each sample, whether the first network was right.
        after: whether the second was, in the same order.

    Raises:
        SettingError: as `drop_interval`.
    """
    lost, gained, _ = _counts(before, after)
    return min(1.0, 2 * float(special.bdtr(min(lost, gained), lost + gained, 0.5)))


def _counts(before: npt.ArrayLike, after: npt.ArrayLike) -> tuple[int, int, int]:
    """Pairs that were right only before, right only after, and all."""
    first, second = np.asarray(before), np.asarray(after)
    if first.dtype != bool or second.dtype != bool or first.ndim != 1 or first.shape != second.shape or not first.size:
        raise SettingError(
            "two vectors of booleans about the same samples are compared",
            where="before and after",
            value=tuple(f"{one.dtype} of shape {one.shape}" for one in (first, second)),
            way_out="Say of each sample whether each network was right, in one order.",
        )
    return int((first & ~second).sum()), int((second & ~first).sum()), first.size
