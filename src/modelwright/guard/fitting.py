"""A guard out of one's own data: a detector, chosen or named, a temperature, a threshold, and what can be promised.

Rows are dealt out so that nothing is judged by what it was made of: the detector is fitted on the reference, and a head
has been trained on rows of its own; of the calibration, one half (the design) gives temperature, detector and the order
of the rules, the other the proof. Each row of the proof plays, by coin, a familiar one or the outlier that it would be
had its class been held out, so that they are an independent sample of the mixture.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError, ShapeError
from modelwright.guard.acceptance import Judged, mixture_weights
from modelwright.guard.calibration import temperature_of
from modelwright.guard.choosing import choose
from modelwright.guard.detectors.catalogue import detector as named
from modelwright.guard.detectors.catalogue import name_of, names
from modelwright.guard.detectors.detector import Detector, settings_of
from modelwright.guard.guarantee import Guarantee, prove
from modelwright.guard.profile import GuardProfile, profile_of
from modelwright.guard.rotation import Scorer, Turn, judged, raised, stand_ins, turned, turns
from modelwright.guard.rows import Array, Floats, Head, Rows, found_head, halves, rows_of
from modelwright.records import DetectorTrial, File, GuardPlan, GuardRecord, Promise

if TYPE_CHECKING:
    from modelwright.guard.training.trained import Trained

AUTO = "auto"
"""In place of a detector's name: choose one."""


_STAND_INS = (
    "outliers like its classes where one is held out: if the network was trained on them, new ones may be nearer"
)
"""For what a promise holds that was proved without outliers."""

Without = Callable[[Turn], Scorer]
"""Makes what scores where some classes are held out."""


def fit(
    features: Array,
    logits: Array | None,
    labels: NDArray[np.integer],
    *,
    head: Head | None = None,
    detector: "str | Detector | Trained" = AUTO,
    artifact: str = "",
    plan: GuardPlan | None = None,
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

    Raises:
        ShapeError: the arrays do not fit one another.
        SettingError: a number is not finite, a class lacks rows, or a detector cannot be fitted or chosen.
        UnknownNameError: there is no detector of that name.
    """
    asked = plan or GuardPlan()
    if not isinstance(detector, str | Detector):
        return fit_head(detector, features, labels, artifact=artifact, plan=asked)
    if logits is None:
        raise SettingError("a detector needs the classifier's logits", where="logits", value=None)
    rows = rows_of(features, logits, labels)
    second, first = halves(rows.labels, asked.calibration, np.random.default_rng(asked.seed))
    return fit_rows(rows.take(first), rows.take(second), head=head, detector=detector, artifact=artifact, plan=asked)


def fit_rows(
    reference: Rows,
    calibration: Rows,
    *,
    head: Head | None = None,
    detector: str | Detector = AUTO,
    artifact: str = "",
    plan: GuardPlan | None = None,
) -> GuardProfile:
    """The same where the detector has rows of its own, such as those that the classifier was trained on.

    Raises:
        ShapeError: reference and calibration differ in width or classes.
        SettingError: a class lacks rows, or a detector cannot be fitted or chosen.
        UnknownNameError: there is no detector of that name.
    """
    asked = plan or GuardPlan()
    _check_reference(reference, calibration)
    parts = _parts(calibration, asked)
    layer = head or found_head(reference)
    trials: tuple[DetectorTrial, ...] = ()
    if detector == AUTO:
        known = [named(name) for name in names()]
        able = [one for one in known if layer or not one.NEEDS_HEAD]
        trials = choose(able, reference, parts.design, head=layer, plan=asked, temperature=parts.temperature)
        detector = trials[0].detector
    one = named(detector) if isinstance(detector, str) else detector
    fitted = one.fit_rows(reference, layer)
    record = _record(fitted, lambda turn: turned(one, turn, reference, layer), parts, asked)
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
) -> GuardProfile:
    """A guard that decides by a head of its own, trained on features, from rows that it was not trained on.

    Args:
        head: the method and its networks.
        features: (n, d).
        labels: (n,) the true classes, from 0; every class needs two rows or more, all of which calibrate.
        artifact: SHA-256 digest of the artifact whose features the head reads; "" for a model that lives elsewhere.
        plan: the risk, or the quantile, and how to go about it.

    Raises:
        ShapeError: the arrays do not fit one another, or the head.
        SettingError: the head reads no features, a number is not finite, or a class lacks rows.
    """
    asked, known = plan or GuardPlan(), head.record
    calibration = rows_of(features, head.judge(features)[0], labels)
    record = _record(HeadScorer(head), lambda turn: HeadScorer(head.only(turn.kept)), _parts(calibration, asked), asked)
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
        temperature: of the design.
    """

    whole: Rows
    design: Rows
    proof: Rows
    temperature: float


def _parts(calibration: Rows, plan: GuardPlan) -> _Parts:
    _check(calibration, plan)
    proof, design = (calibration.take(rows) for rows in
                     halves(calibration.labels, 0.5, np.random.default_rng(plan.seed + 1)))  # fmt: skip
    return _Parts(calibration, design, proof, temperature_of(design.logits, design.labels))


def _record(whole: Scorer, without: Without, parts: _Parts, plan: GuardPlan) -> GuardRecord:
    """What is found of the one that scores, whatever it is; its name is still to be told."""
    calibration, temperature = parts.whole, parts.temperature
    if plan.quantile is not None:
        temperature = temperature_of(calibration.logits, calibration.labels)
        threshold = quantile(judged(whole, calibration, temperature)[0].score, plan.quantile)
        rule: Guarantee | tuple[float, float, None] = (threshold, plan.least_probability, None)
    else:
        rule = _promised(whole, without, parts, plan)
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


def _promised(whole: Scorer, without: Without, parts: _Parts, plan: GuardPlan) -> Guarantee:
    """The rule that keeps the plan's risk, its outliers being held-out classes."""
    _, design, proof, temperature = parts
    seen, shown = judged(whole, design, temperature)[0], judged(whole, proof, temperature)[0]
    if plan.ood_share == 0:
        return prove(seen, np.ones(len(seen)), shown, plan)
    if design.classes < 3:
        why = "of two classes none can be held out to learn from how many outliers are accepted"
        promise = Promise(plan.risk, plan.ood_share, plan.confidence, False, why)
        return Guarantee(quantile(seen.score, 0.95), 0.0, promise)
    rotations = turns(design.classes, plan.rotations, plan.seed)
    fits = [without(turn) for turn in rotations]
    strangers = stand_ins(fits, rotations, design, (design, seen), temperature)
    both = seen.joined(strangers)
    share = raised(plan.ood_share, rotations)
    weight = mixture_weights(np.arange(len(both)) >= len(seen), share)
    coin = np.random.default_rng(plan.seed + 2).random(len(proof)) < share
    mixture = _mixed(shown, stand_ins(fits, rotations, proof, (design, seen), temperature), coin)
    return prove(both, weight, mixture, plan, outliers=_STAND_INS)


def _mixed(familiar: Judged, strangers: Judged, coin: NDArray[np.bool_]) -> Judged:
    """Of each row the one or the other."""
    return Judged(
        np.where(coin, strangers.score, familiar.score),
        np.where(coin, strangers.probability, familiar.probability),
        np.where(coin, strangers.wrong, familiar.wrong),
    )


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
