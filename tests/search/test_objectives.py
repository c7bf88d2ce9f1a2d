"""Losses order values as people do, equal ratios of cost weigh alike, and a reward is MnasNet's."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.records import Objective
from modelwright.search.objectives import check, keeps, limits, loss, losses, rewards

COSTS = ("latency_s", "throughput_per_s", "peak_memory_bytes", "energy_j", "flops", "params")
SHARE = st.floats(0.0, 1.0)
AMOUNT = st.floats(1e-9, 1e12).map(lambda amount: float(f"{amount:.9g}"))  # logarithms tell these apart
ACCURACY = Objective("accuracy", None, "training")


@given(SHARE, SHARE)
def test_the_more_accurate_has_the_smaller_loss(one: float, other: float) -> None:
    assert (loss(ACCURACY, one) < loss(ACCURACY, other)) == (1 - one < 1 - other)


@given(st.sampled_from(COSTS), AMOUNT, st.floats(1.001, 1e3))
def test_equal_ratios_weigh_alike_and_only_throughput_should_be_large(metric: str, value: float, times: float) -> None:
    objective = Objective(metric)
    grown = loss(objective, value * times) - loss(objective, value)
    assert grown == pytest.approx((-1 if metric == "throughput_per_s" else 1) * math.log(times), abs=1e-9)


@given(AMOUNT, AMOUNT, st.integers(1, 512))
def test_throughput_orders_as_latency_does(one_s: float, other_s: float, batch: int) -> None:
    latency, throughput = Objective("latency_s"), Objective("throughput_per_s")
    by_latency = loss(latency, one_s) - loss(latency, other_s)
    assert loss(throughput, batch / one_s) - loss(throughput, batch / other_s) == pytest.approx(by_latency, abs=1e-9)


@given(st.lists(st.tuples(SHARE, AMOUNT, AMOUNT), min_size=1, max_size=6), AMOUNT, AMOUNT)
def test_limits_are_kept_where_losses_are_no_larger_than_theirs(
    values: list[tuple[float, float, float]], slowest: float, least: float
) -> None:
    objectives = (ACCURACY, Objective("latency_s", slowest), Objective("throughput_per_s", least))
    rows = [dict(zip(("accuracy", "latency_s", "throughput_per_s"), row, strict=True)) for row in values]
    most = limits(objectives)
    assert most is not None
    assert (losses(objectives, rows) <= most).all(axis=1).tolist() == [keeps(objectives, row) for row in rows]
    assert [row["latency_s"] <= slowest and row["throughput_per_s"] >= least for row in rows] == [
        keeps(objectives, row) for row in rows
    ]


def test_what_is_not_known_breaks_no_limit_and_has_no_loss() -> None:
    objectives = (ACCURACY, Objective("latency_s", 1e-3))
    assert keeps(objectives, {"accuracy": 0.5})
    assert np.isnan(losses(objectives, [{"accuracy": 0.5}])[0, 1])
    assert losses(objectives, []).shape == (0, 2)
    assert limits((ACCURACY, Objective("latency_s"))) is None


def test_twice_the_latency_is_worth_five_percent_of_accuracy_as_mnasnet_has_it() -> None:
    objectives = (ACCURACY, Objective("latency_s", target=0.08, weight=-0.07))
    rows = [{"accuracy": 0.7, "latency_s": 0.08}, {"accuracy": 0.7 * 1.05, "latency_s": 0.16}]
    found = rewards(objectives, rows)
    assert found is not None
    assert found[0] == pytest.approx(0.7)  # at the target, the reward is the accuracy
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    assert rewards((ACCURACY, Objective("latency_s")), rows) is None


@pytest.mark.parametrize(
    ("objectives", "told"),
    [
        ((), "accuracy, then one cost"),
        ((ACCURACY,), "accuracy, then one cost"),
        ((Objective("latency_s"), ACCURACY), "accuracy, then one cost"),
        ((ACCURACY, Objective("flops"), Objective("flops")), "each once"),
        ((ACCURACY, Objective("flops", limit=0.0)), "limit must be a number above zero"),
        ((ACCURACY, Objective("flops", limit=math.nan)), "limit must be a number above zero"),
        ((ACCURACY, Objective("flops", target=-1.0, weight=-0.1)), "target must be a number above zero"),
        ((ACCURACY, Objective("flops", weight=-0.1)), "a weight needs a target"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(objectives: Sequence[Objective], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        check(objectives)
