"""Outliers out of one's own data: whole classes are held out, one group at a time.

The detector is fitted anew without the group's rows, and its logits are left out; what it then makes of the group's
rows is what it may make of a class that nobody knew of. Source of the idea: leave-out classes, as in Vyas et al., 2018,
arXiv 1809.03576. The features still come from a network that was trained on the group, so that these outliers are, if
anything, easier than new ones. What that does is not corrected; what follows is.

A held-out class meets fewer classes that it may be taken for than a new one will. Where an outlier is accepted for
being near to one of k classes that are drawn alike, its probability of being accepted is a sum with gains that fall,
so that

    P(accepted, of k classes) <= k / m P(accepted, of m < k classes).

Outliers therefore count k / m times in a proof: it is made for a share s' with s' / (1 - s') = k / m s / (1 - s).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from modelwright.errors import SettingError
from modelwright.guard.acceptance import Judged
from modelwright.guard.calibration import probabilities
from modelwright.guard.detectors.detector import Detector, Fitted
from modelwright.guard.rows import Flags, Floats, Head, Labels, Rows


class Turn(NamedTuple):
    """One rotation.

    Attributes:
        kept: classes that stay, in rising order.
        held: classes that play outliers.
    """

    kept: Labels
    held: Labels


class Scorer(Protocol):
    """What scores rows, such as a fitted detector."""

    def score(self, features: Floats, logits: Floats) -> Floats:
        """(n,) higher for less familiar."""
        ...


def turns(classes: int, count: int, seed: int) -> tuple[Turn, ...]:
    """Rotations in which each class is held out once, and two or more are kept.

    Args:
        classes: how many there are.
        count: of groups, where there are as many classes; more where two classes would not be left.
        seed: of the grouping.

    Raises:
        SettingError: there are fewer than three classes.
    """
    if classes < 3:
        way_out = "Name a detector, and give outliers of your own to `guarantee`."
        raise SettingError("classes can be held out where there are three or more", value=classes, way_out=way_out)
    groups = min(max(count, -(-classes // (classes - 2))), classes)
    order = np.random.default_rng(seed).permutation(classes)
    held = [np.sort(group).astype(np.int64) for group in np.array_split(order, groups)]
    return tuple(Turn(np.setdiff1d(np.arange(classes), group), group) for group in held)


def raised(share: float, rotations: Sequence[Turn]) -> float:
    """The share of held-out rows that stands for a share of new classes' rows.

    Args:
        share: of outliers in the traffic.
        rotations: whose classes are held out.
    """
    odds = max((len(turn.kept) + len(turn.held)) / len(turn.kept) for turn in rotations) * share
    return odds / (1.0 - share + odds)


def turned(detector: Detector, turn: Turn, reference: Rows, head: Head | None) -> Fitted:
    """The detector fitted on the rows of the classes that are kept."""
    return detector.fit_rows(reference.only(turn.kept), head.only(turn.kept) if head else None)


def judged(fitted: Scorer, rows: Rows, temperature: float, turn: Turn | None = None) -> tuple[Judged, Flags]:
    """What a detector makes of rows, and which of them play outliers.

    Args:
        fitted: on all classes, or by `turned`.
        rows: of all classes.
        temperature: of the probabilities.
        turn: the rotation; None where no class is held out.
    """
    if turn is None:
        probability = probabilities(rows.logits, temperature).max(1)
        return Judged(fitted.score(rows.features, rows.logits), probability, rows.wrong), np.zeros(len(rows), bool)
    logits = rows.logits[:, turn.kept]
    outlier = np.isin(rows.labels, turn.held)
    wrong = outlier | (turn.kept[logits.argmax(1)] != rows.labels)
    return Judged(fitted.score(rows.features, logits), probabilities(logits, temperature).max(1), wrong), outlier


def translated(values: Floats, here: Floats, there: Floats, *, low: bool) -> Floats:
    """Values on a scale of their own, as those of the same rank on another.

    A score among k - 1 classes is not one among k. Its rank among familiar rows is kept instead: (share of `here` below
    the value) is looked up in `there`; beyond all of `here` it is beyond all of `there`.

    Args:
        values: (n,); NaN stays.
        here: familiar rows on the values' scale.
        there: familiar rows on the other scale.
        low: whether equal ones count as below the value or not; the smaller result comes of True.
    """
    known, others = np.sort(here[~np.isnan(here)]), np.sort(there[~np.isnan(there)])
    if not len(known) or not len(others):
        return np.full(len(values), np.nan)
    share = np.searchsorted(known, values, side="left" if low else "right") / len(known)
    places = np.floor(share * len(others) + 1e-9).astype(np.int64)
    found = np.where(places >= len(others), np.inf, others[np.minimum(places, len(others) - 1)])
    return np.where(np.isnan(values), np.nan, found)


def stand_ins(
    fits: Sequence[Scorer], rotations: Sequence[Turn], rows: Rows, yardstick: tuple[Rows, Judged], temperature: float
) -> Judged:
    """Each row as the outlier that it would be, had its class been held out; (n,), in the order of the rows.

    Args:
        fits: the detector of each rotation, from `turned`.
        rotations: these.
        rows: of all classes.
        yardstick: familiar rows, and what the detector of all classes makes of them: the scale of the result.
        temperature: of the probabilities.
    """
    known, scale = yardstick
    score, probability = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for fitted, turn in zip(fits, rotations, strict=True):
        places = np.flatnonzero(np.isin(rows.labels, turn.held))
        here, outlier = judged(fitted, known, temperature, turn)
        here, there = here.take(~outlier), judged(fitted, rows.take(places), temperature, turn)[0]
        score[places] = translated(there.score, here.score, scale.score, low=True)
        above = translated(there.probability, here.probability, scale.probability, low=False)
        probability[places] = np.minimum(above, 1.0)
    return Judged(score, probability, np.ones(len(rows), bool))
