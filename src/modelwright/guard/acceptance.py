"""Rules of acceptance: a score up to a threshold and a probability from a least one on; what each accepts, at once."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from modelwright.guard.rows import Flags, Floats

_THRESHOLDS = np.concatenate([np.linspace(0.02, 0.9, 45), np.linspace(0.91, 1.0, 19)])
_LEAST = np.concatenate([np.linspace(0.0, 0.5, 26)[1:], np.linspace(0.54, 0.98, 12)])


@final
@dataclass(frozen=True, eq=False)
class Judged:
    """Rows with what a guard goes by, and whether accepting them is an error.

    Attributes:
        score: (n,) higher for less familiar; NaN is never accepted.
        probability: (n,) calibrated, of the predicted class; NaN is never accepted.
        wrong: (n,) whether accepting the row is an error; it always is of an outlier.
    """

    score: Floats
    probability: Floats
    wrong: Flags

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[Any]) -> "Judged":
        """Some of the rows, by number or by flag."""
        return Judged(self.score[rows], self.probability[rows], self.wrong[rows])

    def joined(self, other: "Judged") -> "Judged":
        """These rows, then the others."""
        return Judged(
            np.concatenate([self.score, other.score]),
            np.concatenate([self.probability, other.probability]),
            np.concatenate([self.wrong, other.wrong]),
        )


class Rules(NamedTuple):
    """All pairs of a threshold and a least probability.

    Attributes:
        thresholds: (a,) in rising order, finite.
        least: (b,) in rising order, the first 0.
    """

    thresholds: Floats
    least: Floats


def rules_of(familiar: Judged) -> Rules:
    """Rules worth a look: quantiles of the scores and of the probabilities of familiar rows."""
    scores = familiar.score[np.isfinite(familiar.score)]
    known = familiar.probability[np.isfinite(familiar.probability)]
    thresholds = np.quantile(scores, _THRESHOLDS, method="higher") if len(scores) else np.zeros(1)
    least = np.quantile(known, _LEAST, method="lower") if len(known) else np.zeros(0)
    return Rules(np.unique(thresholds), np.unique(np.concatenate([[0.0], least])))


def masses(rules: Rules, rows: Judged, weight: Floats | None = None) -> tuple[Floats, Floats]:
    """Weight of the rows that each rule accepts, and of the errors among them, both (a, b).

    Args:
        rules: a thresholds and b least probabilities.
        rows: of which one counts 1, or its weight.
        weight: (n,).
    """
    weights = np.ones(len(rows)) if weight is None else weight
    first = np.searchsorted(rules.thresholds, rows.score, side="left")  # NaN comes after all
    last = np.searchsorted(rules.least, rows.probability, side="right") - 1
    may = (first < len(rules.thresholds)) & (last >= 0) & ~np.isnan(rows.probability)
    table = np.zeros((2, len(rules.thresholds), len(rules.least)))
    np.add.at(table[0], (first[may], last[may]), weights[may])
    np.add.at(table[1], (first[may], last[may]), (weights * rows.wrong)[may])
    summed = np.cumsum(np.cumsum(table, axis=1)[:, :, ::-1], axis=2)[:, :, ::-1]
    return summed[0], summed[1]


def mixture_weights(outlier: Flags, share: float) -> Floats:
    """(n,) weights that add up to 1, those of the outliers to `share`; where there are none, they count nothing."""
    count = int(outlier.sum())
    return np.where(outlier, share / max(count, 1), (1.0 - share) / max(len(outlier) - count, 1))


def most_right(rules: Rules, rows: Judged, weight: Floats, risk: float) -> float:
    """The largest share of the traffic that is accepted and right, by a rule that keeps to the risk; 0 for none.

    Errors that the risk leaves room for count nothing: where outliers may be accepted, a score is no better for doing
    so.

    Args:
        rules: to choose among.
        rows: of the traffic.
        weight: (n,) how much a row counts.
        risk: share of errors among the accepted, at most.
    """
    accepted, errors = masses(rules, rows, weight)
    right = (accepted - errors)[(errors <= risk * accepted + 1e-12) & (accepted > 0)]
    return float(min(max(right.max() / weight.sum(), 0.0), 1.0)) if len(right) else 0.0
