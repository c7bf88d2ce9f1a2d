"""Outliers out of one's own data: whole classes are held out, one group at a time.

The detector is fitted anew without the group's rows, and its logits are left out; what it then makes of the group's
rows is what it may make of a class that nobody knew of. Source of the idea: leave-out classes, as in Vyas et al., 2018,
arXiv 1809.03576. Where the features come from a network that was trained on the group, these outliers are far easier
than new ones: they do to compare detectors, as far as they go, but nothing is promised from them. It takes features
that know no class, or networks that were trained without the group (see `folds`).

A held-out class meets fewer classes that it may be taken for than a new one will. Where an outlier is accepted for
being near to one of k classes that are drawn alike, its probability of being accepted is a sum with gains that fall,
so that

    P(accepted, of k classes) <= k / m P(accepted, of m < k classes).

What is accepted of a held-out class therefore counts k / m times in a proof.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

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


class Rotation(NamedTuple):
    """What there is for a turn.

    Attributes:
        turn: classes kept and held.
        reference: rows of the kept classes, numbered among these.
        rows: others, of all classes, numbered among all, with logits of the kept classes only.
        head: the last layer, of the kept classes; None where it is not known.
    """

    turn: Turn
    reference: Rows
    rows: Rows
    head: Head | None

    def take(self, which: NDArray[Any]) -> "Rotation":
        """The same for some of the rows."""
        return self._replace(rows=self.rows.take(which))

    @property
    def familiar(self) -> Rows:
        """Rows of the kept classes, numbered among these."""
        inside = self.rows.take(np.isin(self.rows.labels, self.turn.kept))
        return Rows(inside.features, inside.logits, np.searchsorted(self.turn.kept, inside.labels).astype(np.int64))


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


def turned(detector: Detector, rotation: Rotation) -> Fitted:
    """The detector fitted on the rows of the classes that are kept."""
    return detector.fit_rows(rotation.reference, rotation.head)


def own_rotations(turns: Sequence[Turn], reference: Rows, rows: Rows, head: Head | None) -> tuple[Rotation, ...]:
    """What there is for each turn where one network makes all features: the held classes' logits are left out."""
    return tuple(
        Rotation(
            turn,
            reference.only(turn.kept),
            Rows(rows.features, rows.logits[:, turn.kept], rows.labels),
            head.only(turn.kept) if head else None,
        )
        for turn in turns
    )


def judged(fitted: Scorer, rows: Rows, temperature: float, turn: Turn | None = None) -> tuple[Judged, Flags]:
    """What a detector makes of rows, and which of them play outliers.

    Args:
        fitted: on all classes, or by `turned`.
        rows: of all classes; their logits of all, too, or of those that are kept.
        temperature: of the probabilities.
        turn: the rotation; None where no class is held out.
    """
    if turn is None:
        probability = probabilities(rows.logits, temperature).max(1)
        return Judged(fitted.score(rows.features, rows.logits), probability, rows.wrong), np.zeros(len(rows), bool)
    logits = rows.logits if rows.classes == len(turn.kept) else rows.logits[:, turn.kept]
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
    fits: Sequence[Scorer],
    rotations: Sequence[Rotation],
    known: Sequence[Rotation],
    scale: Judged,
    temperature: float,
) -> Judged:
    """Each row as the outlier that it would be, had its class been held out; (n,), in the order of the rows.

    Args:
        fits: the detector of each rotation, fitted on its reference.
        rotations: these, with rows of all classes.
        known: the same with other rows: the yardstick of each.
        scale: what the detector of all classes makes of the yardstick's rows: the scale of the result.
        temperature: of the probabilities.
    """
    count = len(rotations[0].rows)
    score, probability = np.full(count, np.nan), np.full(count, np.nan)
    for fitted, (turn, _, rows, _), yardstick in zip(fits, rotations, known, strict=True):
        places = np.flatnonzero(np.isin(rows.labels, turn.held))
        here, outlier = judged(fitted, yardstick.rows, temperature, turn)
        here, there = here.take(~outlier), judged(fitted, rows.take(places), temperature, turn)[0]
        score[places] = translated(there.score, here.score, scale.score, low=True)
        above = translated(there.probability, here.probability, scale.probability, low=False)
        probability[places] = np.minimum(above, 1.0)
    return Judged(score, probability, np.ones(count, bool))


def odds_of(rotations: Sequence[Rotation], classes: int) -> Floats:
    """(k,) of each class, by how much more classes a new one meets than it did where it was held out."""
    found = np.ones(classes)
    for turn, *_ in rotations:
        found[turn.held] = classes / len(turn.kept)
    return found
