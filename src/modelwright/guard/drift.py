"""An alarm that scores of the traffic are no longer like the calibration's, which may be looked at after every score.

Each score's rank among all before it is a conformal p-value; while the scores are exchangeable these are independent
and uniform (Vovk, Gammerman, Shafer, "Algorithmic learning in a random world", 2005, section 8.1). Gamblers bet against
that, each with a function f of mean 1: a conformal test martingale (Vovk, 2021, arXiv 1906.09256). By Ville's
inequality they ever own 1 / alpha with a probability of at most alpha, so that an alarm at that is false with no more,
however often one looks and for however long.

A change may come late, when gamblers who bet from the first score on have lost nearly all. Part of the money is
therefore kept, and w(j) = 1 / log2(j + 1) - 1 / log2(j + 2) of it put in at score j; these add up to 1:

    stake <- (stake + w(n)) * f(p(n)),    evidence = mean of stakes + 1 / log2(n + 2).

What is tested is that the order of the scores tells nothing. Traffic that comes in bursts of like items breaks that,
too: watch a sample of it, or one score a burst.
"""

import bisect
import math
import sys
from collections.abc import Iterable

import numpy as np

from modelwright.errors import SettingError
from modelwright.guard.betting import Floats
from modelwright.guard.hashing import series, uniform
from modelwright.records import Drift, DriftMemory
from modelwright.records.review import DriftKind

GAMBLERS: tuple[DriftKind, ...] = (
    *("rose", "rose", "rose"),
    *("fell", "fell", "fell"),
    *("spread", "spread", "spread"),
    *("narrowed", "narrowed"),
)
"""What each gambler bets on."""

_LEAST = 1e-12
_MOST = 1e300


def begin_watch(scores: Iterable[float], alpha: float = 0.01, seed: int = 0) -> DriftMemory:
    """A watch that begins with the calibration's scores.

    Args:
        scores: of what traffic should be like; some hundreds, better thousands. NaN, a score that is unavailable,
            counts as the highest.
        alpha: the alarm is ever false with at most this probability.
        seed: of the draws that part equal scores.

    Raises:
        SettingError: there are no scores, or alpha is out of range.
    """
    known = sorted(map(_finite, scores))
    if not known:
        raise SettingError("a watch must begin with the calibration's scores", where="scores", value=0)
    if not 0 < alpha < 1:
        raise SettingError("it must be between 0 and 1", where="alpha", value=alpha)
    return DriftMemory(alpha, seed, tuple(known), (0.0,) * len(GAMBLERS))


def watch(memory: DriftMemory, scores: Iterable[float]) -> DriftMemory:
    """The watch after further scores, in the order of the traffic. However they are dealt out over calls is one."""
    new = [_finite(score) for score in scores]
    known, stakes = list(memory.scores), np.array(memory.stakes)
    evidence, raised_at, kind = memory.evidence, memory.raised_at, memory.kind
    draws = uniform(series(memory.seen, len(new), memory.seed))
    for number, (score, draw) in enumerate(zip(new, draws, strict=True), memory.seen + 1):
        stakes = np.minimum((stakes + _put_in(number)) * bets(_p_value(known, score, float(draw))), _MOST)
        evidence = float(stakes.mean()) + 1.0 / math.log2(number + 2)
        if not raised_at and evidence >= 1.0 / memory.alpha:
            raised_at, kind = number, _loudest(stakes)
        bisect.insort(known, score)
    return DriftMemory(
        alpha=memory.alpha,
        seed=memory.seed,
        scores=tuple(known),
        stakes=tuple(stakes.tolist()),
        seen=memory.seen + len(new),
        evidence=evidence,
        raised_at=raised_at,
        kind=kind,
    )


def drift(memory: DriftMemory) -> Drift:
    """What a watch tells."""
    loudest = _loudest(np.array(memory.stakes))
    return Drift(
        alarm=memory.raised_at > 0,
        seen=memory.seen,
        alpha=memory.alpha,
        evidence=memory.evidence,
        raised_at=memory.raised_at,
        kind=memory.kind or (loudest if memory.evidence > 1.0 else ""),
    )


def bets(p: float) -> Floats:
    """What each gambler's stake is multiplied by; over a uniform p the mean of each is 1.

    Small p stands for high scores. Three bet on p being small: on a slope, mildly and boldly, and by 1 / (2 sqrt(p)) on
    a few very high scores. Three bet on it being large, three on both ends, two on the middle.
    """
    slope, bowl = 1.0 - 2.0 * p, 12.0 * (p - 0.5) ** 2 - 1.0
    high, low = 0.5 / math.sqrt(max(p, _LEAST)), 0.5 / math.sqrt(max(1.0 - p, _LEAST))
    rose = (1.0 + 0.3 * slope, 1.0 + 0.9 * slope, high)
    fell = (1.0 - 0.3 * slope, 1.0 - 0.9 * slope, low)
    spread = (1.0 + 0.3 * bowl, 1.0 + 0.9 * bowl, (high + low) / 2.0)
    return np.array((*rose, *fell, *spread, 1.0 - 0.2 * bowl, 1.0 - 0.45 * bowl))


def _p_value(known: list[float], score: float, draw: float) -> float:
    """Share of scores at or above this one, itself among them, equal ones parted by a draw in [0, 1)."""
    left, right = bisect.bisect_left(known, score), bisect.bisect_right(known, score)
    return (len(known) - right + (1.0 - draw) * (right - left + 1)) / (len(known) + 1)


def _loudest(stakes: Floats) -> DriftKind:
    return GAMBLERS[int(np.argmax(stakes))]


def _put_in(number: int) -> float:
    return 1.0 / math.log2(number + 1) - 1.0 / math.log2(number + 2)


def _finite(score: float) -> float:
    most = sys.float_info.max
    return most if math.isnan(score) else max(-most, min(most, float(score)))
