"""The accuracy that quantization leaves to networks trained on real images, in all its ways.

    python benchmarks/quality/quantized_accuracy.py DATA [DATA ...] [--train 20000] [--epochs 10] [--images 2000]

DATA is a data set's name or folder, such as the Parquet files of CIFAR-10 or the four idx files of Fashion-MNIST. On
each, a residual and a depthwise network are trained (quantized_networks.py); a third is the depthwise one with its
channels rescaled, which computes the same. Every way of quantized_cases.py is judged on images of the test split: in
simulation on the first --images of them, or on all where the target has kernels for it; then the program that the
target runs is judged on all, too. Ranges are found on 512 training images, layers' sensitivities on 512 of the
validation split. Last, the flow of `modelwright quantize` goes its way, judging on the validation split, and what it
made is judged on the test split.

Trainings and rows are kept in build/quantized-accuracy, so that a run that was stopped goes on where it was. Writes
benchmarks/results/quantized-accuracy-DEVICE.csv.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from quantized_cases import BATCH, Case, Trial, word
from quantized_networks import NETWORKS, recipe, rescaled, trained
from torch import nn

from modelwright.cli.measure import commit
from modelwright.networks.measuring.machine import describe
from modelwright.quantize.judging import Judge, Judged, Samples
from modelwright.quantize.run import quantize_for
from modelwright.quantize.settings import Site, Wishes
from modelwright.quantize.subject import Subject, Training
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.records import Architecture, DataCard, Device, Quantization
from modelwright.search.handover.classifier import Classifier
from modelwright.training import Data, Split, dataset, preprocess

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "quantized-accuracy"
PARTS = ("schemes", "calibrations", "partial", "lighter", "techniques", "trainings", "learned")
FEW = ("schemes", "lighter", "techniques", "trainings")
"""Parts of the rescaled network, which is the depthwise one in all else."""
WISHES = Wishes(batch=16, budget_s=180.0)
FIELDS = (
    "data", "network", "part", "candidate", "kind", "weights", "activations", "weight_bits", "activation_bits",
    "calibration", "techniques", "images", "accuracy", "drop", "drop_low", "drop_high", "sqnr_db",
    "target_images", "target_accuracy", "target_drop", "target_drop_low", "target_drop_high", "target_sqnr_db",
    "latency_s", "spread", "batch", "chosen", "train_images", "epochs", "threads", "device", "torch", "commit",
)  # fmt: skip

Row = dict[str, object]


class Table:
    """Rows that are kept as they are made."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: list[dict[str, str]] = []
        if file.exists():
            with file.open(newline="", encoding="utf-8") as text:
                self.rows = list(csv.DictReader(text))

    def has(self, **about: str) -> bool:
        """Whether there is such a row."""
        return any(all(row[key] == value for key, value in about.items()) for row in self.rows)

    def add(self, row: Row) -> None:
        """Keep one more."""
        self.rows.append({name: str(row.get(name, "")) for name in FIELDS})
        self.write(self.file)
        told = " ".join(f"{row[key]}" for key in ("data", "network", "part", "candidate"))
        print(f"{told}: {row.get('accuracy', '')} {row.get('target_accuracy', '')}", file=sys.stderr, flush=True)

    def write(self, file: Path) -> None:
        """All rows, in the order in which they were made."""
        with file.open("w", newline="", encoding="utf-8") as text:
            writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


class Bench:
    """One network and what it is judged on."""

    def __init__(self, case: Case, given: argparse.Namespace, table: Table, device: Device) -> None:
        self.case, self.given, self.table = case, given, table
        self.images, labels = some(case.data.test, len(case.data.test))
        self.judge = Judge.of(case.graph, Samples(case.see(self.images), labels), BATCH)
        self.about: Row = {
            "data": Path(case.data.name).name,
            "network": case.name.partition("-")[2],
            "train_images": given.train,
            "epochs": given.epochs,
            "threads": given.threads,
            "device": device.name,
            "torch": device.versions["torch"],
            "commit": device.commit,
        }

    def run(self, parts: Iterable[str]) -> None:
        """All rows of the network that are not there yet."""
        if not self._has("float", "fp32"):
            right = self.judge.right
            accuracy = float(right.double().mean()) if right is not None else 0.0
            self.table.add(self.about | {"part": "float", "candidate": "fp32", "kind": "float",
                                         "images": len(self.judge.samples), "accuracy": accuracy})  # fmt: skip
        for trial in (trial for part in parts for trial in getattr(self.case, part)()):
            if not self._has(trial.part, trial.candidate):
                self.table.add(self._tried(trial))

    def flow(self) -> None:
        """What the recommended way finds, unless it is there already."""
        if not self._has("flow"):
            for row in self._flow():
                self.table.add(row)

    def _has(self, part: str, candidate: str | None = None) -> bool:
        about = {"data": str(self.about["data"]), "network": str(self.about["network"]), "part": part}
        return self.table.has(**about, **({"candidate": candidate} if candidate else {}))

    def _tried(self, trial: Trial) -> Row:
        judge = self.judge if trial.target else self.judge.first(self.given.images)
        simulated, graph = trial.make()
        row = self.about | told(trial.recipe) | {"part": trial.part, "candidate": trial.candidate}
        row |= {"images": len(judge.samples)} | said(judge(simulated))
        if trial.target and graph is not None:
            with TemporaryDirectory() as folder:
                OpenVino().write(graph, (self.case.calibration.inputs[:2],), Path(folder))
                program = OpenVino().load(Path(folder), threads=self.given.threads)
                row |= {"target_images": len(judge.samples)} | said(judge(program), "target_")
        return row

    def _flow(self) -> Iterator[Row]:
        """Its candidates, their times, and their accuracy on images that it has not seen."""
        case = self.case
        site = Site(FOLDER / f"{case.name}-flow", self.given.threads, commit=commit())
        findings = quantize_for(subject(case), WISHES, site)
        judge = Judge(Samples(self.images, self.judge.samples.labels), self.judge.reference, WISHES.batch)
        print(findings.verdict, file=sys.stderr)
        for one in findings.candidates:
            if one.state != "finished":
                print(f"{one.name} failed: {one.reason}", file=sys.stderr)
                continue
            place = site.folder / "candidates" / one.name
            floats = one.recipe.floats
            program = OpenVino().load(place, floats=floats, threads=site.threads, batch=WISHES.batch)
            row = self.about | told(one.recipe) | said(judge(program), "target_")
            yield row | {
                "part": "flow",
                "candidate": one.name,
                "images": findings.judged,
                "accuracy": one.accuracy,
                "drop": one.drop,
                "drop_low": one.drop_interval[0] if one.drop_interval else "",
                "drop_high": one.drop_interval[1] if one.drop_interval else "",
                "sqnr_db": f"{one.sqnr_db:.2f}",
                "target_images": len(judge.samples),
                "latency_s": f"{one.latency_s:.6g}",
                "spread": f"{one.spread:.3g}",
                "batch": WISHES.batch,
                "chosen": one.chosen,
            }


def told(how: Quantization) -> Row:
    """What the table tells of a recipe."""
    row: Row = {"kind": how.kind, "techniques": " + ".join(how.techniques)}
    if how.kind != "float":
        row |= {"weights": f"{how.weights.granularity} {word(how.weights)}", "weight_bits": how.weights.bits}
    if how.kind in ("static", "qat", "dynamic"):
        row |= {"activations": word(how.activations), "activation_bits": how.activations.bits}
    if how.kind in ("static", "qat"):
        row["calibration"] = how.calibration
    return row


def said(judged: Judged, before: str = "") -> Row:
    """What the table tells of an accuracy."""
    low, high = judged.drop_interval or (0.0, 0.0)
    return {
        f"{before}accuracy": judged.accuracy,
        f"{before}drop": f"{judged.drop:.6g}",
        f"{before}drop_low": f"{low:.6g}",
        f"{before}drop_high": f"{high:.6g}",
        f"{before}sqnr_db": f"{judged.sqnr_db:.2f}",
    }


def some(split: Split, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first images and labels."""
    [(images, labels)] = list(split.batches([torch.arange(min(count, len(split)))]))
    return images, labels


def subject(case: Case) -> Subject:
    """The network as `modelwright quantize` takes it: it reads images as the data has them."""
    data = case.data
    card = DataCard(Path(data.name).name, data.classes, data.shape, data.mean, data.std)
    images, labels = some(data.validation, 2000)

    def whole(inside: nn.Module) -> nn.Module:
        return Classifier(inside, case.architecture, card)

    return Subject(
        case.name, case.network, Samples(some(data.train, 512)[0]), Samples(images, labels), card.name, whole=whole,
        training=Training(data, case.see, case.how), card=card,
    )  # fmt: skip


def cases(name: str, given: argparse.Namespace) -> Iterator[tuple[Case, tuple[str, ...]]]:
    """The networks of a data set, and their parts of the table."""
    data = dataset(name)
    data = data.subset(train=min(given.train, len(data.train)))
    how, place = recipe(data, given.epochs), Path(name).name

    def case(called: str, made: Architecture, network: nn.Module) -> Case:
        see = preprocess(made, data)
        ranges, hints = (Samples(see(some(split, 512)[0])) for split in (data.train, data.validation))
        return Case(made, network, _for_tuning(data), see, how, ranges, hints, FOLDER, f"{place}-{called}")

    for network_name in given.networks:
        made, network = trained(network_name, data, how, FOLDER)
        yield case(network_name, made, network), PARTS
        if network_name == "depthwise":
            yield case("rescaled", made, rescaled(network)), FEW


def _for_tuning(data: Data) -> Data:
    """Half the training images: tuning takes few."""
    return data.subset(train=len(data.train) // 2)


def main() -> None:
    """Each network of each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--train", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    OpenVino().check()
    device = describe(torch.device("cpu"), given.threads, commit())
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = Table(FOLDER / "rows.csv")
    for name in given.data:
        for case, parts in cases(name, given):
            Bench(case, given, table, device).run(parts)
    for name in given.data:  # which is timed, and wants the machine for itself
        for case, _ in cases(name, given):
            Bench(case, given, table, device).flow()
    place = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")
    file = ROOT / "benchmarks" / "results" / f"quantized-accuracy-{place}.csv"
    table.write(file)
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
