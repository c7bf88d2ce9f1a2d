"""Which detector to use, where there are no outliers: classes are held out in rotation, and stand in for them.

Detectors are compared by what a user gets: the share of the traffic that is accepted at the risk asked for, with the
share of outliers asked for, under the best rule of acceptance. AUROC and FPR at 95 % disagree with that, and are told.
How sure the choice is, a bootstrap over the rotations tells (Efron, 1979).
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from modelwright.errors import SettingError
from modelwright.guard.acceptance import best_coverage, mixture_weights, rules_of
from modelwright.guard.detectors.catalogue import name_of
from modelwright.guard.detectors.detector import Detector, settings_of
from modelwright.guard.metrics import auroc, fpr95
from modelwright.guard.rotation import Turn, judged, turned, turns
from modelwright.guard.rows import Floats, Head, Rows
from modelwright.records import DetectorTrial, GuardPlan

_DRAWS = 1000


def choose(
    detectors: Sequence[Detector],
    reference: Rows,
    design: Rows,
    *,
    head: Head | None,
    plan: GuardPlan,
    temperature: float = 1.0,
) -> tuple[DetectorTrial, ...]:
    """What was found of each detector, the best first; that one is chosen.

    Args:
        detectors: to choose among.
        reference: rows that they are fitted on.
        design: other rows, by which they are judged.
        head: the classifier's last layer; those that need it cannot do without.
        plan: risk, ood_share, rotations and seed count.
        temperature: of the probabilities.

    Raises:
        SettingError: there are fewer than three classes, or no detector.
    """
    if not detectors:
        raise SettingError("there must be detectors to choose among", value=0)
    rotations = turns(reference.classes, plan.rotations, plan.seed)
    found = np.array(
        [
            [_judgement(one, turn, (reference, design), head, plan, temperature) for turn in rotations]
            for one in detectors
        ]
    )
    coverages = found[:, :, 0]
    trials = [
        DetectorTrial(
            detector=name_of(one),
            settings=settings_of(one),
            coverage=float(coverages[row].mean()),
            coverages=tuple(coverages[row].tolist()),
            auroc=float(found[row, :, 1].mean()),
            fpr95=float(found[row, :, 2].mean()),
            confidence=float(sure),
            chosen=False,
        )
        for row, (one, sure) in enumerate(zip(detectors, surety(coverages, plan.seed), strict=True))
    ]
    ranked = sorted(trials, key=lambda trial: (-trial.coverage, -trial.auroc))
    return (msgspec.structs.replace(ranked[0], chosen=True), *ranked[1:])


def surety(coverages: Floats, seed: int) -> Floats:
    """(detectors,) share of bootstrap draws of the rotations in which each covers most; of equals each a part.

    Args:
        coverages: (detectors, rotations).
        seed: of the draws.
    """
    count = coverages.shape[1]
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), _DRAWS)
    means = coverages @ drawn.T
    first = means >= means.max(axis=0) - 1e-12
    found: Floats = (first / first.sum(axis=0)).mean(axis=1)
    return found


def _judgement(
    detector: Detector, turn: Turn, rows: tuple[Rows, Rows], head: Head | None, plan: GuardPlan, temperature: float
) -> tuple[float, float, float]:
    """Coverage at the risk, AUROC and FPR at 95 % of one detector in one rotation."""
    reference, design = rows
    seen, outlier = judged(turned(detector, turn, reference, head), design, temperature, turn)
    weight = mixture_weights(outlier, plan.ood_share)
    rules = rules_of(seen.take(~outlier))
    return best_coverage(rules, seen, weight, plan.risk), auroc(outlier, seen.score), fpr95(outlier, seen.score)
