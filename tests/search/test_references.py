"""References are EfficientNets of the sizes whose latency is nearest to the family's."""

import msgspec
import numpy as np
import pytest

from modelwright.hardware import platform
from modelwright.records import Plan
from modelwright.search.costs import Costs
from modelwright.search.references import BEYOND, references
from modelwright.training import Data, dataset


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset("digits")


@pytest.fixture
def costs(plan: Plan) -> Costs:
    return Costs(msgspec.structs.replace(plan, batch=8), platform("tpu-v4i"))


def latency(costs: Costs, networks: list[object]) -> np.ndarray:
    return np.array([row["latency_s"] for row in costs.of(networks)])  # type: ignore[arg-type]


def test_both_families_take_images_and_classes_of_the_data(costs: Costs, digits: Data) -> None:
    found = references(costs, digits, [2e-4, 4e-4])
    assert len({network.name for network in found}) == len(found)
    assert {network.name.startswith("efficientnet-x-") for network in found} == {True, False}
    for network in found:
        assert network.input[0] == digits.shape[0]
        assert network.classes == len(digits.classes)


def test_within_a_family_the_slower_is_the_larger(costs: Costs, digits: Data) -> None:
    found = references(costs, digits, [1e-4, 1e-3])
    for x in (True, False):
        family = [network for network in found if network.name.startswith("efficientnet-x-") == x]
        rows = costs.of(family)
        assert len(family) >= 2
        for metric in ("latency_s", "params"):
            assert [row[metric] for row in rows] == sorted(row[metric] for row in rows)


def test_a_size_that_a_member_takes_as_long_as_is_among_them(costs: Costs, digits: Data) -> None:
    """Nothing is nearer to a latency than the network that has it."""
    for network in references(costs, digits, [1.5e-4, 6e-4]):
        (seconds,) = latency(costs, [network])
        again = references(costs, digits, [seconds], count=1)
        assert network in again
        assert len(again) == 2


def test_they_reach_beyond_the_largest_member_where_the_families_do(costs: Costs, digits: Data) -> None:
    most = 3e-4
    found = latency(costs, references(costs, digits, [2e-4, most]))  # type: ignore[arg-type]
    assert found.max() == pytest.approx(BEYOND * most, rel=0.3)
