"""A guard held against rows whose truth is known: coverage, risk, calibration, outliers, and the rows to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.guard.acceptance import mixture_weights
from modelwright.guard.calibration import brier, ece, probabilities, reliability
from modelwright.guard.decisions import Decisions
from modelwright.guard.metrics import auroc, fpr95, risk_coverage
from modelwright.guard.profile import GuardProfile
from modelwright.guard.rows import Array, Flags, Floats, Labels
from modelwright.guard.subgroups import group_results
from modelwright.records import GuardEvaluation
from modelwright.records.evaluation import OutlierResult, RiskCurve, ScoreHistogram, ShownRow

_POINTS = 200
_BINS = 40
_SHOWN = 20
_SHOWN_OF_A_SET = 8
_SHARE = 0.1
"""Of outliers in the mixture, where the guard promises nothing."""


@final
@dataclass(frozen=True, eq=False)
class Sample:
    """Rows as a network sees them, with what is known of each.

    Attributes:
        features: (n, d).
        logits: (n, k).
        labels: (n,) true classes; None where they are not known.
        keys: a name each; none for their numbers.
        groups: a subgroup each; none where there are none.

    Raises:
        SettingError: there is something for more or fewer than the rows.
    """

    features: Array
    logits: Array
    labels: NDArray[Any] | None = None
    keys: Sequence[str] = ()
    groups: Sequence[str] = ()

    def __post_init__(self) -> None:
        counts = {"labels": self.labels, "keys": self.keys or None, "groups": self.groups or None}
        for name, given in counts.items():
            if given is not None and len(given) != len(self):
                raise SettingError(f"there must be one for each of the {len(self)} rows", where=name, value=len(given))

    def __len__(self) -> int:
        return len(self.features)

    def key(self, row: int) -> str:
        """The name of a row."""
        return self.keys[row] if self.keys else str(row)


def evaluate(
    profile: GuardProfile, sample: Sample, outliers: Mapping[str, Sample] | None = None, *, data: str = ""
) -> GuardEvaluation:
    """What a guard does with rows whose truth is known.

    Args:
        profile: the guard.
        sample: familiar rows with labels, which neither classifier nor guard were fitted on.
        outliers: name -> rows out of distribution; an accepted one is an error, whatever its label.
        data: what the sample is called.

    Raises:
        ShapeError: features or logits of another width than the guard's.
        SettingError: there are no rows, or no labels, or one is out of range, or a set of outliers is empty.
    """
    truth = _truth(profile, sample)
    found = profile.decide(sample.features, sample.logits)
    others = {name: profile.decide(rows.features, rows.logits) for name, rows in (outliers or {}).items()}
    for name, decided in others.items():
        if not len(decided):
            raise SettingError("a set of outliers must have rows", where=name, value=0)
    wrong = found.label != truth
    promise = profile.record.promise
    promised = promise.risk if promise else None
    share = ((promise.ood_share if promise else 0.0) or _SHARE) if others else 0.0
    mixture = _mixture(found, wrong, others, share)
    names, subgroups = profile.record.classes, sorted(set(sample.groups))
    probability = probabilities(profile.logits(sample.features, sample.logits), profile.record.temperature)
    known = np.isfinite(found.probability)
    mixed_coverage, mixed_risk = _accepted(mixture.accepted, mixture.wrong, mixture.weight)
    coverage, risk = _accepted(found.accepted, wrong)
    return GuardEvaluation(
        guard=profile.record,
        data=data,
        rows=len(truth),
        accuracy=float(1 - wrong.mean()),
        coverage=coverage,
        risk=risk,
        mixed_share=share,
        mixed_coverage=mixed_coverage,
        mixed_risk=mixed_risk,
        deferred=_reasons(found),
        ece=ece(found.probability[known], ~wrong[known]),
        brier=brier(probability[known], truth[known]) if known.any() else 0.0,
        reliability=reliability(found.probability[known], ~wrong[known]),
        curves=_curves(found, wrong, mixture, share),
        histograms=_histograms(found, truth, names, others),
        outliers=tuple(_outliers(name, found, decided) for name, decided in others.items()),
        groups=(
            *group_results(found, wrong, np.array(names, object)[truth], "class", names, promised),
            *group_results(found, wrong, np.array(sample.groups, object), "subgroup", subgroups, promised),
        ),
        surprising=_surprising(profile, (sample, found, truth), outliers or {}, others),
        regretted=_rows(
            profile, sample, found, np.flatnonzero(~found.accepted & ~wrong), [names[one] for one in truth]
        ),
    )


@final
@dataclass(frozen=True, eq=False)
class _Mixture:
    """Familiar rows and outliers, weighted so that these make up their share."""

    score: Floats
    accepted: Flags
    wrong: Flags
    weight: Floats


def _mixture(found: Decisions, wrong: Flags, others: Mapping[str, Decisions], share: float) -> _Mixture:
    all_of = [found, *others.values()]
    outlier = np.arange(sum(map(len, all_of))) >= len(found)
    return _Mixture(
        np.concatenate([one.score for one in all_of]),
        np.concatenate([one.accepted for one in all_of]),
        np.concatenate([wrong, np.ones(len(outlier) - len(found), bool)]),
        mixture_weights(outlier, share),
    )


def _truth(profile: GuardProfile, sample: Sample) -> Labels:
    if sample.labels is None or not len(sample.labels):
        raise SettingError("a guard is evaluated on rows whose labels are known", where="labels", value=None)
    truth = np.asarray(sample.labels)
    whole = truth.astype(np.int64)
    classes = len(profile.record.classes)
    if truth.ndim != 1 or (whole != truth).any() or whole.min() < 0 or whole.max() >= classes:
        way_out = "Give rows of other classes as outliers."
        rule = f"labels must be whole numbers from 0 to {classes - 1}, one a row"
        raise SettingError(rule, where="labels", value=(truth.min(), truth.max()), way_out=way_out)
    return whole


def _accepted(accepted: Flags, wrong: Flags, weight: Floats | None = None) -> tuple[float, float | None]:
    """Share accepted, and share of errors among these."""
    weights = np.ones(len(accepted)) if weight is None else weight
    mass = float(weights[accepted].sum())
    risk = float(weights[accepted & wrong].sum()) / mass if mass else None
    return min(mass / float(weights.sum()), 1.0), risk if risk is None else min(risk, 1.0)


def _reasons(found: Decisions) -> dict[str, int]:
    reasons = [one.reason for one in found if not one.accepted]
    return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}


def _curves(found: Decisions, wrong: Flags, mixture: _Mixture, share: float) -> tuple[RiskCurve, ...]:
    curves = [
        _curve("by score", wrong, found.score),
        _curve("by probability", wrong, np.where(np.isfinite(found.uncertainty), found.uncertainty, np.nan)),
    ]
    if share:
        curves.append(_curve(f"by score, {share:.0%} outliers", mixture.wrong, mixture.score, mixture.weight))
    return tuple(curves)


def _curve(name: str, wrong: Flags, score: Floats, weight: Floats | None = None) -> RiskCurve:
    curve = risk_coverage(wrong, score, weight)
    count = len(curve.coverage)
    kept = np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(np.int64))
    coverage = np.clip(curve.coverage[kept], 0.0, 1.0)
    return RiskCurve(name, tuple(coverage.tolist()), tuple(curve.risk[kept].tolist()))


def _histograms(
    found: Decisions, truth: Labels, names: Sequence[str], others: Mapping[str, Decisions]
) -> tuple[ScoreHistogram, ...]:
    """One a class with rows, one a set of outliers; the ends leave out half a per cent on either side."""
    sets = [(name, False, found.score[truth == label]) for label, name in enumerate(names)]
    sets += [(name, True, decided.score) for name, decided in others.items()]
    finite = [(name, outlier, scores[np.isfinite(scores)]) for name, outlier, scores in sets]
    finite = [one for one in finite if len(one[2])]
    if not finite:
        return ()
    low, high = np.quantile(np.concatenate([scores for _, _, scores in finite]), (0.005, 0.995)).tolist()
    if low == high:
        low, high = low - 0.5, high + 0.5
    return tuple(
        ScoreHistogram(
            name,
            outlier,
            low,
            high,
            tuple(np.histogram(np.clip(scores, low, high), _BINS, (low, high))[0].tolist()),
        )
        for name, outlier, scores in finite
    )


def _outliers(name: str, found: Decisions, decided: Decisions) -> OutlierResult:
    outlier = np.arange(len(found) + len(decided)) >= len(found)
    score = np.concatenate([found.score, decided.score])
    accepted = float(decided.accepted.mean())
    return OutlierResult(name, len(decided), accepted, auroc(outlier, score), fpr95(outlier, score))


def _surprising(
    profile: GuardProfile,
    familiar: tuple[Sample, Decisions, Labels],
    outliers: Mapping[str, Sample],
    decided: Mapping[str, Decisions],
) -> tuple[ShownRow, ...]:
    sample, found, truth = familiar
    names = [profile.record.classes[one] for one in truth]
    shown = list(_rows(profile, sample, found, np.flatnonzero(found.accepted & (found.label != truth)), names))
    for name, rows in outliers.items():
        accepted = np.flatnonzero(decided[name].accepted)
        shown += _rows(profile, rows, decided[name], accepted, [name] * len(rows))[:_SHOWN_OF_A_SET]
    return tuple(sorted(shown, key=lambda row: (-(row.probability or 0.0), row.score or 0.0)))


def _rows(
    profile: GuardProfile, sample: Sample, found: Decisions, which: NDArray[np.int64], truth: Sequence[str]
) -> tuple[ShownRow, ...]:
    """The surest of some rows."""
    surest = which[np.lexsort((found.score[which], -np.nan_to_num(found.probability[which], nan=-1.0)))][:_SHOWN]
    shown = []
    for row in surest.tolist():
        one = found[row]
        predicted = "" if one.label is None else profile.record.classes[one.label]
        shown.append(ShownRow(sample.key(row), truth[row], predicted, one.probability, one.score, one.reason))
    return tuple(shown)
