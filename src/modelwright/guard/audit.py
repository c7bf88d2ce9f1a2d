"""Audits: accepted items drawn by chance and looked at as well, so that what is learnt of errors is not one-sided.

What reviewers see of deferred items says nothing of those that were accepted. Each accepted item is therefore looked at
with a known probability p, its propensity, and counts 1 / p times (Horvitz, Thompson, 1952).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from modelwright.guard.betting import interval
from modelwright.guard.hashing import hashed, uniform
from modelwright.records import AuditedRisk, Verdict


def drawn(keys: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which items are audited, (n,): each with probability `share`, by the hash of its key.

    A key asked for twice is drawn twice or never.
    """
    return uniform(hashed(keys, seed)) < share


def audited_risk(verdicts: Iterable[Verdict], confidence: float = 0.95) -> AuditedRisk:
    """How often accepted predictions are wrong: the share among audited ones, each weighted by 1 / propensity.

    Verdicts copied from near-duplicates do not count. Right as long as whether an audit has its verdict by now does not
    depend on whether it is wrong, which the queue sees to by its order, and reviewers by not picking.
    """
    audits = [verdict for verdict in verdicts if verdict.reason == "audit" and not verdict.copied_from]
    if not audits:
        return AuditedRisk(None, 0.0, 1.0, confidence, 0, 0)
    wrong = np.array([verdict.wrong for verdict in audits], np.float64)
    weights = 1.0 / np.array([verdict.propensity for verdict in audits])
    risk = float((weights * wrong).sum() / weights.sum())
    low, high = interval(wrong, weights / weights.max(), confidence)
    return AuditedRisk(risk, min(low, risk), max(high, risk), confidence, len(audits), int(wrong.sum()))
