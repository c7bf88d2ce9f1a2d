"""Which detector to use, where there are no outliers: they are made of one's own rows.

Classes are held out in rotation, and stand in for new ones; rows between the classes, and of shuffled features, stand
in for what is like no class (see `strangers`). Detectors are compared by what a user gets: the share of the traffic
that is accepted and right, at the risk and share of outliers asked for, under the best rule of acceptance, mean over
rotations and kinds. Nobody knows what will come, so that each kind counts as much.

Where others are behind by no more than a standard error, coverage does not tell which is best (the rule of one
standard error: Breiman, Friedman, Olshen, Stone, 1984, "Classification and regression trees"). It is the error of a
mean over rotations and kinds, both of which might have been others, so that a lead that one kind alone shows is none
to build on. What was made of one's own rows then does not tell either which blind side matters, as what comes may be
unlike it; so the combination is taken that reads what its members read, if it is one of these, or if it is behind by no
more than a point of coverage: that is a small premium for what single detectors lose on their blind sides, and a lead
may be sure without being large. Otherwise, as a rule of acceptance also asks for a least probability and may leave the
score little to do, while it is still what people see and what rows are ordered by, that is taken whose score has the
best AUROC on the kind of outliers that it tells worst (maximin: Wald, 1945, "Statistical decision functions which
minimize the maximum risk").
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from modelwright.errors import SettingError
from modelwright.guard.acceptance import Judged, mixture_weights, most_right, rules_of
from modelwright.guard.detectors.catalogue import name_of
from modelwright.guard.detectors.detector import Detector, settings_of
from modelwright.guard.metrics import auroc, fpr95
from modelwright.guard.rotation import Rotation, Scorer, judged, own_rotations, turned, turns
from modelwright.guard.rows import Floats, Head, Rows
from modelwright.guard.strangers import HELD_OUT, strangers
from modelwright.records import DetectorTrial, GuardPlan, OutlierTrial

_DRAWS = 1000
HEDGE = "fisher"
"""The detector that combines others, taken where coverage does not tell which is best, or by little."""
PREMIUM = 0.01
"""Share of the traffic that it may accept less, rightly, than the one that accepts most."""


def choose(
    detectors: Sequence[Detector],
    reference: Rows,
    design: Rows,
    *,
    head: Head | None,
    plan: GuardPlan,
    temperature: float = 1.0,
    rotations: Sequence[Rotation] = (),
) -> tuple[DetectorTrial, ...]:
    """What was found of each detector: first the chosen one, then the others by coverage.

    Args:
        detectors: to choose among.
        reference: rows that they are fitted on.
        design: other rows, by which they are judged.
        head: the classifier's last layer; those that need it cannot do without.
        plan: risk, ood_share, rotations and seed count.
        temperature: of the probabilities.
        rotations: with the design's rows, where networks were trained without the held-out classes; by default,
            classes are left out of these features.

    Raises:
        SettingError: there are fewer than three classes, or no detector.
    """
    if not detectors:
        raise SettingError("there must be detectors to choose among", value=0)
    if not rotations:
        rotations = own_rotations(turns(reference.classes, plan.rotations, plan.seed), reference, design, head)
    random = np.random.default_rng(plan.seed)
    made = [strangers(one.familiar, one.head, random) for one in rotations]
    kinds = (HELD_OUT, *made[0])
    found = np.array(
        [
            [
                _judgements(turned(one, rotation), rotation, others, plan, temperature)
                for rotation, others in zip(rotations, made, strict=True)
            ]
            for one in detectors
        ]
    )  # (detectors, rotations, kinds, 3)
    coverages = found[:, :, :, 0]
    lag = coverages[int(coverages.mean((1, 2)).argmax())] - coverages
    trials = [
        DetectorTrial(
            detector=name_of(one),
            settings=settings_of(one),
            coverage=float(numbers[:, :, 0].mean()),
            coverages=tuple(numbers[:, :, 0].mean(1).tolist()),
            auroc=float(numbers[:, 0, 1].mean()),
            fpr95=float(numbers[:, 0, 2].mean()),
            confidence=float(sure),
            chosen=False,
            behind=max(float(less.mean()), 0.0),
            error=standard_error(less),
            kinds=tuple(OutlierTrial(kind, *row) for kind, row in zip(kinds, numbers.mean(0).tolist(), strict=True)),
        )
        for one, numbers, sure, less in zip(detectors, found, surety(coverages, plan.seed), lag, strict=True)
    ]
    return picked(trials)


def surety(coverages: Floats, seed: int) -> Floats:
    """(detectors,) share of bootstrap draws in which each accepts most rightly; of equals each a part.

    Rotations and kinds are drawn alike. Source: Owen, 2007, "The pigeonhole bootstrap".

    Args:
        coverages: (detectors, rotations, kinds).
        seed: of the draws.
    """
    random, (_, *counts) = np.random.default_rng(seed), coverages.shape
    rotations, kinds = (random.multinomial(count, np.full(count, 1.0 / count), _DRAWS) / count for count in counts)
    means = np.einsum("drk,br,bk->db", coverages, rotations, kinds)
    first = means >= means.max(axis=0) - 1e-12
    found: Floats = (first / first.sum(axis=0)).mean(axis=1)
    return found


def standard_error(values: Floats) -> float:
    """Of the mean over rotations and kinds that might both have been others.

    With crossed factors it is sqrt(s_r^2 / R + s_k^2 / K), s^2 being the variances of the means of the R rotations
    and of the K kinds; chance counts in both, so that it is rather too large. Source: Cornfield, Tukey, 1956,
    "Average values of mean squares in factorials".

    Args:
        values: (rotations, kinds); two rotations or more, of one kind or more.
    """
    return float(sum(_variance(values.mean(axis)) for axis in (0, 1)) ** 0.5)


def _variance(values: Floats) -> float:
    """Of the mean; 0 of a single value."""
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def picked(trials: Sequence[DetectorTrial]) -> tuple[DetectorTrial, ...]:
    """The same trials, told which one is chosen and why; that one first, then the others by coverage.

    Args:
        trials: one or more, with all else.
    """
    ranked = sorted(trials, key=lambda one: (-one.coverage, -_least(one)))
    near = [one for one in ranked if one.near]
    hedges = (one for one in ranked if one.detector == HEDGE and (one.near or one.behind <= PREMIUM))
    chosen = next(hedges, max(near, key=_least))
    rest = [msgspec.structs.replace(one, why=_why_not(one, chosen)) for one in ranked if one is not chosen]
    return (msgspec.structs.replace(chosen, chosen=True, why=_why(chosen, near)), *rest)


def _least(trial: DetectorTrial) -> float:
    """AUROC of its score on the kind that it tells worst."""
    return trial.weakest.auroc if trial.weakest else trial.auroc


def _why(chosen: DetectorTrial, near: Sequence[DetectorTrial]) -> str:
    if chosen.detector == HEDGE and not chosen.near:
        behind = f"accepts {100 * chosen.behind:.2f} points less rightly than the one that accepts most"
        return f"it combines what others read, and {behind}: a small premium for having no blind side of its own"
    if len(near) == 1:
        return "it accepts most rightly, and no other comes within a standard error"
    if chosen.detector == HEDGE:
        return f"of {len(near)} that accept most rightly, within a standard error, it combines what others read"
    best = f"its worst AUROC is the best: {_worst(chosen)}"
    return f"of {len(near)} that accept most rightly, within a standard error, {best}"


def _why_not(trial: DetectorTrial, chosen: DetectorTrial) -> str:
    if trial.near and chosen.detector == HEDGE:
        more = "as much" if chosen.near else "most"
        return f"accepts {more} rightly, within a standard error, but reads less than the combination"
    if trial.near:
        return f"accepts as much rightly, within a standard error, but its worst AUROC is {_worst(trial)}"
    behind, error = 100 * trial.behind, 100 * trial.error
    return (
        f"accepts {behind:.2f} points less rightly than the one that accepts most, with a standard error of {error:.2f}"
    )


def _worst(trial: DetectorTrial) -> str:
    kind = trial.weakest.kind if trial.weakest else HELD_OUT
    return f"{_least(trial):.1%} ({kind})"


def _judgements(
    fitted: Scorer, rotation: Rotation, made: Mapping[str, Rows], plan: GuardPlan, temperature: float
) -> list[tuple[float, float, float]]:
    """Of one detector in one rotation, for each kind of outliers: share accepted and right, AUROC, FPR at 95 %."""
    seen, held = judged(fitted, rotation.rows, temperature, rotation.turn)
    familiar, kinds = seen.take(~held), [seen.take(held)]
    for others in made.values():
        told = judged(fitted, others, temperature)[0]
        kinds.append(Judged(told.score, told.probability, np.ones(len(told), bool)))
    rules = rules_of(familiar)
    found = []
    for strange in kinds:
        both = familiar.joined(strange)
        outlier = np.arange(len(both)) >= len(familiar)
        covered = most_right(rules, both, mixture_weights(outlier, plan.ood_share), plan.risk)
        found.append((covered, auroc(outlier, both.score), fpr95(outlier, both.score)))
    return found
