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
from typing import NamedTuple

import numpy as np

from modelwright.hardware import estimate, platform, set_values
from modelwright.networks.workloads import workload
from modelwright.records import Estimate, Execution, Policy

FAMILIES = {
    "EfficientNet": "efficientnet-b{}",
    "X, single-objective": "efficientnet-x-b{}",
    "X, scaled for TPU": "efficientnet-x-b{}-tpu",
    "X, scaled for GPU": "efficientnet-x-b{}-gpu",
}


class Setting(NamedTuple):
    """A platform and how it runs; `changes` are assumptions of the model taken differently, `note` says which."""

    platform: str
    precision: Policy
    execution: Execution
    batch: int = 128
    changes: tuple[tuple[str, str], ...] = ()
    note: str = ""


OLD_KERNELS = (
    "depthwise kernels of 2019 (PyTorch issue 18631: about 370 instructions a 3x3 output on the card named there)"
)
SETTINGS = (
    Setting("tpu-v2", "bf16", "engine"),
    Setting("tpu-v3", "bf16", "engine"),
    Setting("tpu-v4i", "bf16", "engine"),
    Setting("v100-sxm", "fp16", "engine"),
    Setting("v100-sxm", "fp16", "graph"),
    Setting("v100-sxm", "fp16", "eager"),
    Setting("h200", "bf16", "engine"),
    Setting("h200", "bf16", "compiled"),
    Setting("tpu-v3", "bf16", "engine", 128, (("vector.tap", "2x"),), "a depthwise tap takes twice the instructions"),
    Setting("v100-sxm", "fp16", "graph", 128, (("vector.output", "315"),), OLD_KERNELS),
    Setting("tpu-v2", "bf16", "engine", 16),
    Setting("tpu-v4i", "bf16", "engine", 16),
)
AUTHORS = {"tpu-v3": 1.5, "v100-sxm": 2.0}
Rows = dict[tuple[str, Setting, int], Estimate]


def estimates(cache: Path | None) -> Rows:
    """Every family's members in every setting."""
    found: Rows = {}
    for family, pattern in FAMILIES.items():
        for member in range(8):
            work = workload(pattern.format(member), cache=cache)
            for setting in SETTINGS:
                found[family, setting, member] = estimate(
                    work,
                    set_values(platform(setting.platform), dict(setting.changes)),
                    batch=setting.batch,
                    precision=setting.precision,
                    execution=setting.execution,
                    strict=False,
                )
    return found


def speedups(rows: Rows) -> Iterator[dict[str, object]]:
    """Mean and geometric mean of EfficientNet's latency over each X family's, and of TPU v2's over v4i's."""
    for setting in SETTINGS:
        for family in list(FAMILIES)[1:]:
            pairs = [(rows["EfficientNet", setting, b], rows[family, setting, b]) for b in range(8)]
            ratios = [before.latency_s / after.latency_s for before, after in pairs]
            work = [after.flops / before.flops for before, after in pairs]
            yield _row(f"EfficientNet -> {family}", setting, ratios, work, AUTHORS.get(setting.platform))
    for batch in (128, 16):
        old, new = Setting("tpu-v2", "bf16", "engine", batch), Setting("tpu-v4i", "bf16", "engine", batch)
        for family, said in (("EfficientNet", 1.3), ("X, single-objective", 2.6), ("X, scaled for TPU", 2.6)):
            ratios = [rows[family, old, b].latency_s / rows[family, new, b].latency_s for b in range(8)]
            yield _row(f"TPU v2 -> v4i, {family}", new, ratios, [1.0] * 8, said)


def _row(
    what: str, setting: Setting, ratios: Sequence[float], work: Sequence[float], said: float | None
) -> dict[str, object]:
    return {
        "comparison": what,
        "platform": setting.platform,
        "execution": setting.execution,
        "batch": setting.batch,
        "mean": round(float(np.mean(ratios)), 3),
        "geometric_mean": round(float(np.exp(np.mean(np.log(ratios)))), 3),
        **{f"b{b}": round(ratio, 3) for b, ratio in enumerate(ratios)},
        "flops_ratio": round(float(np.mean(work)), 3),
        "authors": said if said is not None else "",
        "note": setting.note,
    }


def main() -> None:
    """Estimate all, write both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("build/workloads"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results")
    arguments = parser.parse_args()
    rows = estimates(arguments.cache)
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
        for (family, setting, member), cost in rows.items()
        if not setting.changes
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
