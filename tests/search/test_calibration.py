"""A calibration scales the model by few measurements, learns its lean from many, and predicts what it has not seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.records import Architecture, ConvStem, MBConv, PoolHead, Stage
from modelwright.search.calibration import Calibration

DRAW = np.random.default_rng(0)
NETWORKS = [
    Architecture(f"network-{n}", (3, 32, 32), 10, ConvStem((16,)), (Stage(MBConv(16, 32, 16), repeats=n),), PoolHead())
    for n in range(1, 31)
]
ROWS = [
    {"latency_s": float(seconds), "params": float(params)}
    for seconds, params in zip(DRAW.lognormal(-7, 1, 30), DRAW.lognormal(11, 0.7, 30), strict=True)
]
ESTIMATED = np.array([row["latency_s"] for row in ROWS])


def fitted(places: slice, measured: np.ndarray) -> Calibration:
    return Calibration.fit(NETWORKS[places], ROWS[places], measured[places].tolist())


@given(st.floats(1e-3, 1e3), st.integers(2, 12))
def test_a_machine_that_is_so_many_times_slower_is_met_exactly(times: float, count: int) -> None:
    found = fitted(slice(count), times * ESTIMATED)
    assert found.latency_s(NETWORKS, ROWS) == pytest.approx(times * ESTIMATED, rel=1e-6)
    assert found.error == pytest.approx(0.0, abs=1e-6)


@given(st.floats(0.1, 10.0))
def test_units_do_not_matter(times: float) -> None:
    measured = ESTIMATED * np.exp(np.random.default_rng(1).normal(0, 0.3, 30))
    one, other = fitted(slice(12), measured), fitted(slice(12), times * measured)
    assert other.latency_s(NETWORKS, ROWS) == pytest.approx(times * one.latency_s(NETWORKS, ROWS), rel=1e-6)
    assert other.error == pytest.approx(one.error, rel=1e-6)


def test_a_lean_is_learned_from_many_and_predicts_others_better_than_a_scale_does() -> None:
    depth = np.array([network.depth for network in NETWORKS])
    measured = 3.0 * ESTIMATED**1.15 * depth**0.2 * np.exp(np.random.default_rng(2).normal(0, 0.02, 30))
    found, unseen = fitted(slice(20), measured), slice(20, 30)
    off = np.abs(found.latency_s(NETWORKS[unseen], ROWS[unseen]) / measured[unseen] - 1)
    scaled = np.exp(np.log(measured[:20] / ESTIMATED[:20]).mean()) * ESTIMATED[unseen]
    assert np.median(off) < 0.05
    assert np.median(off) < np.median(np.abs(scaled / measured[unseen] - 1)) / 2
    assert found.error < 0.05


def test_the_error_is_told_of_networks_that_were_left_out() -> None:
    measured = ESTIMATED * np.exp(np.random.default_rng(3).normal(0, 0.5, 30))
    found = fitted(slice(8), measured)
    inside = np.abs(found.latency_s(NETWORKS[:8], ROWS[:8]) / measured[:8] - 1)
    assert found.error > np.median(inside)


def test_one_measurement_is_too_few() -> None:
    with pytest.raises(SettingError, match="two measured networks"):
        fitted(slice(1), ESTIMATED)
