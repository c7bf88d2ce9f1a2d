"""Latency-aware compound scaling of EfficientNet-X beside its authors' coefficients (LACS, arXiv 2102.05610).

    python benchmarks/quality/scaling.py

On TPU v3 and V100 at batch 128, targets are what the authors' own members for that accelerator take by the performance
model. Accuracy is the law's, which is fitted to EfficientNet's published accuracies and to nothing else; latency is the
model's. Nothing here is chosen by how near the coefficients come. Writes to benchmarks/results: scaling.csv (a row a
member), scaling-growth.csv (a row a family: exponents of growth), scaling-laws.csv (a row a form of law) and
scaling-checks.csv (accuracies that no fit has seen).
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from modelwright.hardware import platform
from modelwright.records import Family, Observation, ScaledMember
from modelwright.records.costs import Numbers
from modelwright.search.scale.base import BASES, real
from modelwright.search.scale.family import Asked, describe, growth, scale
from modelwright.search.scale.lacs import Machine
from modelwright.search.scale.law import FittedLaw, ScalingLaw
from modelwright.search.scale.observations import published
from modelwright.search.scale.rules import work

BASE = BASES["efficientnet-x"]
TARGETS = {"tpu-v3": "LACS for TPU", "v100-sxm": "LACS for GPU"}
BATCH = 128

CHECKS = (
    ("B0 -> B1, recipe ra4", (1.0, 1.0, 224), 0.78568, (1.1, 1.0, 240), 0.80404),
    ("B5 -> B7, RandAugment", (2.2, 1.6, 456), 0.83834, (3.1, 2.0, 600), 0.84926),
    ("B7 -> B8, RandAugment", (3.1, 2.0, 600), 0.84926, (3.6, 2.2, 672), 0.85344),
    ("B4 -> B5, no augmentation", (1.8, 1.4, 380), 0.82598, (2.2, 1.6, 456), 0.83170),
)
"""Pairs of one recipe each, as timm's results-imagenet.csv measured them (efficientnet_b*.ra4_e3600_r*_in1k,
tf_efficientnet_b*.ra_in1k, tf_efficientnet_b*.in1k): (depth, width, image) and top-1 of both."""

Row = dict[str, object]


def families(law: FittedLaw) -> Iterator[tuple[str, Family, list[ScaledMember]]]:
    """On each platform: the family searched, and the authors' for it."""
    for name, rule in TARGETS.items():
        machine = Machine(platform(name), BATCH)
        asked = [Asked(size, one.depth, one.width, one.resolution) for size, one in BASE.published[rule].items()]
        theirs = describe(BASE, law, machine, asked)
        yield rule, scale(BASE, law, [one.estimated_s for one in theirs], machine), theirs


def member_rows(rule: str, found: Family, theirs: Sequence[ScaledMember], law: FittedLaw) -> Iterator[Row]:
    """The searched member beside the authors' and the compound rule's at one latency."""
    ours = {one.target_s: one for one in found.members}
    compound = found.references[0].members
    for size, their in zip(BASE.published[rule], theirs, strict=True):
        our = ours.get(their.estimated_s, found.start)
        at_most = [one for one in compound if one.estimated_s <= our.estimated_s]
        yield {
            "platform": found.platform,
            "member": size,
            "target_ms": round(1e3 * their.estimated_s, 3),
            "latency_ms": round(1e3 * our.estimated_s, 3),
            **_coefficients("", our),
            **_coefficients("authors_", their),
            "accuracy": round(our.accuracy, 5),
            "deviation": round(our.deviation or 0.0, 5),
            "authors_accuracy": round(their.accuracy, 5),
            "authors_deviation": round(their.deviation or 0.0, 5),
            "compound_accuracy": round(max((one.accuracy for one in at_most), default=their.accuracy), 5),
            "gain_deviation": round(law.gain(our.real, their.real)[1], 5),
            "params": our.params,
            "authors_params": their.params,
            "work": round(work(our.real.depth, our.real.width, our.real.resolution), 2),
            "authors_asked_work": round(work(their.asked.depth, their.asked.width, their.asked.resolution), 2),
        }


def _coefficients(prefix: str, one: ScaledMember) -> Row:
    return {
        f"{prefix}depth": one.asked.depth,
        f"{prefix}width": one.asked.width,
        f"{prefix}image": one.architecture.input[1],
        f"{prefix}real_depth": round(one.real.depth, 3),
        f"{prefix}real_width": round(one.real.width, 3),
    }


def growth_rows(rule: str, found: Family, theirs: Sequence[ScaledMember], other: Family) -> Iterator[Row]:
    """Exponents by which real coefficients grow with latency."""
    single = next(one for one in found.references if one.name == "single-objective")
    grown = {
        "searched": found.growth,
        "searched under a sum of powers": other.growth,
        f"authors, {rule}": growth(theirs[0], theirs[1:]),
        "authors, single-objective": growth(single.members[0], single.members[1:]),
    }
    for name, exponents in grown.items():
        rounded = {key: round(value, 3) for key, value in (exponents or {}).items()}
        yield {"platform": found.platform, "family": name, **rounded}


def sum_of_powers(observations: Sequence[Observation]) -> Callable[[Numbers, Numbers, Numbers], Numbers]:
    """A law by which coefficients add up instead of helping one another: error = floor + the sum of three a x^-q."""
    numbers = _fit(_sum, _data(observations), _SUM)
    return lambda *scale: 1.0 - _sum(numbers, np.stack(np.broadcast_arrays(*scale), axis=-1))


def law_rows(observations: Sequence[Observation]) -> Iterator[Row]:
    """How well forms of law fit the same observations."""
    for name, seen in (("this law", observations), ("this law, of multipliers before rounding", published())):
        yield {"law": name, "numbers": 6, "residual": round(ScalingLaw().fit(seen).law.residual, 5)}
    data = _data(observations)
    for name, form, start in (("a sum of three powers", _sum, _SUM), ("a product of three powers", _product, _PRODUCT)):
        misses = form(_fit(form, data, start), data[:, :3]) - data[:, 3]
        yield {"law": name, "numbers": len(start), "residual": round(float(np.sqrt(np.mean(misses**2))), 5)}


def check_rows(law: FittedLaw) -> Iterator[Row]:
    """Gains that were measured by others, of networks trained by one recipe, beside the law's."""
    base = BASES["efficientnet"]
    for name, before, then, after, now in CHECKS:
        ends = [base.real(base.make(*scale)) for scale in (after, before)]
        told, deviation = law.gain(*ends)
        yield {"pair": name, "measured": round(now - then, 5), "law": round(told, 5), "deviation": round(deviation, 5)}


_SUM = [0.1, 0.04, 0.04, 0.04, 1.0, 1.0, 1.0]
_PRODUCT = [0.1, 0.1, 0.4, 0.4, 0.4]


def _sum(numbers: Numbers, scales: Numbers) -> Numbers:
    return numbers[0] + (numbers[1:4] * scales ** -numbers[4:7]).sum(axis=-1)


def _product(numbers: Numbers, scales: Numbers) -> Numbers:
    return numbers[0] + numbers[1] * np.prod(scales ** -numbers[2:5], axis=-1)


def _data(observations: Sequence[Observation]) -> Numbers:
    return np.array([(one.depth, one.width, one.resolution, 1 - one.accuracy) for one in observations])


def _fit(form: Callable[[Numbers, Numbers], Numbers], data: Numbers, start: Sequence[float]) -> Numbers:
    most = [0.98 * data[:, 3].min(), *[20.0] * (len(start) - 1)]

    def misses(numbers: Numbers) -> Numbers:
        return 100 * (form(numbers, data[:, :3]) - data[:, 3])

    return least_squares(misses, start, bounds=([0.0] * len(start), most), max_nfev=3000).x


def main() -> None:
    """Search, compare, write the four tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results")
    arguments = parser.parse_args()
    seen = real(published(), BASES["efficientnet"])
    law = ScalingLaw().fit(seen)
    tables: dict[str, list[Row]] = {"scaling": [], "scaling-growth": []}
    for rule, found, theirs in families(law):
        tables["scaling"] += member_rows(rule, found, theirs, law)
        machine = Machine(platform(found.platform), BATCH)
        other = scale(BASE, sum_of_powers(seen), [one.estimated_s for one in theirs], machine)
        tables["scaling-growth"] += growth_rows(rule, found, theirs, other)
    tables["scaling-laws"], tables["scaling-checks"] = list(law_rows(seen)), list(check_rows(law))
    for name, rows in tables.items():
        with (arguments.output / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        for row in rows:
            print("  ".join(f"{key}={value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
