"""Classes of Fashion-MNIST and CIFAR-10 that a network never saw, told by every detector and by every method.

    python benchmarks/quality/guard_vision.py DATA OTHER [--folder FOLDER] [--parts detectors choice guarantee methods]
        [--deals 0 1] [--smoothing 0.1]

DATA and OTHER are folders of the two; each is in its turn the one whose classes are dealt out, and the other is far.
Classes are dealt out anew for each seed (guard_vision_data.py). Outliers of the test are images of two classes that
were held out, which are near, and of three kinds that are far: the other data set's, noise, and textures.

1. `guard-vision-detectors-DEVICE.csv`: a network is trained on the other eight classes, as in quantized_networks.py.
   Each detector is fitted on its training images, and so is pytorch-ood's where it is installed. The project's recipes
   smooth labels by 0.1; --smoothing 0 trains without.
2. `guard-vision-choice-DEVICE.csv`: what the guard chooses, from training and validation images of the eight classes
   alone, classes being left out of its features, or of the training of four more networks where --folds asks for them;
   and how each detector then does with 10 % outliers, as in guard_clinc150.py.
3. `guard-vision-folds-DEVICE.csv`: promised against achieved risk where held-out classes are the traffic's
   outliers, as in guard_guarantee.py; and with networks that were trained without two classes each.
4. `guard-vision-methods-DEVICE.csv`: of the eight classes five are familiar, two are learned from by the methods that
   learn from outliers, and one is what epoch and score are chosen on. Each method trains a whole network
   (guard_vision_methods.py). Detectors follow, on the plain one's features; they know the five classes alone. With the
   part "after" only the plain network is trained, and its detectors are judged.

Networks, and what methods say, are kept in FOLDER, so that a run that was stopped goes on where it was. Rows of data
and seeds that are not run again stay.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import guard_peers
import msgspec
import numpy as np
import torch
from guard_clinc150 import PLAN, outcomes, told
from guard_guarantee import Study
from guard_tables import write
from guard_vision_data import Deal, far
from guard_vision_methods import BATCH, TEST, School, held
from quantized_networks import recipe, trained
from torch import Tensor

from modelwright.guard import Head, Rows, extract
from modelwright.guard.detectors.catalogue import detector, names
from modelwright.guard.fitting import fit_rows
from modelwright.guard.folds import Fold
from modelwright.guard.rotation import turns
from modelwright.guard.rows import Floats, rows_of
from modelwright.guard.training import METHODS
from modelwright.training import Data, dataset, preprocess

FOLDS = 4
"""Networks that are trained without two of the eight classes each."""
PARTS = ("detectors", "choice", "guarantee", "methods", "after")
PROMISED = {"fashion_mnist": (0.05, 0.1), "cifar10": (0.2, 0.3)}
"""Data set -> risks that are promised: half of the outliers' share, and all of it; far more where the network errs so
often."""
RISKS = {"fashion_mnist": (0.05,), "cifar10": (0.05, 0.2)}
"""Data set -> risks that a guard is asked to keep: 5 % as elsewhere, and of a network that errs far more often 20 %."""

Row = dict[str, object]


class Seen(NamedTuple):
    """What a network makes of a deal.

    Attributes:
        head: its last layer.
        reference, calibration, test: rows of the familiar classes.
        strange: features of outliers by kind.
        folds: networks without some classes, and what they make of reference, calibration and test.
    """

    head: Head
    reference: Rows
    calibration: Rows
    test: Rows
    strange: dict[str, Floats]
    folds: list[Fold]


def say(*words: object) -> None:
    """A line of progress."""
    print(*words, file=sys.stderr, flush=True)


def seen(deal: Deal, other: Data, given: argparse.Namespace) -> Seen:
    """A network of eight classes, trained as far as it is not, and what it makes of all images."""
    data = deal.known(deal.others, given.train)
    how = msgspec.structs.replace(recipe(data, given.epochs), smoothing=given.smoothing)
    made, network = trained("residual", data, how, given.folder / f"smoothing-{given.smoothing:g}")
    see = preprocess(made, data)

    def features(images: Tensor) -> Floats:
        return extract(network, (see(part) for part in torch.split(images, BATCH))).features

    head = extract(network, [see(held(data, "test")[0][:2])]).head
    rows = []
    for split in ("train", "validation", "test"):
        images, labels = held(data, split)
        wide = features(images)
        rows.append(rows_of(wide, head.logits(wide), labels.numpy()))
    kinds = {"held-out classes": deal.outliers("test", deal.held)[0], **far(deal, other)}
    strange = {kind: features(images) for kind, images in kinds.items()}
    images = torch.cat([held(data, split)[0] for split in ("train", "validation", "test")])
    return Seen(head, *rows, strange, folds(deal, images, given) if given.folds else [])


def folds(deal: Deal, images: Tensor, given: argparse.Namespace) -> list[Fold]:
    """Networks without some of the eight classes, trained as far as they are not."""
    found = []
    for turn in turns(len(deal.others), FOLDS, 0):
        data = deal.known(tuple(deal.others[label] for label in turn.kept), given.train)
        how = msgspec.structs.replace(recipe(data, given.epochs), smoothing=given.smoothing)
        word = "without-" + "-".join(str(deal.others[label]) for label in turn.held)
        made, network = trained("residual", data, how, given.folder / f"smoothing-{given.smoothing:g}" / word)
        see = preprocess(made, data)
        some = extract(network, (see(part) for part in torch.split(images, BATCH)))
        found.append(Fold(tuple(turn.held.tolist()), some.features, some.logits, some.head))
    return found


def detectors(found: Seen) -> Iterator[Row]:
    """Every detector, ours and theirs, on every kind of outliers."""
    theirs = guard_peers.peers()
    accuracy = f"{1 - found.test.wrong.mean():.4f}"
    for name in names():
        by = {"modelwright": detector(name).fit_rows(found.reference, found.head).score}
        if theirs:
            try:
                by["pytorch-ood"] = guard_peers.scorer(name, theirs, found.reference, found.head)
            except Exception as failure:  # noqa: BLE001  # a peer that does not run is told, and left out
                say(f"pytorch-ood, {name}: {type(failure).__name__}: {failure}")
        for library, score in by.items():
            here = score(found.test.features, found.test.logits)
            for kind, strange in found.strange.items():
                there = score(strange, found.head.logits(strange))
                yield {
                    "outliers": kind,
                    "detector": name,
                    "library": library,
                    **told(here, there),
                    "accuracy": accuracy,
                }


def choice(deal: Deal, found: Seen) -> Iterator[Row]:
    """What the guard chooses, and how every detector does with every kind of outliers."""
    known = [fold.take(np.arange(len(found.reference) + len(found.calibration))) for fold in found.folds]
    for risk in RISKS[deal.name]:
        plan = msgspec.structs.replace(PLAN, risk=risk)
        for held_out, strange_to in (("features", []), *([("networks", known)] if known else [])):
            record = fit_rows(found.reference, found.calibration, head=found.head, plan=plan, strange=strange_to).record
            say(f"{deal.name}, deal {deal.seed}, risk {risk}: {record.detector}, promise: {record.promise}")
            for kind, strange in found.strange.items():
                for row in outcomes(record, plan, found.head, (found.reference, found.test), strange):
                    yield {
                        "data": f"{deal.name}, {kind}",
                        "risk": risk,
                        "seed": deal.seed,
                        "left_out_of": held_out,
                        **row,
                    }


def guarantee(deal: Deal, found: Seen, times: int) -> list[Row]:
    """Promised and achieved risk; traffic of the first kind of outliers."""
    both = (found.calibration, found.test)
    joined = rows_of(*(np.concatenate([getattr(part, name) for part in both])
                       for name in ("features", "logits", "labels")))  # fmt: skip
    study = Study("energy", found.head, (found.reference, joined), found.strange["held-out classes"], found.folds)
    rows: list[Row] = []
    for risk in PROMISED[deal.name]:
        for seed in range(times):
            rows += study.repetition(seed, risk)
            say(f"{deal.name}, {risk}, repetition {seed}")
    return [{"data": deal.name, "deal": deal.seed, "detector": "energy", **row} for row in summed(rows)]


def summed(rows: Sequence[Mapping[str, object]]) -> Iterator[Row]:
    """Of all repetitions of a guard at a share: promises given, those broken, and means of what was achieved."""
    kinds = dict.fromkeys((row["guard"], row["share"], row["promised_risk"]) for row in rows)
    for guard, share, risk in kinds:
        group = [row for row in rows if (row["guard"], row["share"], row["promised_risk"]) == (guard, share, risk)]
        given = [row for row in group if int(str(row["holds"]))]
        means = {
            f"{key}_{name}": f"{function([float(str(row[key])) for row in given]) if len(given) > 1 else math.nan:.5f}"
            for key in ("risk", "coverage", "outliers_accepted")
            for name, function in (("mean", mean), ("deviation", stdev))
        }
        broken = sum(float(str(row["risk"])) > float(str(risk)) for row in given)
        yield {"guard": guard, "share": share, "promised_risk": risk, "repetitions": len(group), "given": len(given),
               "broken": broken, **means}  # fmt: skip


def methods(school: School, wanted: Sequence[str]) -> Iterator[Row]:
    """Methods and each of their scores, then detectors on the plain network, on every kind of outliers."""
    deal = school.deal
    for name in wanted:
        found = school.said(name)
        say(f"{deal.name}, deal {deal.seed}: {name}, epoch {found.epoch}, accuracy {found.accuracy:.2%}")
        about: Row = {"method": name, "epoch": found.epoch, "accuracy": f"{found.accuracy:.4f}"}
        for (score, kind), there in found.scores.items():
            if kind != TEST:
                figures = told(found.scores[score, TEST], there)
                yield {**about, "outliers": kind, "score": score, "chosen": int(score == found.score), **figures}
    yield from after(school)


def after(school: School) -> Iterator[Row]:
    """Detectors on the plain network's features."""
    plain = school.said("plain")
    kept = {key.removeprefix("rows|"): value for key, value in plain.rows.items()}
    head = Head(kept["weight"], kept["bias"])
    reference, test = (rows_of(*(kept[f"{of}|{name}"] for name in ("features", "logits", "labels")))
                       for of in ("train", TEST))  # fmt: skip
    kinds = [kind for kind, _ in school.sets() if kind != TEST]
    for name in names():
        fitted = detector(name).fit_rows(reference, head)
        here = fitted.score(test.features, test.logits)
        for kind in kinds:
            there = fitted.score(kept[f"{kind}|features"], kept[f"{kind}|logits"])
            about: Row = {"method": "detector", "epoch": plain.epoch, "accuracy": f"{plain.accuracy:.4f}"}
            yield {**about, "outliers": kind, "score": name, "chosen": 0, **told(here, there)}


def main() -> None:
    """Each data set and deal in its turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs=2, metavar="DATA", help="folders of fashion_mnist and cifar10")
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--deals", type=int, nargs="*", default=(0, 1), help="their seeds")
    parser.add_argument("--only", choices=sorted(RISKS), help="deal out the classes of this data set alone")
    parser.add_argument("--smoothing", type=float, default=0.1, help="of the labels of the eight classes")
    parser.add_argument("--train", type=int, default=2000, help="images of each of the eight classes")
    parser.add_argument("--epochs", type=int, default=10, help="of their network")
    parser.add_argument("--learned", type=int, default=1000, help="images of each class that methods learn from")
    parser.add_argument("--passes", type=int, default=6, help="epochs of the methods")
    parser.add_argument("--folds", action="store_true", help="train networks without two of the classes each, too")
    parser.add_argument("--times", type=int, default=100, help="repetitions of the guarantee")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "guard-vision")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sets = [dataset(str(folder)) for folder in given.data]
    for seed in given.deals:
        for data, other in (sets, sets[::-1]):
            deal = Deal(data, seed)
            if given.only and deal.name != given.only:
                continue
            about: Row = {"data": deal.name, "seed": seed, "held_out": deal.words(deal.held)}
            say(about)
            if {"detectors", "choice", "guarantee"} & set(given.parts):
                found = seen(deal, other, given)
                how: Row = {"smoothing": given.smoothing, "train_images": len(found.reference), "epochs": given.epochs}
                if "detectors" in given.parts:
                    rows = [{**about, **row, **how} for row in detectors(found)]
                    write("guard-vision-detectors", rows, ("data", "seed", "smoothing"))
                if "choice" in given.parts:
                    rows = [{**row, **how} for row in choice(deal, found)]
                    write("guard-vision-choice", rows, ("data", "seed", "risk", "smoothing", "left_out_of"))
                if "guarantee" in given.parts:
                    rows = [{**row, **how} for row in guarantee(deal, found, given.times)]
                    write("guard-vision-folds", rows, ("data", "deal", "promised_risk", "smoothing"))
    wanted = ("plain", *(name for name in METHODS if name != "plain" and "methods" in given.parts))
    for seed in given.deals if {"methods", "after"} & set(given.parts) else ():
        for data, other in (sets, sets[::-1]):
            deal = Deal(data, seed)
            school = School(deal, given.learned, recipe(deal.known(deal.familiar, given.learned), given.passes),
                            given.folder, partial(far, deal, other))  # fmt: skip
            about = {"data": deal.name, "seed": seed, "held_out": deal.words(deal.held),
                     "chosen_on": deal.words(deal.chosen_by), "learned_from": deal.words(deal.learned),
                     "familiar": deal.words(deal.familiar)}  # fmt: skip
            if given.only and deal.name != given.only:
                continue
            more: Row = {"train_images": len(school.data.train), "epochs": given.passes}
            write("guard-vision-methods", [{**about, **row, **more} for row in methods(school, wanted)],
                  ("data", "seed", "method"))  # fmt: skip


if __name__ == "__main__":
    main()
