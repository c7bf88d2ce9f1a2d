"""Out-of-scope queries of CLINC150 told by every detector, beside pytorch-ood's; held-out intents; the choice's regret.

    python benchmarks/quality/guard_clinc150.py ../shared/data/text/clinc150 [--features minilm]
        [--parts detectors choice intents methods] [--deals 3]

A linear head is fitted to sentence embeddings (see guard_texts.py) of 150 intents.

1. `guard-detectors-DEVICE.csv`: each detector is fitted on the training part, and tells the 1000 out-of-scope queries
   of the test part from its 4500 others. No setting is chosen here; the head is fitted with scikit-learn's usual
   strength, 1, and with that of guard_texts.py, which all else here has.
2. `guard-intents-DEVICE.csv`: 100 intents, 25 outlier intents in training and 25 others in the test, dealt anew for
   each seed. Methods that learn from outliers and those that do not; their epoch and score are chosen on the 200
   out-of-scope queries of training and validation, which are of no intent. Detectors know the 100 intents alone.
   With the part "intents" only detectors run, with "methods" those that are trained.
3. `guard-choice-DEVICE.csv`: what the guard chooses from familiar rows, and how each detector then does with outliers:
   the share of the traffic accepted and right, at 5 % errors and with 10 % outliers, under the rule that is best for
   the test itself.

Rows of features and seeds that are not run again stay.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import guard_peers
import guard_texts
import numpy as np
import torch
from guard_tables import write

from modelwright.guard import Head, Rows
from modelwright.guard.acceptance import Judged, mixture_weights, most_right, rules_of
from modelwright.guard.calibration import probabilities
from modelwright.guard.detectors.catalogue import detector, names
from modelwright.guard.fitting import fit_rows
from modelwright.guard.metrics import auroc, fpr95
from modelwright.guard.rows import Floats, Labels
from modelwright.guard.training import METHODS
from modelwright.guard.training.method import Method
from modelwright.guard.training.samples import Course, Samples
from modelwright.guard.training.train import train
from modelwright.records import GuardPlan, GuardRecord
from modelwright.registry import Registry

PLAN = GuardPlan(risk=0.05, ood_share=0.1)
PARTS = ("detectors", "choice", "intents", "methods")
INSIDE, LEARNED, TESTED = 100, 25, 25
OUTSIDE = 150
"""The number of the class of out-of-scope queries, which are of no intent."""

Row = dict[str, object]


def told(familiar: Floats, strange: Floats) -> Row:
    """How well scores tell outliers, and on how many rows there are none."""
    scores = np.concatenate([familiar, strange])
    flags = np.arange(len(scores)) >= len(familiar)
    return {
        "auroc": f"{auroc(flags, scores):.5f}",
        "fpr95": f"{fpr95(flags, scores):.5f}",
        "unavailable": f"{np.isnan(scores).mean():.4f}",
    }


def detectors(kind: str, strength: float, head: Head, reference: Rows, test: Rows, strange: Floats) -> Iterator[Row]:
    """Every detector, ours and theirs."""
    theirs = guard_peers.peers()
    named: Row = {"features": kind, "strength": f"{strength:g}"}
    flags = np.arange(len(test) + len(strange)) >= len(test)
    for name in names():
        ours = detector(name).fit_rows(reference, head)
        by = {"modelwright": ours.score}
        if theirs:
            try:
                by["pytorch-ood"] = guard_peers.scorer(name, theirs, reference, head)
            except Exception as failure:  # noqa: BLE001  # a peer that does not run is told, and left out
                print(f"pytorch-ood, {name}: {type(failure).__name__}: {failure}", file=sys.stderr, flush=True)
        for library, score in by.items():
            both = score(test.features, test.logits), score(strange, head.logits(strange))
            other = fpr95(~flags, -np.nan_to_num(np.concatenate(both), nan=np.inf))
            more = {"fpr95_outliers": f"{other:.5f}", "accuracy": f"{1 - test.wrong.mean():.4f}"}
            yield {**named, "detector": name, "library": library, **told(*both), **more}


def choice(data: str, seed: int, head: Head, parts: tuple[Rows, Rows, Rows], strange: Floats) -> Iterator[Row]:
    """What the guard chooses, and how every detector does in the test.

    Args:
        data: its name.
        seed: of the deal.
        head: of the classifier.
        parts: reference, calibration and test.
        strange: outliers of the test.
    """
    reference, calibration, test = parts
    found = fit_rows(reference, calibration, head=head, plan=PLAN).record
    for row in outcomes(found, PLAN, head, (reference, test), strange):
        yield {"data": data, "seed": seed, **row}


def outcomes(
    found: GuardRecord, plan: GuardPlan, head: Head, parts: tuple[Rows, Rows], strange: Floats
) -> Iterator[Row]:
    """How every detector does in the test, beside what was found of it without outliers.

    Args:
        found: with the trials.
        plan: risk and share of outliers.
        head: of the classifier.
        parts: reference and test.
        strange: outliers of the test.
    """
    reference, test = parts
    trials = {one.detector: one for one in found.trials}
    logits = head.logits(strange)
    wrong = np.concatenate([test.wrong, np.ones(len(strange), bool)])
    flags = np.arange(len(wrong)) >= len(test)
    probability = probabilities(np.concatenate([test.logits, logits]), found.temperature).max(1)
    for name in names():
        fitted = detector(name).fit_rows(reference, head)
        scores = fitted.score(test.features, test.logits), fitted.score(strange, logits)
        seen = Judged(np.concatenate(scores), probability, wrong)
        covered = most_right(rules_of(seen.take(~flags)), seen, mixture_weights(flags, plan.ood_share), plan.risk)
        yield {
            "detector": name,
            "chosen": int(trials[name].chosen),
            "confidence": f"{trials[name].confidence:.3f}",
            "expected_coverage": f"{trials[name].coverage:.5f}",
            "expected_auroc": f"{trials[name].auroc:.5f}",
            "near": int(trials[name].near),
            "behind": f"{trials[name].behind:.5f}",
            "error": f"{trials[name].error:.5f}",
            **{f"expected_auroc_{one.kind}": f"{one.auroc:.5f}" for one in trials[name].kinds},
            "coverage": f"{covered:.5f}",
            **told(*scores),
        }


class Deal:
    """Intents dealt out: familiar ones, outliers to learn from, outliers of the test."""

    def __init__(self, features: dict[str, Floats], labels: dict[str, Labels], seed: int) -> None:
        order = np.random.default_rng(seed).permutation(OUTSIDE)
        self.seed, self.inside = seed, np.sort(order[:INSIDE])
        self.learned, self.tested = order[INSIDE : INSIDE + LEARNED], order[INSIDE + LEARNED :]
        self.features, self.labels = features, labels

    def rows(self, part: str, classes: Labels) -> tuple[Floats, Labels]:
        """Rows of some classes; familiar ones are numbered from 0."""
        kept = np.isin(self.labels[part], classes)
        labels = self.labels[part][kept]
        return self.features[part][kept], np.searchsorted(self.inside, labels) if classes is self.inside else labels

    def samples(self, part: str, classes: Labels) -> Samples:
        """The same as tensors."""
        features, labels = self.rows(part, classes)
        return Samples(torch.from_numpy(features).float(), torch.from_numpy(labels))

    def course(self) -> Course:
        """All that a method may see."""
        others = torch.from_numpy(np.concatenate([self.features["oos_train"], self.features["oos_val"]])).float()
        return Course(
            self.samples("train", self.inside),
            self.samples("val", self.inside),
            Samples(others, torch.full((len(others),), OUTSIDE)),
            self.samples("train", self.learned),
        )


def schooled(kind: str, deal: Deal) -> list[Row]:
    """Methods of training on held-out intents."""
    course, found = deal.course(), []
    familiar, others = deal.samples("test", deal.inside), deal.samples("test", deal.tested)
    methods: Registry[type[Method]] = Registry("method", METHODS)
    for name in METHODS:
        trained = train(methods[name](), course)
        accuracy = float((trained.verdict(familiar.inputs).probabilities.argmax(1) == familiar.labels).double().mean())
        for score, figures in trained.told(familiar, others).items():
            found.append(
                {
                    "features": kind,
                    "seed": deal.seed,
                    "method": name,
                    "score": score,
                    "chosen": int(score == trained.score),
                    "epoch": trained.epoch,
                    "auroc": f"{figures.auroc:.5f}",
                    "fpr95": f"{figures.fpr95:.5f}",
                    "accuracy": f"{accuracy:.4f}",
                }
            )
        print(f"{kind}, deal {deal.seed}: {name}, epoch {trained.epoch}", file=sys.stderr, flush=True)
    return found


def intents(kind: str, deal: Deal) -> tuple[list[Row], list[Row]]:
    """Detectors on held-out intents; and the guard's choice."""
    train_rows = deal.rows("train", deal.inside)
    head = guard_texts.head_of(*train_rows)
    parts = tuple(guard_texts.rows(head, *deal.rows(part, deal.inside)) for part in ("train", "val", "test"))
    strange = deal.rows("test", deal.tested)[0]
    chosen = list(choice(f"held-out intents, {kind}", deal.seed, head, (parts[0], parts[1], parts[2]), strange))
    accuracy = f"{1 - parts[2].wrong.mean():.4f}"
    plain: Row = {"features": kind, "seed": deal.seed, "method": "linear head", "epoch": "", "accuracy": accuracy}
    told_of = ("chosen", "auroc", "fpr95")
    return [{**plain, "score": row["detector"], **{key: row[key] for key in told_of}} for row in chosen], chosen


def main() -> None:
    """Each kind of features in its turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of data_full.json")
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--features", nargs="*", default=guard_texts.kinds(), choices=guard_texts.kinds())
    parser.add_argument("--deals", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "guard-embeddings")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = guard_texts.intents(given.data)
    for kind in given.features:
        features = guard_texts.features_of(kind, data.texts, given.folder)
        strange = features["oos_test"]
        for strength in (1.0, guard_texts.STRENGTH):
            head = guard_texts.head_of(features["train"], data.labels["train"], strength)
            parts = [guard_texts.rows(head, features[part], data.labels[part]) for part in ("train", "val", "test")]
            if "detectors" in given.parts:
                found = list(detectors(kind, strength, head, parts[0], parts[2], strange))
                write("guard-detectors", found, ("features", "strength"))
        if "choice" in given.parts:
            rows = choice(f"out-of-scope queries, {kind}", 0, head, (parts[0], parts[1], parts[2]), strange)
            write("guard-choice", list(rows), ("data", "seed"))
        deals = [Deal(features, data.labels, seed) for seed in range(given.deals)]
        for deal in deals if "intents" in given.parts else ():
            found, chosen = intents(kind, deal)
            write("guard-intents", found, ("features", "seed", "method", "score"))
            write("guard-choice", chosen, ("data", "seed"))
        for deal in deals if "methods" in given.parts else ():
            write("guard-intents", schooled(kind, deal), ("features", "seed", "method", "score"))


if __name__ == "__main__":
    main()
