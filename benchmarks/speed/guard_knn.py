"""How long a decision of a KNN guard takes: 50,000 reference rows of 512 features, one core; and what lists miss.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/speed/guard_knn.py [--device NAME] [--runs 15]

writes benchmarks/results/guard-knn-<device>.csv, one row a kind of features, way and batch size: milliseconds a
decision, the ways taking turns on the same batches. cpu_ms is the time that the process had the core; the others also
hold what a busy machine gave to others. Ways:

    modelwright                 a whole decision, score, probability and reason, out of lists (the default)
    modelwright, exact          the same, every row being looked at
    scikit-learn, brute         neighbours alone, NearestNeighbors(algorithm="brute")
    faiss, flat                 neighbours alone, IndexFlatIP: every row
    faiss, lists                neighbours alone, IndexIVFFlat with as many lists and probes as ours

faiss is left out where it is not installed. Two kinds of features: "gaussian", of independent numbers, leave a search
nothing to skip; "grouped" ones lie near 24 dimensions in 100 groups, as those of networks lie near few. same: share
of queries whose k-th distance is the exact one (to 0.1 %); excess: by how much it is larger, in the mean; auroc: of
rows of other groups (or means) against familiar ones, by that distance.
"""

import argparse
import csv
import importlib.util
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from sklearn.neighbors import NearestNeighbors

import modelwright
from modelwright.guard.detectors.knn import Knn, unit
from modelwright.guard.fitting import fit_rows
from modelwright.guard.metrics import auroc
from modelwright.guard.rows import Floats, Rows
from modelwright.records import GuardPlan

RESULTS = Path(__file__).resolve().parents[1] / "results"
ROWS, WIDTH, CLASSES, INNER, GROUPS = 50_000, 512, 10, 24, 100
BATCHES = (1, 16, 64, 256)
ASKED = 500
"""Familiar queries, and as many strange ones, by which distances are compared."""

Score = Callable[[Floats], Floats]
"""From features to k-th distances."""


def processor() -> str:
    """The processor's own name, as a part of a file's name."""
    facts = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", facts.read_text(), re.MULTILINE) if facts.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return re.sub(r"[^a-z0-9]+", "-", name.partition("@")[0].lower()).strip("-")


def commit() -> str:
    """The checkout's commit, "" outside one."""
    ask = ["git", "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def gaussian(count: int, random: np.random.Generator, *, strange: bool = False) -> Floats:
    """Gaussian features around one mean a class; strange ones around other means."""
    means = np.eye(2 * CLASSES, WIDTH)[np.arange(count) % CLASSES + strange * CLASSES] * 8.0
    found: Floats = random.standard_normal((count, WIDTH)) + means
    return found


def grouped(count: int, random: np.random.Generator, *, strange: bool = False) -> Floats:
    """Groups near few dimensions, with some noise in all; strange ones are other groups."""
    fixed = np.random.default_rng(7)
    axes, groups = fixed.standard_normal((INNER, WIDTH)), fixed.standard_normal((2, GROUPS, INNER)) * 1.5
    inner = groups[int(strange)][random.integers(0, GROUPS, count)] + random.standard_normal((count, INNER))
    found: Floats = inner @ axes + 0.3 * random.standard_normal((count, WIDTH))
    return found


KINDS = {"gaussian": gaussian, "grouped": grouped}


def rows(features: Floats) -> Rows:
    """Features with some logits."""
    return Rows(features, features[:, :CLASSES].copy(), np.arange(len(features)) % CLASSES)


def guard(features: Floats, detector: Knn) -> Score:
    """Whole decisions of a guard."""
    profile = fit_rows(rows(features), rows(features[:200]), detector=detector, plan=GuardPlan(quantile=0.95))
    return lambda asked: profile.decide(asked, asked[:, :CLASSES]).score


def peers(features: Floats, k: int, probes: int) -> dict[str, Score]:
    """Neighbours by other libraries."""
    known = unit(features)
    brute = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(known)
    found: dict[str, Score] = {"scikit-learn, brute": lambda asked: brute.kneighbors(unit(asked))[0][:, -1]}
    if importlib.util.find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)
        flat = faiss.IndexFlatIP(WIDTH)
        lists = faiss.IndexIVFFlat(faiss.IndexFlatIP(WIDTH), WIDTH, round(ROWS**0.5), faiss.METRIC_INNER_PRODUCT)
        lists.train(known)
        lists.nprobe = probes
        for name, index in (("faiss, flat", flat), ("faiss, lists", lists)):
            index.add(known)
            found[name] = lambda asked, index=index: _distances(index.search(unit(asked), k)[0][:, -1])
    return found


def _distances(cosines: Any) -> Floats:
    found: Floats = np.sqrt(np.maximum(2.0 - 2.0 * np.asarray(cosines, np.float64), 0.0))
    return found


def kept(exact: Floats, found: Floats) -> tuple[str, str, str]:
    """Of k-th distances, familiar rows first: share that are exact, mean excess, AUROC."""
    same = (found <= exact * 1.001).mean()
    return f"{same:.4f}", f"{(found / exact - 1).mean():.5f}", f"{auroc(np.arange(len(found)) >= ASKED, found):.4f}"


def measured(kind: str, runs: int) -> list[list[object]]:
    """Rows of the table for one kind of features."""
    draw, random = KINDS[kind], np.random.default_rng(1)
    features, usual = draw(ROWS, np.random.default_rng(0)), Knn()
    ways = {"modelwright": guard(features, usual), "modelwright, exact": guard(features, Knn(probes=0))}
    ways |= peers(features, usual.k, usual.probes)
    judged = np.concatenate([draw(ASKED, random), draw(ASKED, random, strange=True)])
    told = {way: score(judged) for way, score in ways.items()}
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {(way, size): [] for way in ways for size in BATCHES}
    for _ in range(runs + 1):
        for size in BATCHES:
            asked = draw(size, random)
            for way, score in ways.items():
                began, busy = time.perf_counter(), time.process_time()
                score(asked)
                taken[way, size].append(((time.perf_counter() - began) / size, (time.process_time() - busy) / size))
    found: list[list[object]] = []
    for (way, size), (_, *rest) in taken.items():  # the first run fills the caches
        times, busy_times = zip(*rest, strict=True)
        figures = (statistics.median(times), min(times), max(times), statistics.median(busy_times))
        accuracy = kept(told["modelwright, exact"], told[way])
        found.append([kind, way, ROWS, WIDTH, size, *(f"{1000 * one:.3f}" for one in figures), *accuracy])
    return found


def main() -> None:
    """Each kind of features in its turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=processor(), help="name for the file (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=15, help="runs a row (default: %(default)s)")
    arguments = parser.parse_args()
    load = f"{os.getloadavg()[0]:.1f}"
    with threadpoolctl.threadpool_limits(1):
        found = [row for kind in KINDS for row in measured(kind, arguments.runs)]
    path = RESULTS / f"guard-knn-{arguments.device}.csv"
    path.parent.mkdir(exist_ok=True)
    how = [arguments.runs, load, platform.python_version(), np.__version__, modelwright.__version__, commit()]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        head = ["features", "way", "rows", "width", "batch", "median_ms", "fastest_ms", "slowest_ms", "cpu_ms"]
        more = ["same", "excess", "auroc", "runs", "load", "python", "numpy", "modelwright", "commit"]
        table.writerow([*head, *more])
        table.writerows([*row, *how] for row in found)
    print(path.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
