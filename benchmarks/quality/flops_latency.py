"""How far FLOPs are from latency: on this model's estimates, and on measured GPU and CPU data.

    python benchmarks/quality/flops_latency.py [RESULTS.csv ...]

If latency were proportional to FLOPs, one number of seconds a FLOP would predict every network of a platform. The error
of that rule (the best such number, in the sense of the median) is |predicted / true - 1|: the authors of EfficientNet-X
report up to 400 %. Reads benchmarks/results/efficientnets.csv, and timm's published benchmark files where given; writes
benchmarks/results/flops-latency.csv.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parents[1] / "results"


def row(what: str, flops: list[float], seconds: list[float]) -> dict[str, object]:
    """The error of seconds = constant x FLOPs, and the range of seconds a FLOP."""
    work, time = np.array(flops), np.array(seconds)
    rate = time / work
    error = np.abs(np.median(rate) * work / time - 1)
    return {
        "data": what,
        "networks": len(flops),
        "median_error": round(float(np.median(error)), 4),
        "largest_error": round(float(error.max()), 4),
        "range_of_seconds_a_flop": round(float(rate.max() / rate.min()), 2),
        "log_correlation": round(float(np.corrcoef(np.log(work), np.log(time))[0, 1]), 4),
    }


def main() -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    lines = []
    groups: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    with (RESULTS / "efficientnets.csv").open(newline="") as file:
        for entry in csv.DictReader(file):
            flops, seconds = groups[f"estimated, EfficientNet and X, {entry['platform']}, {entry['execution']}"]
            flops.append(float(entry["gflops"]) / int(entry["batch"]))
            seconds.append(float(entry["latency_ms"]) / 1e3 / int(entry["batch"]))
    for path in arguments.files:
        with path.open(newline="") as file:
            for entry in csv.DictReader(file):
                if float(entry["infer_gmacs"] or 0) > 0:
                    name = path.stem.removeprefix("benchmark-infer-")
                    flops, seconds = groups[f"measured, timm, {name}"]
                    flops.append(2 * float(entry["infer_gmacs"]))
                    seconds.append(1 / float(entry["infer_samples_per_sec"]))
    lines = [row(what, *pair) for what, pair in groups.items()]
    with (RESULTS / "flops-latency.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    for line in lines:
        print("  ".join(f"{key}={value}" for key, value in line.items()))


if __name__ == "__main__":
    main()
