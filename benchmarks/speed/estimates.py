"""How fast estimates are: one by one, with and without the trace, and many at once; and how long traces take.

    python benchmarks/speed/estimates.py [--device NAME] [--runs 7] [--architectures 20000]

writes benchmarks/results/estimates-<device>.csv. Seconds are processor time of this process, which uses one thread; the
rows take turns, and each value is a median. The architectures are drawn at random (seed 0) from a space around
EfficientNet-B0: every stage's repeats, kernel, expansion, width, squeeze-and-excitation, activation and fusing, and the
width, depth and resolution of the whole; about 1e21 combinations.
"""

import argparse
import csv
import importlib.metadata
import platform as machine
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from startup import RESULTS, commit, processor

import modelwright
from modelwright.hardware import estimate, platform
from modelwright.hardware.many import estimate_many
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.networks.families.efficientnet import BASELINE, mbconv_network
from modelwright.networks.families.scaling import Scaling
from modelwright.networks.trace import trace
from modelwright.records import Architecture, Workload

SETTINGS = (("tpu-v3", "engine"), ("h200", "engine"), ("h200", "compiled"), ("h200", "eager"), ("x86", "eager"))
TRACED = ("efficientnet-b7", "vit-b-16", "gpt-1b")
BATCH = 128
FEW = 4


def drawn(chance: random.Random, number: int) -> Architecture:
    """A network of about EfficientNet-B0's size."""
    leaving = [8 * max(1, round(row.out_channels * chance.choice((0.5, 0.75, 1, 1.25, 1.5)) / 8)) for row in BASELINE]
    entering = [BASELINE[0].in_channels, *leaving]
    rows = [
        msgspec.structs.replace(
            row,
            repeats=max(1, row.repeats + chance.choice((-1, 0, 1))),
            kernel=chance.choice((3, 5)),
            expansion=chance.choice((3, 4, 6)) if position else 1,
            in_channels=entering[position],
            out_channels=leaving[position],
            squeeze_ratio=chance.choice((0.0, 0.25)),
            fused=chance.random() < 0.3,
            activation=chance.choice(("relu", "swish")),
        )
        for position, row in enumerate(BASELINE)
    ]
    scaling = Scaling(chance.choice((0.75, 1, 1.25)), chance.choice((1, 1.2)), chance.choice((192, 208, 224, 240, 256)))
    return mbconv_network(f"drawn-{number}", rows, scaling)


def traced(made: Architecture) -> Workload:
    with torch.device("meta"):
        module = build(made)
        dtype = torch.int64 if len(made.input) == 1 else torch.float32
        return trace(module, torch.empty((2, *made.input), dtype=dtype), name=made.name)


def rows(count: int) -> dict[tuple[str, str], tuple[float, Callable[[], object]]]:
    """What and its unit -> how many the unit counts (0 for seconds), and the work."""
    chance = random.Random(0)
    space = [drawn(chance, number) for number in range(count)]
    few, works = space[:FEW], [traced(made) for made in space[:FEW]]
    found: dict[tuple[str, str], tuple[float, Callable[[], object]]] = {}
    for name, execution in SETTINGS:
        chip, where = platform(name), f"{name}, {execution}, batch {BATCH}"

        def many(chip=chip, execution=execution) -> object:  # noqa: ANN001 - bound here, as loops share their variables
            return estimate_many(space, chip, batch=BATCH, execution=execution)

        def one_by_one(chip=chip, execution=execution) -> object:  # noqa: ANN001 - as above
            return [estimate(work, chip, batch=BATCH, execution=execution) for work in works]

        found[f"{count} at once: {where}", "architectures/s"] = count, many
        found[f"one by one, traced before: {where}", "architectures/s"] = FEW, one_by_one
    chip = platform("tpu-v3")
    found["one by one with its trace: tpu-v3, engine, batch 1", "architectures/s"] = (
        1,
        lambda: estimate(traced(few[0]), chip),
    )
    for name in TRACED:
        found[f"trace {name}", "s"] = 0, lambda name=name: traced(architecture(name))
    return found


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def write(path: Path, device: str, values: dict[tuple[str, str], float]) -> None:
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "torch")}
    versions |= {"python": machine.python_version(), "modelwright": modelwright.__version__, "commit": commit()}
    told = " ".join(f"{name}={version}" for name, version in versions.items())
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["what", "value", "unit", "device", "threads", "versions"])
        for (what, unit), value in values.items():
            table.writerow([what, f"{value:.3g}" if value < 100 else f"{value:.0f}", unit, device, 1, told])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--device", default=processor(), help="name for the file (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=7, help="runs a row (default: %(default)s)")
    parser.add_argument("--architectures", type=int, default=20_000, help="how many at once (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    works = rows(arguments.architectures)
    taken: dict[tuple[str, str], list[float]] = {name: [] for name in works}
    for run in range(arguments.runs + 1):
        for name, (_, work) in works.items():
            taken[name].append(seconds(work))
            print(f"{run} {name[0]}: {taken[name][-1]:.3g} s", flush=True)

    medians = {name: statistics.median(values[1:]) for name, values in taken.items()}  # the first run fills the caches
    path = RESULTS / f"estimates-{arguments.device}.csv"
    write(
        path,
        arguments.device,
        {name: works[name][0] / median if works[name][0] else median for name, median in medians.items()},
    )
    print(path.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
