"""A guard out of one's own data: a detector, chosen or named, a temperature, a threshold, and what can be promised.

Rows are dealt out so that nothing is judged by what it was made of: the detector is fitted on the reference, and a head
has been trained on rows of its own; of the calibration, one half (the design) gives temperature, detector and the order
of the rules, the other the proof. What is promised of outliers rests on what is known of them: on outliers that were
given; on networks that were trained without some classes, to which these are new; or, where the features are foreign,
on classes that are held out. A network that was trained on a class tells it too well for any promise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError, ShapeError
from modelwright.guard.acceptance import Judged
from modelwright.guard.calibration import temperature_of
from modelwright.guard.choosing import choose
from modelwright.guard.detectors.catalogue import detector as named
from modelwright.guard.detectors.catalogue import name_of, names
from modelwright.guard.detectors.detector import Detector, checked, settings_of
from modelwright.guard.folds import Fold, rotations_of
from modelwright.guard.guarantee import Guarantee, prove, prove_with
from modelwright.guard.new_classes import Played, prove_for_classes
from modelwright.guard.profile import GuardProfile, profile_of
from modelwright.guard.rotation import Rotation, Scorer, judged, odds_of, own_rotations, stand_ins, turned, turns
from modelwright.guard.rows import Array, Floats, Head, Outliers, Rows, found_head, halves, rows_of
from modelwright.records import Basis, DetectorTrial, File, GuardPlan, GuardRecord, Promise

if TYPE_CHECKING:
    from modelwright.guard.training.trained import Trained

AUTO = "auto"
"""In place of a detector's name: choose one."""


_LEARNED = (
    "a network that was trained on a class tells it far better, held out, than a new one, so that nothing is known of "
    "new ones; give outliers or networks that were trained without classes, or say so where the features are foreign"
)
"""Why nothing is promised from classes that are held out of the features of a network that knows them."""

_SOUND = ("networks without classes", "foreign features")
"""What a held-out class is as new to as any."""

Strange = Outliers | Sequence[Fold]
"""What is known of new classes: outliers, or networks that were trained without some classes."""


def fit(
    features: Array,
    logits: Array | None,
    labels: NDArray[np.integer],
    *,
    head: Head | None = None,
    detector: "str | Detector | Trained" = AUTO,
    artifact: str = "",
    plan: GuardPlan | None = None,
    strange: Strange = (),
) -> GuardProfile:
    """A guard for a classifier, from rows that the classifier was not trained on.

    Args:
        features: (n, d), as the classifier's last layer takes them.
        logits: (n, k), as it gives them; None for a trained head, which gives its own.
        labels: (n,) the true classes, from 0; every class needs four rows or more.
        head: that layer; where it is not given, it is found from features and logits if they show it.
        detector: its name, or itself; "auto" chooses among all. Or a head that was trained on features.
        artifact: SHA-256 digest of the artifact that is guarded; "" for a model that lives elsewhere.
        plan: the risk, or the quantile, and how to go about it.
        strange: outliers, or networks that were trained without some classes, which see the rows in the same order:
            what a promise about outliers needs where the features are not foreign.

    Raises:
        ShapeError: the arrays do not fit one another.
        SettingError: a number is not finite, a class lacks rows, or a detector cannot be fitted or chosen.
        UnknownNameError: there is no detector of that name.
    """
    asked = plan or GuardPlan()
    if not isinstance(detector, str | Detector):
        return fit_head(detector, features, labels, artifact=artifact, plan=asked, strange=strange)
    if logits is None:
        raise SettingError("a detector needs the classifier's logits", where="logits", value=None)
    rows = rows_of(features, logits, labels)
    second, first = halves(rows.labels, asked.calibration, np.random.default_rng(asked.seed))
    if not isinstance(strange, Outliers):
        _check_folds(strange, len(rows))
        strange = [fold.take(np.concatenate([first, second])) for fold in strange]
    return fit_rows(
        rows.take(first), rows.take(second), head=head, detector=detector, artifact=artifact, plan=asked,
        strange=strange,
    )  # fmt: skip


def fit_rows(
    reference: Rows,
    calibration: Rows,
    *,
    head: Head | None = None,
    detector: str | Detector = AUTO,
    artifact: str = "",
    plan: GuardPlan | None = None,
    strange: Strange = (),
) -> GuardProfile:
    """The same where the detector has rows of its own, such as those that the classifier was trained on.

    Networks that were trained without classes see the reference's rows, then the calibration's.

    Raises:
        ShapeError: reference and calibration differ in width or classes.
        SettingError: a class lacks rows, or a detector cannot be fitted or chosen.
        UnknownNameError: there is no detector of that name.
    """
    asked = plan or GuardPlan()
    _check_reference(reference, calibration)
    parts = _parts(calibration, asked)
    layer = head or found_head(reference)
    shown = _shown(strange, reference, calibration, layer, asked)
    trials: tuple[DetectorTrial, ...] = ()
    if detector == AUTO:
        known = [named(name) for name in names()]
        heads = layer is not None and all(one.head is not None for one in shown.rotations)
        able = [one for one in known if heads or not one.NEEDS_HEAD]
        design = [one.take(parts.order[0]) for one in shown.rotations] if shown.basis in _SOUND else []
        trials = choose(able, reference, parts.design, head=layer, plan=asked, temperature=parts.temperature,
                        rotations=design)  # fmt: skip
        detector = trials[0].detector
    one = named(detector) if isinstance(detector, str) else detector
    fitted = one.fit_rows(reference, layer)
    record = _record(fitted, shown._replace(without=lambda rotation: turned(one, rotation)), parts, asked)
    record = msgspec.structs.replace(
        record,
        artifact=artifact,
        detector=name_of(one),
        settings=settings_of(one),
        fitted=len(reference),
        trials=trials,
    )
    return profile_of(fitted, record)


def fit_head(
    head: "Trained",
    features: Array,
    labels: NDArray[np.integer],
    *,
    artifact: str = "",
    plan: GuardPlan | None = None,
    strange: Strange = (),
) -> GuardProfile:
    """A guard that decides by a head of its own, trained on features, from rows that it was not trained on.

    Args:
        head: the method and its networks.
        features: (n, d).
        labels: (n,) the true classes, from 0; every class needs two rows or more, all of which calibrate.
        artifact: SHA-256 digest of the artifact whose features the head reads; "" for a model that lives elsewhere.
        plan: the risk, or the quantile, and how to go about it.
        strange: outliers, which a promise about outliers needs: the head was trained on every class.

    Raises:
        ShapeError: the arrays do not fit one another, or the head.
        SettingError: the head reads no features, a number is not finite, a class lacks rows, or there are folds.
    """
    asked, known = plan or GuardPlan(), head.record
    calibration = rows_of(features, head.judge(features)[0], labels)
    if not isinstance(strange, Outliers):
        if strange:
            way_out = "Give outliers."
            raise SettingError("folds are for detectors, not for trained heads", where="strange", way_out=way_out)
        own = turns(calibration.classes, asked.rotations, asked.seed) if calibration.classes > 2 else ()
        shown = _Shown(own_rotations(own, calibration, calibration, None), None, "none",
                       lambda rotation: HeadScorer(head.only(rotation.turn.kept)))  # fmt: skip
    else:
        wide = head.read(strange.features)
        shown = _Shown((), Rows(wide, head.judge(wide)[0], np.zeros(len(wide), np.int64)), "outliers")
    record = _record(HeadScorer(head), shown, _parts(calibration, asked), asked)
    record = msgspec.structs.replace(
        record, artifact=artifact, detector=head.name, settings=head.settings, fitted=head.rows, head=known
    )
    return profile_of(head, record)


@final
@dataclass(frozen=True, eq=False)
class HeadScorer:
    """A trained head as what scores rows.

    Attributes:
        head: which looks at features alone.
    """

    head: "Trained"

    def score(self, features: Floats, logits: Floats) -> Floats:
        """(n,) the head's score."""
        return self.head.judge(features)[1]


class _Parts(NamedTuple):
    """Calibration rows.

    Attributes:
        whole: all.
        design: those that rules are ordered by.
        proof: the others.
        order: numbers of the rows of either.
        temperature: of the design.
    """

    whole: Rows
    design: Rows
    proof: Rows
    order: tuple[NDArray[np.int64], NDArray[np.int64]]
    temperature: float


def _unknown(rotation: Rotation) -> Scorer:
    raise SettingError("a detector must score each rotation", value=rotation.turn.held.tolist())


class _Shown(NamedTuple):
    """What is known of new classes.

    Attributes:
        rotations: with the calibration's rows; none where no class can be held out, or outliers were given.
        outliers: that were given.
        basis: what a promise may rest on; "none" where the rotations bear none.
        without: makes what scores where the classes of a rotation are held out.
    """

    rotations: Sequence[Rotation]
    outliers: Rows | None
    basis: Basis
    without: Callable[[Rotation], Scorer] = _unknown


def _shown(strange: Strange, reference: Rows, calibration: Rows, head: Head | None, plan: GuardPlan) -> _Shown:
    """What a detector can learn of new classes."""
    if isinstance(strange, Outliers):
        if strange.logits is None:
            raise SettingError("a detector needs the outliers' logits", where="strange, logits", value=None)
        wide, found = checked(strange.features, strange.logits, calibration.width, calibration.classes)
        return _Shown((), Rows(wide, found, np.zeros(len(wide), np.int64)), "outliers")
    if strange:
        folds = rotations_of(strange, reference.labels, calibration.labels, calibration.classes)
        return _Shown(folds, None, "networks without classes")
    if calibration.classes < 3:
        return _Shown((), None, "none")
    own = turns(calibration.classes, plan.rotations, plan.seed)
    rotations = own_rotations(own, reference, calibration, head)
    return _Shown(rotations, None, "foreign features" if plan.foreign else "none")


def _parts(calibration: Rows, plan: GuardPlan) -> _Parts:
    _check(calibration, plan)
    second, first = halves(calibration.labels, 0.5, np.random.default_rng(plan.seed + 1))
    design, proof = calibration.take(first), calibration.take(second)
    return _Parts(calibration, design, proof, (first, second), temperature_of(design.logits, design.labels))


def _record(whole: Scorer, shown: _Shown, parts: _Parts, plan: GuardPlan) -> GuardRecord:
    """What is found of the one that scores, whatever it is; its name is still to be told."""
    calibration, temperature = parts.whole, parts.temperature
    if plan.quantile is not None:
        temperature = temperature_of(calibration.logits, calibration.labels)
        threshold = quantile(judged(whole, calibration, temperature)[0].score, plan.quantile)
        rule: Guarantee | tuple[float, float, None] = (threshold, plan.least_probability, None)
    else:
        rule = _promised(whole, shown, parts, plan)
    threshold, least, promise = rule
    return GuardRecord(
        artifact="",
        detector="none",
        settings={},
        threshold=threshold,
        temperature=temperature,
        least_probability=least,
        classes=plan.classes or tuple(map(str, range(calibration.classes))),
        width=calibration.width,
        numbers=File("none", "0" * 64, 0),
        fitted=0,
        calibrated=len(calibration),
        promise=promise,
    )


def quantile(scores: Array, share: float) -> float:
    """The least threshold that accepts a new familiar row with a probability of `share` or more (split conformal).

    That is the ceil((n + 1) share)-th score from below; the highest where there are too few. Source: Vovk, Gammerman,
    Shafer, 2005, "Algorithmic learning in a random world". NaN counts as the highest, and is never a threshold.

    Raises:
        SettingError: no row has a score.
    """
    known = np.sort(np.asarray(scores, np.float64)[~np.isnan(scores)])
    if not len(known):
        raise SettingError("some rows of the calibration must have a score", where="scores", value=0)
    return float(known[min(math.ceil((len(scores) + 1) * share - 1e-9), len(known)) - 1])


def _promised(whole: Scorer, shown: _Shown, parts: _Parts, plan: GuardPlan) -> Guarantee:
    """The rule that keeps the plan's risk, its outliers being what they are known to be."""
    temperature = parts.temperature
    design, proof = (judged(whole, rows, temperature)[0] for rows in (parts.design, parts.proof))
    if plan.ood_share == 0:
        return prove(design, np.ones(len(design)), proof, plan)
    if shown.outliers is not None:
        if len(shown.outliers) < 2:
            raise SettingError("there must be two outliers or more", where="strange", value=len(shown.outliers))
        others = judged(whole, shown.outliers, temperature)[0]
        others = Judged(others.score, others.probability, np.ones(len(others), bool))
        return prove_with(design, proof, others, plan, np.random.default_rng(plan.seed + 2))
    if not shown.rotations:
        why = "of two classes none can be held out to learn from how many outliers are accepted"
        return Guarantee(quantile(design.score, 0.95), 0.0, _not(plan, why))
    fits = [shown.without(rotation) for rotation in shown.rotations]
    known, rest = ([one.take(which) for one in shown.rotations] for which in parts.order)
    odds = odds_of(shown.rotations, parts.whole.classes)
    first, second = (
        Played(familiar, stand_ins(fits, rotations, known, design, temperature), rows.labels, odds)
        for familiar, rotations, rows in ((design, known, parts.design), (proof, rest, parts.proof))
    )
    found = prove_for_classes(first, second, plan, shown.basis)
    return found if shown.basis in _SOUND else found._replace(promise=_not(plan, _LEARNED))


def _not(plan: GuardPlan, why: str) -> Promise:
    """No promise, and why."""
    return Promise(plan.risk, plan.ood_share, plan.confidence, False, why)


def _check_folds(folds: Sequence[Fold], count: int) -> None:
    for number, fold in enumerate(folds):
        if not len(fold.features) == len(fold.logits) == count:
            value = (len(fold.features), len(fold.logits))
            raise ShapeError(f"a fold must have the {count} rows that are fitted on", where=f"folds, {number}",
                             value=value)  # fmt: skip


def _check_reference(reference: Rows, calibration: Rows) -> None:
    if (reference.width, reference.classes) != (calibration.width, calibration.classes):
        value = ((reference.width, reference.classes), (calibration.width, calibration.classes))
        raise ShapeError("reference and calibration must have the same width and classes", value=value)
    missing = np.setdiff1d(np.arange(reference.classes), reference.labels).tolist()[:10]
    if missing:
        way_out = "Give more rows of these classes, or leave their logits out."
        raise SettingError("every class must have rows to fit on", value=missing, way_out=way_out)


def _check(calibration: Rows, plan: GuardPlan) -> None:
    if plan.classes and len(plan.classes) != calibration.classes:
        raise SettingError(f"there must be {calibration.classes} names of classes", value=len(plan.classes))
    counts = np.bincount(calibration.labels, minlength=calibration.classes)
    if counts.min() < 2:
        rare = np.flatnonzero(counts < 2).tolist()[:10]
        way_out = "Give more rows of these classes, or leave their logits out."
        raise SettingError("every class must have two rows to calibrate with", value=rare, way_out=way_out)
