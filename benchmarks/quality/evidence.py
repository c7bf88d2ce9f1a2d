"""How well cheap evidence ranks candidates: Kendall's tau with full training, and the time that each took.

    python benchmarks/quality/evidence.py [--space efficientnet-x-small] [--data digits] [--candidates 24] [--epochs 9]

Draws candidates from a space fitted to a data set; trains each by the whole recipe; and judges them by 1/3 and 1/9 of
the epochs, by each score, and inside a supernet. With --again each is trained once more, with another seed: how far two
trainings agree is about as far as any evidence can agree with one of them. Writes
benchmarks/results/evidence-DATA-DEVICE.csv, with seconds as they were on a machine that may have been busy. The test
split is not looked at.
"""

import argparse
import csv
import re
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import torch

from modelwright.cli.measure import commit
from modelwright.clock import SystemClock
from modelwright.errors import ShapeError
from modelwright.networks.measuring.machine import describe
from modelwright.networks.shapes import shapes
from modelwright.records import Architecture, Learning, Point, Recipe, Space
from modelwright.search.evaluate.agreement import agreement
from modelwright.search.evaluate.judge import Judge
from modelwright.search.evaluate.scores import SCORES
from modelwright.search.evaluate.scores.judge import ScoreJudge
from modelwright.search.evaluate.supernet.judge import SupernetJudge, train_supernet
from modelwright.search.evaluate.training import TrainingJudge, after
from modelwright.search.space import Product, make, space, with_data
from modelwright.training import Data, Run, dataset, recipe_for

RESULTS = Path(__file__).parents[1] / "results"
CLOCK = SystemClock()

Candidates = list[tuple[str, Architecture, Point]]
Line = dict[str, object]


def drawn(searched: Space, count: int, seed: int) -> Candidates:
    """Candidates that can be built, drawn with equal chances."""
    found: Candidates = []
    for point in Product(searched).sample(np.random.default_rng(seed), 10 * count):
        architecture = make(searched, point, f"candidate-{len(found)}")
        try:
            shapes(architecture)
        except ShapeError:
            continue
        found.append((architecture.name, architecture, point))
        if len(found) == count:
            break
    return found


def judged(judge: Judge, candidates: Candidates) -> tuple[list[float], float]:
    """What a judge says of each, and the seconds it took for all."""
    start = CLOCK.seconds()
    said = [judge.judge(network, point, judge.rungs[-1], name).accuracy for name, network, point in candidates]
    return said, CLOCK.seconds() - start


def trained(data: Data, recipe: Recipe, run: Run, candidates: Candidates) -> list[Learning]:
    """Full trainings, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        judge = TrainingJudge(data, recipe, Path(folder), run=run)
        learnings = [judge.judge(network, point, recipe.epochs, name).learning for name, network, point in candidates]
    return [learning for learning in learnings if learning is not None]


def seconds_after(learnings: list[Learning], epochs: int) -> float:
    """What the first epochs of all trainings took."""
    return sum(learning.epochs[epochs - 1].seconds for learning in learnings)


def lines(data: Data, searched: Space, recipe: Recipe, run: Run, arguments: argparse.Namespace) -> list[Line]:
    """One line for each kind of evidence."""
    candidates = drawn(searched, arguments.candidates, arguments.seed)
    full = trained(data, recipe, run, candidates)
    truth = [learning.accuracy for learning in full]
    found: list[Line] = []

    def add(evidence: str, said: list[float], seconds: float, once: float = 0.0) -> None:
        tau = agreement(evidence, list(zip(said, truth, strict=True))).kendall
        line = {"evidence": evidence, "kendall": round(tau, 3), "seconds_a_candidate": round(seconds / len(said), 3)}
        found.append(line | {"seconds_once": round(once, 1)})
        print(f"{evidence:40} {tau:6.3f}", flush=True)

    add("full training", truth, seconds_after(full, recipe.epochs))
    for part in (3, 9):
        epochs = max(1, recipe.epochs // part)
        early = [after(learning, epochs).accuracy for learning in full]
        add(f"accuracy after {epochs} of {recipe.epochs} epochs", early, seconds_after(full, epochs))
    for score in SCORES:
        add(score, *judged(ScoreJudge(score, data, run=run), candidates))
    longer = msgspec.structs.replace(recipe, epochs=arguments.supernet_epochs or 4 * recipe.epochs)
    start = CLOCK.seconds()
    supernet, _ = train_supernet(searched, data, longer, run)
    once = CLOCK.seconds() - start
    inside = SupernetJudge(supernet, longer.epochs, data, run=run)
    add(f"supernet of {longer.epochs} epochs", *judged(inside, candidates), once)
    if arguments.again:
        again = trained(data, msgspec.structs.replace(recipe, seed=recipe.seed + 1), run, candidates)
        add("full training, another seed", [one.accuracy for one in again], seconds_after(again, recipe.epochs))
    return found


def main() -> None:
    """Draw, train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="efficientnet-x-small")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=9, help="of a full training")
    parser.add_argument("--supernet-epochs", type=int, default=0, help="four times the epochs if left out")
    parser.add_argument("--images", type=int, help="of the training split; all if left out")
    parser.add_argument("--again", action="store_true", help="train each candidate with a second seed, too")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = dataset(arguments.data).subset(train=arguments.images)
    searched = with_data(space(arguments.space), data.shape[0], len(data.classes), data.shape[1])
    recipe = msgspec.structs.replace(recipe_for(data), epochs=arguments.epochs)
    run = Run(device=arguments.device, threads=arguments.threads, clock=CLOCK)
    machine = describe(torch.device(arguments.device), arguments.threads, commit())
    common = {
        "space": arguments.space,
        "data": arguments.data,
        "candidates": arguments.candidates,
        "images": len(data.train),
        "epochs": arguments.epochs,
        "device": machine.name,
        "threads": arguments.threads,
        "torch": machine.versions["torch"],
        "seed": arguments.seed,
        "commit": machine.commit,
    }
    rows = [line | common for line in lines(data, searched, recipe, run, arguments)]
    name = re.sub(r"[^a-z0-9]+", "-", machine.name.lower()).strip("-")
    with (RESULTS / f"evidence-{arguments.data}-{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
