"""Verdicts move the threshold: the largest at which errors among the accepted are shown to be rare enough.

Each candidate threshold t is tested by betting against "the share of errors among items with a score up to t is above
the risk" on the verdicts of those items, weighted by 1 / propensity: an audited item speaks for all the accepted ones
that were not looked at. As the largest of several candidates that pass is taken, each must pass at
(1 - confidence) / candidates (Bonferroni), as in Learn then Test (Angelopoulos et al., 2021, arXiv 2110.01052).
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from modelwright.errors import SettingError
from modelwright.guard.betting import Floats, evidence_below
from modelwright.records import Recalibration, Verdict


def recalibrated(
    verdicts: Iterable[Verdict], candidates: Sequence[float], risk: float, confidence: float = 0.95
) -> Recalibration:
    """The largest candidate at which the share of errors among the accepted is at most `risk`, with that confidence.

    Every item of the traffic must have had a known chance to be looked at: deferred ones are reviewed, accepted ones
    audited. Items without a score are never accepted and do not count, nor do copied verdicts.

    Args:
        verdicts: of deferred items and of audits.
        candidates: thresholds to choose among, picked without these verdicts, such as quantiles of the calibration's
            scores; few of them, as more need more verdicts.
        risk: in (0, 1).
        confidence: in (0, 1).

    Raises:
        SettingError: there is no candidate, one is no number, or risk or confidence is out of range.
    """
    thresholds = np.unique(np.asarray(candidates, np.float64))
    if not len(thresholds) or np.isnan(thresholds).any():
        rule = "there must be thresholds to choose among, all of them numbers"
        raise SettingError(rule, where="candidates", value=list(candidates)[:5])
    for name, value in (("risk", risk), ("confidence", confidence)):
        if not 0 < value < 1:
            raise SettingError("it must be between 0 and 1", where=name, value=value)
    seen = [one for one in verdicts if one.score is not None and not one.copied_from]
    scores = np.array([one.score for one in seen], np.float64)
    wrong = np.array([one.wrong for one in seen], np.float64)
    weights = 1.0 / np.array([one.propensity for one in seen], np.float64)
    needed = math.log(len(thresholds) / (1.0 - confidence))
    for threshold in thresholds[::-1]:
        under = scores <= threshold
        if under.any() and _evidence(wrong[under], weights[under], risk) >= needed:
            estimate = float(np.average(wrong[under], weights=weights[under]))
            accepted = float(weights[under].sum() / weights.sum())
            why = f"{int(under.sum())} verdicts on items with such scores show it"
            return Recalibration(float(threshold), risk, confidence, estimate, accepted, len(seen), why)
    return Recalibration(None, risk, confidence, None, 0.0, len(seen), _why_not(scores, wrong, thresholds[0], risk))


def _evidence(wrong: Floats, weights: Floats, risk: float) -> float:
    return evidence_below(wrong, weights / weights.max(), risk)


def _why_not(scores: Floats, wrong: Floats, least: float, risk: float) -> str:
    under = scores <= least
    if not under.any():
        return "no verdict is on an item that even the least candidate would accept"
    count, errors = int(under.sum()), int(wrong[under].sum())
    return f"{errors} of {count} verdicts below the least candidate are errors, which does not show a risk of {risk:g}"
