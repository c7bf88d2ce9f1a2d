"""How long a decision of a KNN guard takes: 50,000 reference rows of 512 features, one core.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/speed/guard_knn.py [--device NAME] [--runs 5]

writes benchmarks/results/guard-knn-<device>.csv, one row a batch size: milliseconds a decision, of batches that take
turns. cpu_ms is the time that the process had the core; the others also hold what a busy machine gave to others. The
features are Gaussian, which leaves a nearest-neighbour search nothing to skip. A batch of one reads all the reference,
102 MB, for a single decision: the bandwidth of the memory bounds it.
"""

import argparse
import csv
import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import threadpoolctl

import modelwright
from modelwright.guard.detectors.knn import Knn
from modelwright.guard.fitting import fit_rows
from modelwright.guard.profile import GuardProfile
from modelwright.guard.rows import Rows
from modelwright.records import GuardPlan

RESULTS = Path(__file__).resolve().parents[1] / "results"
ROWS, WIDTH, CLASSES = 50_000, 512, 10
BATCHES = (1, 16, 64, 256)


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


def rows(count: int, random: np.random.Generator) -> Rows:
    """Gaussian features around one mean a class, and logits that tell the classes apart."""
    labels = np.arange(count) % CLASSES
    features = random.standard_normal((count, WIDTH)) + np.eye(CLASSES, WIDTH)[labels] * 8.0
    return Rows(features, features[:, :CLASSES].copy(), labels)


def guard() -> GuardProfile:
    """A guard whose detector remembers all of the reference."""
    random = np.random.default_rng(0)
    return fit_rows(rows(ROWS, random), rows(200, random), detector=Knn(), plan=GuardPlan(quantile=0.95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=processor(), help="name for the file (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs a row (default: %(default)s)")
    arguments = parser.parse_args()

    with threadpoolctl.threadpool_limits(1):
        profile, random = guard(), np.random.default_rng(1)
        asked = {size: rows(size, random) for size in BATCHES}
        taken: dict[int, list[tuple[float, float]]] = {size: [] for size in BATCHES}
        for _ in range(arguments.runs + 1):
            for size, one in asked.items():
                began, busy = time.perf_counter(), time.process_time()
                profile.decide(one.features, one.logits)
                taken[size].append(((time.perf_counter() - began) / size, (time.process_time() - busy) / size))

    path = RESULTS / f"guard-knn-{arguments.device}.csv"
    path.parent.mkdir(exist_ok=True)
    load = f"{os.getloadavg()[0]:.1f}"
    how = [arguments.runs, load, platform.python_version(), np.__version__, modelwright.__version__, commit()]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        head = ["rows", "width", "batch", "median_ms", "fastest_ms", "slowest_ms", "cpu_ms"]
        table.writerow([*head, "runs", "load", "python", "numpy", "modelwright", "commit"])
        for size, (_, *runs) in taken.items():  # the first run fills the caches
            times, busy_times = zip(*runs, strict=True)
            figures = (statistics.median(times), min(times), max(times), statistics.median(busy_times))
            table.writerow([ROWS, WIDTH, size, *(f"{1000 * figure:.3f}" for figure in figures), *how])
    print(path.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
