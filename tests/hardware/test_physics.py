"""What units, tiles and the host's pace make of work: published rates, padding, and that faster parts never hurt."""

import math
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.hardware import estimate, platform, platform_names, set_values
from modelwright.hardware.catalogue import numbers
from modelwright.hardware.kernels import Kernel, Plan
from modelwright.hardware.model import schedule
from modelwright.hardware.physics import Seconds
from modelwright.hardware.table import concatenate, tabulate
from modelwright.records import Estimate, Execution, Launch, Operator, Platform, Product, Tensor, Window, Workload

NAMES = platform_names()
TPUS = [name for name in NAMES if platform(name).kind == "tpu"]


def matmul(m: int, n: int, k: int, count: int = 1) -> Workload:
    tensors = (
        Tensor((count, m, k), "float32", "input"),
        Tensor((count, k, n), "float32", "weight", batched=False),
        Tensor((count, m, n), "float32"),
    )
    product = Operator("mm", "product", "matmul", "", (0, 1), (2,), (Product(count, m, n, k),))
    return Workload("product", 1, tensors, (product,), (2,), count * k * n)


def convolution(channels: int, size: int, *, inputs: int = 0, groups: int = 1, taps: int = 3) -> Workload:
    """Of a square image onto `channels` channels, from as many or from `inputs`."""
    inputs = inputs or channels
    tensors = (
        Tensor((1, inputs, size, size), "float32", "input"),
        Tensor((channels, inputs // groups, taps, taps), "float32", "weight", batched=False),
        Tensor((1, channels, size, size), "float32"),
    )
    product = Product(groups, size * size, channels // groups, inputs // groups * taps * taps)
    window = Window((taps, taps), (1, 1), (1, 1), groups)
    operator = Operator("conv", "convolution", "conv2d", "", (0, 1), (2,), (product,), window)
    return Workload("convolution", 1, tensors, (operator,), (2,), channels * inputs // groups * taps * taps)


def pointwise(kinds: list[tuple[str, str]], size: int) -> Workload:
    tensors = [Tensor((1, size), "float32", "input"), *(Tensor((1, size), "float32") for _ in kinds)]
    operators = [
        Operator(f"{target}#{i}", kind, target, "", (i,), (i + 1,))  # type: ignore[arg-type]
        for i, (kind, target) in enumerate(kinds)
    ]
    return Workload("pointwise", 1, tuple(tensors), tuple(operators), (len(kinds),), 0)


def run(workload: Workload, device: str | Platform, precision: Any = None, **settings: Any) -> Estimate:
    chosen = platform(device) if isinstance(device, str) else device
    return estimate(workload, chosen, precision=precision, strict=False, **settings)


# --- rates that were published or measured ---


def test_an_h200_multiplies_large_matrices_as_fast_as_was_measured() -> None:
    """769 to 798 TFLOP/s on an 8192 cube of random bf16, and a tenth either way for the model."""
    found = run(matmul(8192, 8192, 8192), "h200", "bf16")
    assert 0.9 * 769e12 < found.flops / found.latency_s < 1.1 * 798e12


def test_an_h200_copies_as_fast_as_was_measured() -> None:
    found = run(pointwise([("copy", "clone")], 1 << 30), "h200", "fp32")
    assert found.bytes == 2 * 4 * (1 << 30)
    assert found.bytes / found.latency_s == pytest.approx(4.3e12, rel=0.05)
    assert found.bound == "hbm"


@pytest.mark.parametrize("name", NAMES)
def test_large_products_come_near_what_a_chip_is_known_to_reach_and_no_nearer(name: str) -> None:
    chip = platform(name)
    for precision, peak in chip.matrix.peak.items():
        found = run(matmul(16384, 16384, 16384), chip, precision)
        assert 0.85 < found.flops / found.latency_s / (peak * chip.matrix.achievable) < 1
        assert found.bound == "matrix"


@pytest.mark.parametrize("name", NAMES)
def test_long_streams_come_near_the_memory_bandwidth_and_no_nearer(name: str) -> None:
    kept = set_values(platform(name), {"launch.page": "0"})  # fresh pages are looked at in test_processor.py
    level = kept.main_memory
    found = run(pointwise([("elementwise", "mul")], 1 << 30), kept, "fp32")
    assert 0.95 < found.bytes / found.latency_s / (level.bandwidth * level.achievable) < 1
    assert found.bound == level.name


@pytest.mark.parametrize("name", NAMES)
def test_depthwise_convolutions_reach_a_small_share_of_the_matrix_peak(name: str) -> None:
    """Each value meets one output channel: nothing to multiply matrices with (Li et al., CVPR 2021, section 3)."""
    chip = platform(name)
    peak = max(chip.matrix.peak.values())
    depthwise, full = (run(convolution(256, 112, groups=groups), chip) for groups in (256, 1))
    assert next(k.kind for k in depthwise.kernels if k.flops) == "depthwise"
    assert depthwise.flops * 256 == full.flops
    share, dense = (found.flops / found.latency_s / peak for found in (depthwise, full))
    assert share < 0.1
    assert share < 0.2 * dense
    if chip.kind != "cpu":
        kernel = max(depthwise.kernels, key=lambda k: k.flops)
        assert kernel.matrix_s == 0
        assert kernel.vector_s > 0


# --- padding ---


@pytest.mark.parametrize("name", TPUS)
@settings(max_examples=10)
@given(st.integers(1, 4), st.data())
def test_a_systolic_array_takes_whole_widths(name: str, blocks: int, data: st.DataObject) -> None:
    """One column more than a multiple of its width costs as much as a whole width more, in columns as in depth."""
    chip = platform(name)
    width = chip.matrix.tiles[0][1]
    inside = data.draw(st.integers((blocks - 1) * width + 1, blocks * width))

    def seconds(n: int, k: int) -> float:
        return sum(kernel.matrix_s for kernel in run(matmul(8192, n, k), chip, "bf16").kernels)

    assert seconds(inside, 4096) == seconds(blocks * width, 4096)
    assert seconds(blocks * width + 1, 4096) == pytest.approx(seconds(blocks * width, 4096) * (blocks + 1) / blocks)
    assert seconds(4096, inside) == seconds(4096, blocks * width)


def test_where_nothing_else_binds_padding_is_what_it_costs() -> None:
    times = [run(matmul(65536, n, 8192), "tpu-v4", "bf16") for n in (129, 200, 256)]
    assert {found.bound for found in times} == {"matrix"}
    assert times[0].latency_s == times[1].latency_s == times[2].latency_s
    assert times[0].flops / times[0].latency_s == pytest.approx(times[2].flops / times[2].latency_s * 129 / 256)


@pytest.mark.parametrize("name", ["tpu-v4", "h200"])
def test_a_convolution_pads_its_input_channels_tap_by_tap(name: str) -> None:
    """Which is why a stem of three channels is cheaper after space-to-depth (Li et al., CVPR 2021, section 3.1)."""
    step = platform(name).matrix.channels
    three, padded = (
        sum(k.matrix_s for k in run(convolution(64, 112, inputs=inputs), name, "bf16").kernels) for inputs in (3, step)
    )
    assert three == padded


SIZES = st.integers(1, 3000)


@settings(max_examples=150)
@given(SIZES, SIZES, SIZES, st.integers(1, 40), st.integers(0, 700), st.sampled_from(NAMES))
def test_a_larger_product_never_takes_less_time(m: int, n: int, k: int, count: int, more: int, name: str) -> None:
    before = run(matmul(m, n, k, count), name).latency_s
    for larger in ((m + more, n, k, count), (m, n + more, k, count), (m, n, k, count + more)):
        assert run(matmul(*larger), name).latency_s >= before * (1 - 1e-12)


@settings(max_examples=50)
@given(SIZES, SIZES, SIZES, st.integers(0, 700), st.sampled_from(NAMES))
def test_a_deeper_product_never_takes_less_time_once_all_units_work(
    m: int, n: int, k: int, more: int, name: str
) -> None:
    """With units to spare it may: a deeper product is cut into more parts, which then run side by side."""
    count = platform(name).matrix.units
    before, after = (run(matmul(m, n, depth, count), name).latency_s for depth in (k, k + more))
    assert after >= before * (1 - 1e-12)


@settings(max_examples=60)
@given(SIZES, SIZES, SIZES, st.sampled_from(NAMES))
def test_a_product_costs_no_less_than_its_arithmetic_and_its_bytes(m: int, n: int, k: int, name: str) -> None:
    chip = platform(name)
    found = run(matmul(m, n, k), chip)
    peak = chip.matrix.peak.get(found.precision, chip.vector.peak["fp32"])  # type: ignore[call-overload]
    assert found.latency_s >= 2 * m * n * k / (peak * chip.matrix.achievable)
    assert found.latency_s >= found.bytes / (chip.main_memory.bandwidth * chip.main_memory.achievable)


def test_exponentials_wait_for_the_special_function_units() -> None:
    """On values that lie near: a product's epilogue, so to say; in main memory the bytes would decide."""
    vector = platform("t4").vector
    slow, plain = (run(pointwise([("activation", t)], 1 << 18), "t4", "fp16").kernels[0] for t in ("sigmoid", "relu"))
    assert slow.vector_s > plain.vector_s
    assert slow.vector_s >= (1 << 18) / vector.special


# --- faster parts never hurt ---

WORKLOADS = {
    "product": matmul(300, 700, 500, 3),
    "convolution": convolution(96, 40),
    "grouped": convolution(96, 40, groups=12),
    "depthwise": convolution(960, 14, groups=960, taps=5),
    "pointwise": pointwise([("activation", "silu"), ("norm", "layer_norm"), ("copy", "clone")] * 3, 300_000),
}
EXECUTIONS: tuple[Execution, ...] = get_args(Execution)
SMALLER_IS_FASTER = ("launch.", "vector.tap", "vector.output", "matrix.fill")
NEITHER = ("energy.", "matrix.units", "matrix.depth", "matrix.channels")


@settings(max_examples=250)
@given(
    st.sampled_from(NAMES), st.sampled_from(sorted(WORKLOADS)), st.sampled_from(EXECUTIONS),
    st.sampled_from([1, 7, 64]), st.data(),
)  # fmt: skip
def test_faster_parts_never_slow_a_network_down(
    name: str, work: str, execution: Execution, batch: int, data: st.DataObject
) -> None:
    chip = platform(name)
    keys = [key for key in numbers(chip) if not key.startswith(NEITHER)]
    changes = {}
    for key in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3, unique=True)):
        factor = data.draw(st.sampled_from([1.1, 1.5, 2.0, 5.0]))
        if key.endswith("achievable"):
            changes[key] = str(min(1.0, numbers(chip)[key] * factor))
        elif key == "matrix.fill":
            changes[key] = str(int(numbers(chip)[key] / factor))
        else:
            changes[key] = f"{1 / factor if key.startswith(SMALLER_IS_FASTER) else factor}x"
    try:
        faster = set_values(chip, changes)
    except SettingError:
        assume(False)  # a far level may not become larger or faster than a nearer one
    before, after = (run(WORKLOADS[work], p, batch=batch, execution=execution).latency_s for p in (chip, faster))
    assert after <= before * (1 + 1e-9), changes


# --- the host and the device ---

TIMES = st.floats(0, 1e-3, allow_subnormal=False)
NETWORK = st.lists(st.tuples(TIMES, st.integers(0, 3)), min_size=1, max_size=12)


def simulate(kernels: list[tuple[float, int]], launch: Launch, pace: float, program: float, *, alone: bool) -> float:
    """When the last kernel ends: the host hands kernels out, the device runs them in order."""
    issued = ended = program
    for work, calls in kernels:
        issued = (ended if alone else issued) + calls * pace
        ended = max(ended, issued) + work + launch.kernel
    return ended


@settings(max_examples=150)
@given(
    st.lists(NETWORK, min_size=1, max_size=4), TIMES, TIMES, TIMES, st.sampled_from(["h200", "tpu-v4", "cpu"]),
    st.sampled_from(["eager", "graph"]),
)  # fmt: skip
def test_the_schedule_is_what_a_host_and_a_device_would_do(
    networks: list[list[tuple[float, int]]], pace: float, kernel: float, program: float, name: str, execution: Execution
) -> None:
    """Networks side by side as well as alone, and every kernel's share at least what it computes."""
    launch = Launch(eager=pace, compiled=pace, graph=pace, kernel=kernel, program=program)
    chip = msgspec.structs.replace(platform(name), launch=launch)
    kernels = [tuple(Kernel("", "", "", (), "", host=float(calls)) for _, calls in one) for one in networks]
    table = concatenate([tabulate(Plan(one, frozenset(), frozenset())) for one in kernels])
    work = np.array([work for one in networks for work, _ in one])
    nothing = np.zeros_like(work)
    timeline = schedule(table, Seconds(nothing, work, np.vstack([nothing, nothing]), nothing), chip, execution)
    begin = 0
    for one in networks:
        share = timeline.latency[begin : begin + len(one)]
        once = program if execution == "graph" else 0.0
        expected = simulate(one, launch, pace, once, alone=chip.kind == "cpu")
        assert math.isclose(share.sum(), expected, rel_tol=1e-9, abs_tol=1e-12)
        assert (share >= work[begin : begin + len(one)] - 1e-12).all()
        begin += len(one)
