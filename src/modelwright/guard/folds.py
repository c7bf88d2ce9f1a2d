"""Networks that were trained without some of the classes, and what they make of the same rows.

A class that a network has learned is parted from all others in its features, and plays a new class badly: it is told
too well. In a network that was trained without the class it is as new as any. Each class is left out of one network,
trained in all else as the guarded one was. What is learned of them, how often a new class is accepted, is carried over
to the guarded network by ranks among familiar rows (see `rotation`).

Sources: leave-out classes, Vyas et al., 2018, arXiv 1809.03576, whose networks are trained without them, too; what is
fitted k times on parts, judged on what each has not seen, and used for the fit on all is cross-conformal prediction:
Vovk, 2015, arXiv 1208.0806; Barber, Candes, Ramdas, Tibshirani, 2021, arXiv 1905.02928.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError, ShapeError
from modelwright.guard.rotation import Rotation, Turn
from modelwright.guard.rows import Array, Head, Labels, Rows, finite, found_head


@final
@dataclass(frozen=True, eq=False)
class Fold:
    """A network that knows all but a few classes.

    Attributes:
        held: numbers of the classes that it was trained without.
        features: (n, d) that it makes of the very rows that the guard is fitted on, in their order: of `fit` all of
            them, of `fit_rows` those of the reference, then those of the calibration. d is the network's own.
        logits: (n, m) of the other classes, in rising order of their numbers.
        head: the network's last layer; where it is not given, it is found as that of the guarded one is.
    """

    held: tuple[int, ...]
    features: Array
    logits: Array
    head: Head | None = None

    def take(self, rows: NDArray[Any]) -> "Fold":
        """What it makes of some of the rows."""
        return Fold(self.held, self.features[rows], self.logits[rows], self.head)


def rotations_of(folds: Sequence[Fold], reference: Labels, calibration: Labels, classes: int) -> tuple[Rotation, ...]:
    """What each network has for a turn.

    Args:
        folds: of which each class is held out by one.
        reference: labels of the rows that detectors are fitted on.
        calibration: those of the others, which come after them.
        classes: how many there are.

    Raises:
        SettingError: a class is left out by none or by two, fewer than two are kept, or a number is not finite.
        ShapeError: there are other rows, or logits.
    """
    _check_held(folds, classes)
    first = np.arange(len(reference))
    found = []
    for number, fold in enumerate(folds):
        where = f"folds, {number}"
        held = np.sort(np.array(fold.held, np.int64))
        turn = Turn(np.setdiff1d(np.arange(classes), held), held)
        features, logits = np.asarray(fold.features, np.float64), np.asarray(fold.logits, np.float64)
        wanted = (len(reference) + len(calibration), len(turn.kept))
        if features.ndim != 2 or logits.shape != wanted or len(features) != wanted[0]:
            rule = f"a fold must have features ({wanted[0]}, d) and logits {wanted} of the rows that are fitted on"
            raise ShapeError(rule, where=where, value=(features.shape, logits.shape))
        if not (finite(features) and finite(logits)):
            raise SettingError("features and logits must be finite", where=where)
        if fold.head is not None and fold.head.weight.shape != (wanted[1], features.shape[1]):
            rule = f"the head must make {wanted[1]} logits of {features.shape[1]} features"
            raise ShapeError(rule, where=where, value=fold.head.weight.shape)
        inside = first[np.isin(reference, turn.kept)]
        known = Rows(features[inside], logits[inside], np.searchsorted(turn.kept, reference[inside]).astype(np.int64))
        rest = Rows(features[len(first) :], logits[len(first) :], calibration)
        found.append(Rotation(turn, known, rest, fold.head or found_head(known)))
    return tuple(found)


def _check_held(folds: Sequence[Fold], classes: int) -> None:
    held = sorted(label for fold in folds for label in fold.held)
    if held != list(range(classes)):
        rule = f"each of the {classes} classes must be left out by one network"
        raise SettingError(rule, where="folds", value=[fold.held for fold in folds][:10])
    if any(classes - len(fold.held) < 2 for fold in folds):
        way_out = "Leave fewer classes out of a network."
        raise SettingError("each network must know two classes", where="folds", value=classes, way_out=way_out)
