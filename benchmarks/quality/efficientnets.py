"""EfficientNet against EfficientNet-X on the accelerators of its authors, as the performance model sees them.

    python benchmarks/quality/efficientnets.py [--cache FOLDER]

Every member B0-B7 at batch 128: on TPUs in bf16 as XLA runs it, on a V100 in fp16 in the four ways of running. Writes
benchmarks/results/efficientnets.csv (a row an estimate) and efficientnets-speedups.csv (a row a comparison, beside what
the authors report: Li et al., CVPR 2021, arXiv 2102.05610, and their announcement).
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from modelwright.hardware import estimate, platform
from modelwright.networks.workloads import workload
from modelwright.records import Estimate, Execution, Policy

FAMILIES = {
    "EfficientNet": "efficientnet-b{}",
    "X, single-objective": "efficientnet-x-b{}",
    "X, scaled for TPU": "efficientnet-x-b{}-tpu",
    "X, scaled for GPU": "efficientnet-x-b{}-gpu",
}
SETTINGS: tuple[tuple[str, Policy, Execution], ...] = (
    ("tpu-v2", "bf16", "engine"),
    ("tpu-v3", "bf16", "engine"),
    ("tpu-v4i", "bf16", "engine"),
    ("v100-sxm", "fp16", "engine"),
    ("v100-sxm", "fp16", "graph"),
    ("v100-sxm", "fp16", "eager"),
    ("h200", "bf16", "engine"),
    ("h200", "bf16", "compiled"),
)
BATCH = 128
AUTHORS = {"tpu-v3": 1.5, "v100-sxm": 2.0}


def estimates(cache: Path | None) -> Iterator[tuple[str, int, Estimate]]:
    """Every family's members on every platform."""
    for family, pattern in FAMILIES.items():
        for member in range(8):
            work = workload(pattern.format(member), cache=cache)
            for name, precision, execution in SETTINGS:
                cost = estimate(
                    work, platform(name), batch=BATCH, precision=precision, execution=execution, strict=False
                )
                yield family, member, cost


def speedups(rows: Sequence[tuple[str, int, Estimate]]) -> Iterator[dict[str, object]]:
    """Mean and geometric mean of EfficientNet's latency over each X family's, and of TPU v2's over v4i's."""
    latency = {(family, cost.platform, cost.execution, member): cost.latency_s for family, member, cost in rows}
    flops = {(family, member): cost.flops for family, member, cost in rows}
    for name, _, execution in SETTINGS:
        for family in list(FAMILIES)[1:]:
            ratios = [
                latency["EfficientNet", name, execution, b] / latency[family, name, execution, b] for b in range(8)
            ]
            work = [flops[family, b] / flops["EfficientNet", b] for b in range(8)]
            yield _row(f"EfficientNet -> {family}", name, execution, ratios, work, AUTHORS.get(name))
    for family, said in (("EfficientNet", 1.3), ("X, single-objective", 2.6), ("X, scaled for TPU", 2.6)):
        ratios = [latency[family, "tpu-v2", "engine", b] / latency[family, "tpu-v4i", "engine", b] for b in range(8)]
        yield _row(f"TPU v2 -> v4i, {family}", "tpu-v4i", "engine", ratios, [1.0] * 8, said)


def _row(
    what: str, name: str, execution: str, ratios: Sequence[float], work: Sequence[float], said: float | None
) -> dict[str, object]:
    return {
        "comparison": what,
        "platform": name,
        "execution": execution,
        "mean": round(float(np.mean(ratios)), 3),
        "geometric_mean": round(float(np.exp(np.mean(np.log(ratios)))), 3),
        **{f"b{b}": round(ratio, 3) for b, ratio in enumerate(ratios)},
        "flops_ratio": round(float(np.mean(work)), 3),
        "authors": said if said is not None else "",
    }


def main() -> None:
    """Estimate all, write both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("build/workloads"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results")
    arguments = parser.parse_args()
    rows = list(estimates(arguments.cache))
    table = [
        {
            "family": family,
            "member": f"b{member}",
            "architecture": cost.architecture,
            "platform": cost.platform,
            "batch": cost.batch,
            "precision": cost.precision,
            "execution": cost.execution,
            "latency_ms": round(cost.latency_s * 1e3, 4),
            "params": cost.params,
            "gflops": round(cost.flops / 1e9, 3),
            "gbytes": round(cost.bytes / 1e9, 4),
            "intensity": round(cost.intensity, 2),
            "efficiency": round(cost.efficiency, 4),
            "bound": cost.bound,
        }
        for family, member, cost in rows
    ]
    compared = list(speedups(rows))
    for name, lines in (("efficientnets.csv", table), ("efficientnets-speedups.csv", compared)):
        with (arguments.output / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    for line in compared:
        print("  ".join(f"{key}={value}" for key, value in line.items()))


if __name__ == "__main__":
    main()
