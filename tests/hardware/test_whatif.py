"""Changed chips: no change changes nothing, more never hurts, and a grid holds what single changes give."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import CapacityError, SettingError, UnknownNameError
from modelwright.hardware import estimate, platform, set_values
from modelwright.hardware.catalogue import numbers
from modelwright.hardware.whatif import Setting, sweep, variants
from modelwright.records import Operator, Product, Tensor, Workload, from_json, to_json
from modelwright.records.sweep import Sweep

CHIPS = ("tpu-v4i", "tpu-v3", "h200", "x86")
SETTING = Setting(batch=64)


@pytest.fixture(scope="module")
def work() -> Workload:
    """Two matrix products with an activation between them."""
    tensors = (
        Tensor((2, 512), "float32", "input", strides=(512, 1)),
        Tensor((512, 512), "float32", "weight", batched=False, strides=(512, 1)),
        Tensor((2, 512), "float32", strides=(512, 1)),
        Tensor((2, 512), "float32", strides=(512, 1)),
        Tensor((2, 512), "float32", strides=(512, 1)),
    )
    product = (Product(1, 2, 512, 512),)
    operators = (
        Operator("first/linear", "product", "linear", "first", (0, 1), (2,), product),
        Operator("act/gelu", "activation", "gelu", "act", (2,), (3,)),
        Operator("second/linear", "product", "linear", "second", (3, 1), (4,), product),
    )
    return Workload("twice", 2, tensors, operators, (4,), 512 * 512)


@pytest.mark.parametrize("name", CHIPS)
def test_one_times_a_number_changes_nothing(work: Workload, name: str) -> None:
    chip = platform(name)
    plain = estimate(work, chip, batch=64)
    found = sweep(work, chip, SETTING, changes=dict.fromkeys(numbers(chip), "1x"))
    assert found.variants[0].latency_s == found.baseline.latency_s == plain.latency_s
    assert found.variants[0].bound_s == plain.bound_s
    assert found.variants[0].speedup == 1.0


@pytest.mark.parametrize("name", CHIPS)
@given(factor=st.floats(min_value=0.01, max_value=1.0), batch=st.integers(1, 512))
def test_more_bandwidth_never_slows(work: Workload, name: str, factor: float, batch: int) -> None:
    chip = platform(name)
    knobs = {f"{chip.main_memory.name}.bandwidth": [f"{factor / 2}x", f"{factor}x"]}
    half, whole = sweep(work, chip, Setting(batch), knobs=knobs).variants
    assert half.latency_s >= whole.latency_s * (1 - 1e-12)


@pytest.mark.parametrize("name", CHIPS)
def test_faster_units_never_slow(work: Workload, name: str) -> None:
    chip = platform(name)
    keys = [key for key in numbers(chip) if ".peak." in key or key in ("vector.special", "vector.loads")]
    for key in keys:
        slow, fast = sweep(work, chip, SETTING, knobs={key: ["1x", "2x"]}).variants
        assert fast.latency_s <= slow.latency_s * (1 + 1e-12), key


def test_a_grid_holds_what_single_changes_give(work: Workload) -> None:
    chip = platform("tpu-v4i")
    knobs = {"hbm.bandwidth": ["0.5x", "1x", "2x"], "matrix.peak.bf16": ["1x", "3x"]}
    found = sweep(work, chip, SETTING, knobs=knobs)
    assert len(found.variants) == 6
    assert found.at("1x", "1x").latency_s == estimate(work, chip, batch=64).latency_s
    for first in knobs["hbm.bandwidth"]:
        for second in knobs["matrix.peak.bf16"]:
            changes = {"hbm.bandwidth": first, "matrix.peak.bf16": second}
            alone = estimate(work, set_values(chip, changes), batch=64)
            cell = found.at(first, second)
            assert (cell.changes, cell.latency_s) == (changes, alone.latency_s)
            assert cell.speedup == pytest.approx(found.baseline.latency_s / alone.latency_s)


def test_shared_changes_hold_for_every_variant(work: Workload) -> None:
    chip = platform("tpu-v4i")
    both = sweep(work, chip, SETTING, knobs={"hbm.bandwidth": ["2x"]}, changes={"matrix.peak.bf16": "2x"})
    one = sweep(work, set_values(chip, {"matrix.peak.bf16": "2x"}), SETTING, knobs={"hbm.bandwidth": ["2x"]})
    assert both.variants[0].latency_s == one.variants[0].latency_s
    assert both.baseline.latency_s == estimate(work, chip, batch=64).latency_s, "the baseline is the chip as it is"


def test_values_are_the_numbers_after_the_change(work: Workload) -> None:
    found = sweep(work, platform("h200"), SETTING, knobs={"hbm.bandwidth": ["2.4TB/s", "-50%"]})
    assert [variant.values["hbm.bandwidth"] for variant in found.variants] == [2.4e12, pytest.approx(2.4e12)]
    assert math.isclose(found.variants[0].latency_s, found.variants[1].latency_s)


def test_a_sweep_survives_being_written_down(work: Workload) -> None:
    found = sweep(work, platform("tpu-v4i"), SETTING, knobs={"hbm.bandwidth": ["1x", "2x"]})
    assert from_json(to_json(found), Sweep) == found


@pytest.mark.parametrize(
    ("knobs", "changes", "error"),
    [
        ({"hbm.bandwith": ["1x"]}, {}, UnknownNameError),
        ({"hbm.bandwidth": ["fast"]}, {}, SettingError),
        ({"hbm.bandwidth": []}, {}, SettingError),
        ({"hbm.bandwidth": ["1x", "1x"]}, {}, SettingError),
        ({"hbm.bandwidth": ["1x"]}, {"hbm.bandwidth": "2x"}, SettingError),
        ({"hbm.bandwidth": ["1x"], "l2.bandwidth": ["1x"], "matrix.units": ["1x"]}, {}, SettingError),
        ({"hbm.bandwidth": ["1x", "100x"]}, {}, SettingError),
    ],
)
def test_what_makes_no_platform_is_refused(knobs: dict, changes: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        variants(platform("h200"), knobs, changes)


def test_a_chip_too_small_for_the_work_is_refused(work: Workload) -> None:
    with pytest.raises(CapacityError):
        sweep(work, platform("tpu-v4i"), Setting(batch=1_000_000), changes={"hbm.capacity": "0.1x"})
