"""Costs of points: each computed once, as of the network that the point stands for, known only where they are free."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from modelwright.hardware import estimate, platform
from modelwright.networks.assemble import Pieces
from modelwright.records import Objective, Plan
from modelwright.search.calibration import Calibration
from modelwright.search.costs import METRICS, Costs
from modelwright.search.space import Product

ACCURACY = Objective("accuracy", None, "training")


def drawn(plan: Plan, count: int = 8) -> list[Any]:
    return Product(plan.space).sample(np.random.default_rng(0), count)


def test_they_are_the_performance_models_of_the_traced_network(plan: Plan) -> None:
    costs = Costs(msgspec.structs.replace(plan, batch=8, precision="bf16", execution="engine"), platform("tpu-v4i"))
    for point in drawn(plan, 3):
        (row,) = costs.values([point])
        found = estimate(Pieces().assemble(costs.architecture(point)), platform("tpu-v4i"), batch=8)
        for metric in METRICS:
            assert row[metric] == pytest.approx(getattr(found, metric), rel=1e-9), metric


def test_a_point_is_made_once_however_often_it_is_asked_for(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    costs, made = Costs(plan, platform("x86")), []
    architecture = costs.architecture
    monkeypatch.setattr(costs, "architecture", lambda point: made.append(point) or architecture(point))
    points = list({tuple(point.items()): point for point in drawn(plan)}.values())
    first = costs.values([*points, *points])
    assert costs.values(points) == first[: len(points)] == first[len(points) :]
    assert made == points


def test_only_what_costs_nothing_is_known(plan: Plan) -> None:
    objectives = (ACCURACY, Objective("latency_s", None, "measure"), Objective("params"), Objective("throughput_per_s"))
    costs = Costs(msgspec.structs.replace(plan, objectives=objectives), platform("x86"))
    points = drawn(plan)
    known = costs.known(points)
    assert np.isnan(known[:, :2]).all()
    for row, values in zip(known.tolist(), costs.values(points), strict=True):
        assert row[2:] == pytest.approx([math.log(values["params"]), -math.log(values["throughput_per_s"])])


def test_a_point_without_a_network_is_infinitely_dear_and_the_reason_is_counted(
    poisoned: Callable[..., Plan],
) -> None:
    costs = Costs(poisoned("good", "refused"), platform("x86"))
    rows = costs.values([{"kind": "good"}, {"kind": "refused"}])
    assert rows[0]["latency_s"] > 0
    assert rows[1] == {}
    assert np.isinf(costs.known([{"kind": "refused"}])[0, 1])
    assert costs.problems == {"ValueError: no network of this kind": 1}


def test_a_calibration_corrects_time_and_throughput_together_and_nothing_else(plan: Plan) -> None:
    plan = msgspec.structs.replace(plan, batch=16)
    model = Costs(plan, platform("x86"))
    networks = [model.architecture(point) for point in drawn(plan)]
    rows = model.raw(networks)
    corrected = Costs(
        plan, platform("x86"), {"fp32": Calibration.fit(networks, rows, [3 * row["latency_s"] for row in rows])}
    )
    for found, row in zip(corrected.of(networks), rows, strict=True):
        assert found["latency_s"] == pytest.approx(3 * row["latency_s"], rel=1e-6)
        assert found["latency_s"] * found["throughput_per_s"] == pytest.approx(16)
        others = set(row) - {"latency_s", "throughput_per_s"}
        assert {metric: found[metric] for metric in others} == {metric: row[metric] for metric in others}
    assert corrected.raw(networks) == rows


def test_what_a_platform_does_not_tell_is_missing_and_no_nan(plan: Plan) -> None:
    (row,) = Costs(plan, platform("tpu-v5e")).values(drawn(plan, 1))
    assert "energy_j" not in row
    assert all(math.isfinite(value) for value in row.values())
