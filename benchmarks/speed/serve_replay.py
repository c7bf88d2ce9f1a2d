"""How long a day of traffic takes to replay: 1,000,000 requests that swing with the hour, one core.

    OMP_NUM_THREADS=1 python benchmarks/speed/serve_replay.py [--device NAME] [--runs 3]

writes benchmarks/results/serve-replay-<device>.csv, one row a way to scale: seconds of the replay with all its
decisions and of the sum that is made of it, and what came of the requests. cpu_s is the time that the process had the
core; the others also hold what a busy machine gave to others. Ways take turns.
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

import modelwright
from modelwright.records.autoscaling import ScalableTarget, ScalingPolicy, TargetTracking
from modelwright.records.capacity import CapacityPlan, Fleet, Latency
from modelwright.serve.replay import Traffic, diurnal, replay, summary
from modelwright.serve.scaling import waking_policy

RESULTS = Path(__file__).resolve().parents[1] / "results"
REQUESTS, DAY_S, SWING = 1_000_000, 86400.0, 0.8
TRACK = (TargetTracking("target", 5.0),)
WAYS: dict[str, tuple[ScalableTarget, tuple[ScalingPolicy, ...], float, float]] = {
    # a way to scale -> limits, policies, mean time of a request, time between decisions
    "always 70": (ScalableTarget(70, 70), (), 3.0, 10.0),
    "0 to 5": (ScalableTarget(0, 5), TRACK, 0.2, 10.0),
    "0 to 80": (ScalableTarget(0, 80), TRACK, 3.0, 10.0),
    "0 to 80 as AWS": (ScalableTarget(0, 80, imitate_aws=True), (*TRACK, waking_policy()), 3.0, 10.0),
    "0 to 80 every 2 s": (ScalableTarget(0, 80), TRACK, 3.0, 2.0),
    "0 to 1000": (ScalableTarget(0, 1000), TRACK, 40.0, 10.0),
}


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


def replayed(traffic: Traffic, way: str) -> tuple[CapacityPlan, float, float]:
    """What came of a day, the seconds that it took, and those of the processor."""
    target, policies, mean_s, interval_s = WAYS[way]
    fleet, latency = Fleet(interval_s=interval_s), Latency("exponential", mean_s)
    began, busy = time.perf_counter(), time.process_time()
    plan = summary(replay(traffic, latency, fleet, policies, target), fleet, policies, target, way)
    return plan, time.perf_counter() - began, time.process_time() - busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=processor(), help="name for the file (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs a row (default: %(default)s)")
    arguments = parser.parse_args()

    traffic = diurnal(REQUESTS / DAY_S, SWING, DAY_S, np.random.default_rng(0))
    taken: dict[str, list[tuple[CapacityPlan, float, float]]] = {way: [] for way in WAYS}
    for _ in range(arguments.runs):
        for way, runs in taken.items():
            runs.append(replayed(traffic, way))

    path = RESULTS / f"serve-replay-{arguments.device}.csv"
    path.parent.mkdir(exist_ok=True)
    load = f"{os.getloadavg()[0]:.1f}"
    how = [arguments.runs, load, platform.python_version(), np.__version__, modelwright.__version__, commit()]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        head = ["way", "requests", "mean_s", "interval_s", "median_s", "slowest_s", "cpu_s"]
        head += ["finished", "lost", "waiting_s", "p95_s", "instance_hours", "busy", "peak", "changes"]
        table.writerow([*head, "runs", "load", "python", "numpy", "modelwright", "commit"])
        for way, runs in taken.items():
            plan = runs[0][0]
            times, busy = [took for _, took, _ in runs], [took for _, _, took in runs]
            figures = [f"{one:.2f}" for one in (statistics.median(times), max(times), statistics.median(busy))]
            came = [plan.finished, plan.expired + plan.dead, f"{plan.waiting.mean_s or 0:.2f}"]
            came += [
                f"{plan.waiting.p95_s or 0:.1f}",
                f"{plan.instance_hours:.1f}",
                f"{plan.utilization:.3f}",
                plan.peak,
            ]
            came += [plan.scale_outs + plan.scale_ins]
            table.writerow([way, plan.arrived, *WAYS[way][2:], *figures, *came, *how])
    print(path.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
