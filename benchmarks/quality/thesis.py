"""What a search finds in true latency when it is led by FLOPs, by the performance model, or by the truth.

    python benchmarks/quality/thesis.py FOLDER [--seeds N]

FOLDER (or the environment variable MODELWRIGHT_NAS_TABLES) holds nas_bench_201.csv.gz, as for quality/search.py. `auto`
searches NAS-Bench-201 for CIFAR-100 accuracy and a second objective that costs nothing to know: multiply-accumulates;
estimates for a TITAN RTX, whose platform file titan-rtx.toml is written from published numbers alone; or the latency
that was measured on one (BRP-NAS, 2020, arXiv 2007.08668, and HELP, 2021, arXiv 2106.08630). What it has found is then
weighed by measured latency: all that it evaluated, and those alone that it would hand over, its own front. Writes
search-thesis-agreement.csv, how costs and latencies agree over all cells, search-thesis-operations.csv, what an
operation adds by either, and search-thesis.csv, a row a race; a race that is there is not run again. The estimates take
some minutes, races half an hour.
"""

import argparse
import csv
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

sys.path.insert(0, str(Path(__file__).parent))  # its neighbours are met by their names

import nas_bench_cells
from search import RESULTS, append, cells, folder_of, write

from modelwright.hardware import estimate, platform
from modelwright.search.bench import Race, Table
from modelwright.search.pareto import non_dominated

RACES, AGREEMENT, OPERATIONS = (RESULTS / f"search-thesis{part}.csv" for part in ("", "-agreement", "-operations"))
MARKS = (50, 100, 200)
CARD = Path(__file__).with_name("titan-rtx.toml")
BATCHES = {256: 20, 32: 10, 1: 10}
"""Of the latencies that were measured on the card; how many races of each."""
NAMES = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
CHECKED = 5
"""Cells whose workload is held against a trace."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """Of every cell, in the order of the table.

    Attributes:
        macs: multiply-accumulates an image.
        estimates: batch -> seconds a batch, for the card.
    """

    macs: Numbers
    estimates: dict[int, Numbers]


def costs(texts: list[str]) -> Costs:
    """Count and estimate."""
    card, macs = platform(CARD), np.empty(len(texts))
    estimates = {batch: np.empty(len(texts)) for batch in BATCHES}
    for place, text in enumerate(texts):
        work = nas_bench_cells.workload(text)
        macs[place] = work.macs
        for batch, found in estimates.items():
            found[place] = estimate(work, card, batch=batch).latency_s
        if place % 1000 == 0:
            print(f"{place} of {len(texts)} cells", flush=True)
    return Costs(macs, estimates)


def texts_of(table: Table) -> list[str]:
    """The cells in the benchmark's words, for the six choices of a table's points."""
    found = []
    for point in table.domain.points:
        names = list(point.values())
        nodes = [names[:1], names[1:3], names[3:]]
        found.append("+".join("|" + "".join(f"{n}|" for n in node) for node in nodes))
    return found


def race(table: Table, leads: Numbers, seed: int) -> dict[str, str]:
    """One search led by a free cost, weighed by the table's true losses: shares of the true front's hypervolume."""
    latency = table.objectives.index(next(name for name in table.objectives if name.startswith("lat_")))
    losses = table.losses.copy()
    losses[:, latency] = leads
    led = replace(table, losses=losses, free=tuple(place == latency for place in range(len(table.objectives))))
    found = list(Race(led, "auto", MARKS[-1]).run(seed).found)
    ratios = {f"evaluated_{mark}": table.ratio(table.losses[found[:mark]]) for mark in MARKS}
    for mark in MARKS:
        front = [found[place] for place in non_dominated(losses[found[:mark]]).tolist()]
        ratios[f"handed_over_{mark}"] = table.ratio(table.losses[front])
    return {name: f"{ratio:.5f}" for name, ratio in ratios.items()}


def agreement(device: str, cost: str, values: Numbers, latency: Numbers) -> dict[str, object]:
    """How a cost orders cells, and how far it is off with the best scale."""
    rate = values / latency
    error = np.abs(rate / np.median(rate) - 1)
    row: dict[str, object] = {"device": device, "cost": cost, "cells": len(values)}
    row |= {"kendall": f"{kendalltau(values, latency).statistic:.3f}", "median_error": f"{np.median(error):.3f}"}
    return row | {"median_ratio": f"{np.median(rate):.3f}" if cost == "estimate" else ""}


def operations(texts: list[str], seconds: dict[str, Numbers]) -> list[dict[str, object]]:
    """What one operation in each cell adds to a batch by each account, in milliseconds, by least squares."""
    counts = np.array([[text.count(name) for name in NAMES] for text in texts], dtype=np.float64)
    added = {account: np.linalg.lstsq(counts, 1e3 * values)[0] for account, values in seconds.items()}
    return [
        {"operation": name, **{account: f"{found[place]:.3f}" for account, found in added.items()}}
        for place, name in enumerate(NAMES)
    ]


def done() -> set[tuple[str, str, int]]:
    """The races that were run."""
    if not RACES.exists():
        return set()
    with RACES.open(newline="") as file:
        return {(row["device"], row["led_by"], int(row["seed"])) for row in csv.DictReader(file)}


def main() -> None:
    """Check, cost, race what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=20, help="at most so many of each")
    arguments = parser.parse_args()
    folder = folder_of(arguments.folder)
    if folder is None:
        print("skipped: the tables are not here; name their folder")
        return
    tables = {batch: cells(f"lat_titan_rtx_{batch}", "acc_cifar100").table(folder) for batch in BATCHES}
    texts = texts_of(tables[256])
    some = np.random.default_rng(0).permutation(len(texts))[:CHECKED].tolist()
    if not all(nas_bench_cells.same(texts[place]) for place in some):
        raise SystemExit("a workload is not that of its network")
    known, lines = costs(texts), []
    for batch, table in tables.items():
        device = f"titan_rtx_{batch}"
        latency_ms = np.exp(table.losses[:, 0])
        lines.append(agreement(device, "flops", known.macs, latency_ms))
        lines.append(agreement(device, "estimate", 1e3 * known.estimates[batch], latency_ms))
    write(AGREEMENT, lines)
    largest = max(BATCHES)
    by = {"measured_ms": np.exp(tables[largest].losses[:, 0]) / 1e3, "estimated_ms": known.estimates[largest]}
    write(OPERATIONS, operations(texts, by))
    for batch, table in tables.items():
        device, leads = f"titan_rtx_{batch}", {"flops": known.macs, "estimate": known.estimates[batch]}
        leads |= {"latency": np.exp(table.losses[:, 0])}
        for seed in range(min(BATCHES[batch], arguments.seeds)):
            for name, values in leads.items():
                if (device, name, seed) not in done():
                    row = {"device": device, "led_by": name, "seed": seed, **race(table, np.log(values), seed)}
                    append(RACES, row)
                    print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
