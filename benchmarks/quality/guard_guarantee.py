"""Promised against achieved risk on CLINC150, for traffic with real out-of-scope queries.

    python benchmarks/quality/guard_guarantee.py ../shared/data/text/clinc150 [--features minilm] [--times 100]

The classifier is a linear head on the training part. Each repetition draws calibration rows, 3000, anew from validation
and test parts; the other 4500 are its familiar traffic. Outliers of the traffic are out-of-scope queries, 600 of 1200.
Guards differ in what they are calibrated with:

- "held-out classes": as `guard.fit` does where there are no outliers; the promise names the share of the traffic, and
  is asked for as of foreign features (the embeddings never learned the intents);
- "networks without classes": the same with networks that were trained without some classes, where there are such
  (guard_vision.py);
- "familiar rows alone": the same promise for a share of 0, whatever the traffic;
- "real outliers": the other 600 out-of-scope queries.

The detector is one, named, so that repetitions differ by their draws alone. Achieved risk and coverage are those of
the mixture of traffic, share by share. Repetitions share rows, and traffic is finite: achieved risk has an error of its
own.
Writes `guard-guarantee-DEVICE.csv`, a row a repetition.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import guard_texts
import msgspec
import numpy as np
import torch
from guard_tables import write

from modelwright.guard import GuardProfile, Head, Rows
from modelwright.guard.acceptance import Judged
from modelwright.guard.calibration import probabilities, temperature_of
from modelwright.guard.detectors.catalogue import detector, names
from modelwright.guard.detectors.detector import Fitted
from modelwright.guard.fitting import fit_rows
from modelwright.guard.folds import Fold
from modelwright.guard.guarantee import guarantee
from modelwright.guard.rotation import judged
from modelwright.guard.rows import Flags, Floats
from modelwright.records import GuardPlan, Promise

SHARES = (0.0, 0.05, 0.1, 0.2)
CALIBRATION, OUTLIERS = 3000, 600

Row = dict[str, object]


def outliers(fitted: Fitted, head: Head, features: Floats, temperature: float) -> Judged:
    """Out-of-scope queries, all of which are errors where they are accepted."""
    logits = head.logits(features)
    probability = probabilities(logits, temperature).max(1)
    return Judged(fitted.score(features, logits), probability, np.ones(len(features), bool))


def achieved(share: float, right: Flags, familiar: Flags, strange: Flags) -> dict[str, str]:
    """Risk and coverage of traffic with a share of outliers.

    Args:
        share: of outliers.
        right: of familiar rows, whether the prediction is.
        familiar: of them, whether it is accepted.
        strange: of outliers, whether they are accepted.
    """
    covered = (1 - share) * familiar.mean() + share * strange.mean()
    errors = (1 - share) * (familiar & ~right).mean() + share * strange.mean()
    return {
        "risk": f"{errors / covered if covered else 0:.5f}",
        "coverage": f"{covered:.5f}",
        "familiar_accepted": f"{familiar.mean():.5f}",
        "outliers_accepted": f"{strange.mean():.5f}",
    }


class Study:
    """A classifier with a detector, and all rows that repetitions draw from."""

    def __init__(
        self, name: str, head: Head, rows: tuple[Rows, Rows], strange: Floats, folds: Sequence[Fold] = ()
    ) -> None:
        self.detector, self.head, (self.reference, self.pool) = detector(name), head, rows
        self.fitted = self.detector.fit_rows(self.reference, head)
        self.strange, self.folds = strange, folds

    def repetition(self, seed: int, risk: float, *, foreign: bool = False) -> Iterator[Row]:
        """All guards at all shares; of foreign features, held-out classes bear a promise."""
        random = np.random.default_rng(seed)
        order, others = random.permutation(len(self.pool)), random.permutation(len(self.strange))
        calibration, traffic = self.pool.take(order[:CALIBRATION]), self.pool.take(order[CALIBRATION:])
        known, strange = self.strange[others[OUTLIERS:]], self.strange[others[:OUTLIERS]]
        plan = GuardPlan(risk=risk, ood_share=0, seed=seed, foreign=foreign)
        places = np.concatenate([np.arange(len(self.reference)), len(self.reference) + order[:CALIBRATION]])
        folds = [fold.take(places) for fold in self.folds]

        def fitted(one: GuardPlan, without: Sequence[Fold] = ()) -> GuardProfile:
            return fit_rows(
                self.reference, calibration, head=self.head, detector=self.detector, plan=one, strange=without
            )

        alone = fitted(plan)
        for share in SHARES:
            asked = msgspec.structs.replace(plan, ood_share=share)
            guards = [("held-out classes", fitted(asked)), ("familiar rows alone", alone)]
            guards += [("networks without classes", fitted(asked, folds))] if folds else []
            for name, found in guards:
                here = found.decide(traffic.features, traffic.logits).accepted
                there = found.decide(strange, self.head.logits(strange)).accepted
                yield self._row(name, seed, share, found.record.promise, achieved(share, ~traffic.wrong, here, there))
            yield self._with_outliers(asked, calibration, traffic, (known, strange))

    def _with_outliers(self, asked: GuardPlan, calibration: Rows, traffic: Rows, strange: tuple[Floats, Floats]) -> Row:
        """A guard that is calibrated on outliers like those of the traffic."""
        temperature = temperature_of(self.reference.logits, self.reference.labels)
        rule = guarantee(
            judged(self.fitted, calibration, temperature)[0],
            outliers(self.fitted, self.head, strange[0], temperature),
            asked,
        )
        seen = judged(self.fitted, traffic, temperature)[0], outliers(self.fitted, self.head, strange[1], temperature)
        here, there = ((one.score <= rule.threshold) & (one.probability >= rule.least_probability) for one in seen)
        figures = achieved(asked.ood_share, ~traffic.wrong, here, there)
        return self._row("real outliers", asked.seed, asked.ood_share, rule.promise, figures)

    def _row(self, guard: str, seed: int, share: float, promise: Promise | None, figures: dict[str, str]) -> Row:
        if promise is None:
            raise SystemExit("a guard that was asked for a risk has a promise")
        told = {"promised_risk": promise.risk, "promised_share": promise.ood_share, "holds": int(promise.holds)}
        return {"guard": guard, "share": share, "seed": seed, **told, **figures}


def main() -> None:
    """All repetitions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of data_full.json")
    parser.add_argument("--features", nargs="*", default=guard_texts.kinds(), choices=guard_texts.kinds())
    parser.add_argument("--detector", default="energy", choices=names())
    parser.add_argument("--risk", type=float, default=0.05)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "guard-embeddings")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = guard_texts.intents(given.data)
    for kind in given.features:
        features = guard_texts.features_of(kind, data.texts, given.folder)
        head = guard_texts.head_of(features["train"], data.labels["train"])
        parts = {part: guard_texts.rows(head, features[part], data.labels[part]) for part in data.labels}
        rest = (np.concatenate([getattr(parts[part], name) for part in ("val", "test")])
                for name in ("features", "logits", "labels"))  # fmt: skip
        strange = np.concatenate([features[part] for part in ("oos_train", "oos_val", "oos_test")])
        study = Study(given.detector, head, (parts["train"], Rows(*rest)), strange)
        found: list[Row] = []
        for seed in range(given.times):
            found += [
                {"features": kind, "detector": given.detector, **row}
                for row in study.repetition(seed, given.risk, foreign=True)
            ]
            print(f"{kind}, repetition {seed}", file=sys.stderr, flush=True)
        write("guard-guarantee", found, ("features", "detector", "promised_risk"))


if __name__ == "__main__":
    main()
