"""A guard out of one's own data: a detector, chosen or named, a temperature, a threshold, and what can be promised.

Rows are dealt out so that nothing is judged by what it was made of: the detector is fitted on the reference; of the
calibration, one half (the design) gives temperature, detector and the order of the rules, the other the proof. Each row
of the proof plays, by coin, a familiar one or the outlier that it would be had its class been held out, so that they
are an independent sample of the mixture.
"""

import math

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError, ShapeError
from modelwright.guard.acceptance import Judged, mixture_weights
from modelwright.guard.calibration import temperature_of
from modelwright.guard.choosing import choose
from modelwright.guard.detectors.catalogue import detector as named
from modelwright.guard.detectors.catalogue import name_of, names
from modelwright.guard.detectors.detector import Detector, Fitted, settings_of
from modelwright.guard.guarantee import Guarantee, prove
from modelwright.guard.profile import GuardProfile, profile_of
from modelwright.guard.rotation import judged, raised, stand_ins, turned, turns
from modelwright.guard.rows import Array, Head, Rows, found_head, halves, rows_of
from modelwright.records import DetectorTrial, File, GuardPlan, GuardRecord, Promise

AUTO = "auto"
"""In place of a detector's name: choose one."""


def fit(
    features: Array,
    logits: Array,
    labels: NDArray[np.integer],
    *,
    head: Head | None = None,
    detector: str | Detector = AUTO,
    artifact: str = "",
    plan: GuardPlan | None = None,
) -> GuardProfile:
    """A guard for a classifier, from rows that the classifier was not trained on.

    Args:
        features: (n, d), as the classifier's last layer takes them.
        logits: (n, k), as it gives them.
        labels: (n,) the true classes, from 0; every class needs four rows or more.
        head: that layer; where it is not given, it is found from features and logits if they show it.
        detector: its name, or itself; "auto" chooses among all.
        artifact: SHA-256 digest of the artifact that is guarded; "" for a model that lives elsewhere.
        plan: the risk, or the quantile, and how to go about it.

    Raises:
        ShapeError: the arrays do not fit one another.
        SettingError: a number is not finite, a class lacks rows, or a detector cannot be fitted or chosen.
        UnknownNameError: there is no detector of that name.
    """
    asked = plan or GuardPlan()
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
    _check(reference, calibration, asked)
    layer = head or found_head(reference)
    proof_rows, design_rows = halves(calibration.labels, 0.5, np.random.default_rng(asked.seed + 1))
    design, proof = calibration.take(design_rows), calibration.take(proof_rows)
    temperature = temperature_of(design.logits, design.labels)
    trials: tuple[DetectorTrial, ...] = ()
    if detector == AUTO:
        known = [named(name) for name in names()]
        able = [one for one in known if layer or not one.NEEDS_HEAD]
        trials = choose(able, reference, design, head=layer, plan=asked, temperature=temperature)
        detector = trials[0].detector
    one = named(detector) if isinstance(detector, str) else detector
    fitted = one.fit_rows(reference, layer)
    if asked.quantile is not None:
        temperature = temperature_of(calibration.logits, calibration.labels)
        rule: Guarantee | tuple[float, float, None] = (
            quantile(judged(fitted, calibration, temperature)[0].score, asked.quantile),
            asked.least_probability,
            None,
        )
    else:
        rule = _promised((fitted, layer), reference, (design, proof), temperature, asked)
    threshold, least, promise = rule
    record = GuardRecord(
        artifact=artifact,
        detector=name_of(one),
        settings=settings_of(one),
        threshold=threshold,
        temperature=temperature,
        least_probability=least,
        classes=asked.classes or tuple(map(str, range(reference.classes))),
        width=reference.width,
        numbers=File("none", "0" * 64, 0),
        fitted=len(reference),
        calibrated=len(calibration),
        promise=promise,
        trials=trials,
    )
    return profile_of(fitted, record)


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


def _promised(
    fitted: tuple[Fitted, Head | None], reference: Rows, parts: tuple[Rows, Rows], temperature: float, plan: GuardPlan
) -> Guarantee:
    """The rule that keeps the plan's risk, its outliers being held-out classes."""
    (whole, head), (design, proof) = fitted, parts
    seen, shown = judged(whole, design, temperature)[0], judged(whole, proof, temperature)[0]
    if plan.ood_share == 0:
        return prove(seen, np.ones(len(seen)), shown, plan)
    if reference.classes < 3:
        why = "of two classes none can be held out to learn from how many outliers are accepted"
        promise = Promise(plan.risk, plan.ood_share, plan.confidence, False, why)
        return Guarantee(quantile(seen.score, 0.95), 0.0, promise)
    rotations = turns(reference.classes, plan.rotations, plan.seed)
    fits = [turned(whole.detector, turn, reference, head) for turn in rotations]
    strangers = stand_ins(fits, rotations, design, (design, seen), temperature)
    both = seen.joined(strangers)
    share = raised(plan.ood_share, rotations)
    weight = mixture_weights(np.arange(len(both)) >= len(seen), share)
    coin = np.random.default_rng(plan.seed + 2).random(len(proof)) < share
    mixture = _mixed(shown, stand_ins(fits, rotations, proof, (design, seen), temperature), coin)
    return prove(both, weight, mixture, plan)


def _mixed(familiar: Judged, strangers: Judged, coin: NDArray[np.bool_]) -> Judged:
    """Of each row the one or the other."""
    return Judged(
        np.where(coin, strangers.score, familiar.score),
        np.where(coin, strangers.probability, familiar.probability),
        np.where(coin, strangers.wrong, familiar.wrong),
    )


def _check(reference: Rows, calibration: Rows, plan: GuardPlan) -> None:
    if (reference.width, reference.classes) != (calibration.width, calibration.classes):
        value = ((reference.width, reference.classes), (calibration.width, calibration.classes))
        raise ShapeError("reference and calibration must have the same width and classes", value=value)
    if plan.classes and len(plan.classes) != reference.classes:
        raise SettingError(f"there must be {reference.classes} names of classes", value=len(plan.classes))
    counts = np.bincount(calibration.labels, minlength=calibration.classes)
    if counts.min() < 2 or len(np.unique(reference.labels)) < reference.classes:
        rare = np.flatnonzero(counts < 2).tolist()[:10]
        way_out = "Give more rows of these classes, or leave their logits out."
        raise SettingError("every class must have rows to fit on, and two to calibrate", value=rare, way_out=way_out)
