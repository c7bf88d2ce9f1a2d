"""Layers are kernels added up: nothing is lost, whatever the depth."""

import pytest

from modelwright.records import Estimate
from modelwright.report.layers import layers, legible_depth


@pytest.mark.parametrize("depth", [None, 1, 2, 3, 9])
def test_the_layers_hold_all_time_and_all_work(costs: list[Estimate], depth: int | None) -> None:
    for estimate in costs:
        found = layers(estimate, depth)
        assert sum(layer.latency_s for layer in found) == pytest.approx(estimate.latency_s)
        assert sum(layer.flops for layer in found) == pytest.approx(estimate.flops)
        assert sum(layer.bytes for layer in found) == pytest.approx(estimate.bytes)
        assert sum(layer.kernels for layer in found) == len(estimate.kernels)
        for layer in found:
            assert sum(layer.bound_s.values()) == pytest.approx(layer.latency_s)


def test_layers_stand_in_the_order_in_which_they_run(costs: list[Estimate]) -> None:
    assert [layer.path for layer in layers(costs[0], 2)] == ["stages.0", "stages.1", "stages.2", "head"]


def test_a_chart_of_layers_stays_legible(costs: list[Estimate]) -> None:
    depth = legible_depth(costs)
    assert all(len(layers(estimate, depth)) <= 60 for estimate in costs)
