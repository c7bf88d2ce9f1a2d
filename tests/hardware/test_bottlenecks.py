"""Bottlenecks: they share the latency among themselves, and removing one saves what a faster chip would save."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.hardware.bottlenecks import bottlenecks, places
from modelwright.hardware.catalogue import platform, set_values
from modelwright.hardware.model import estimate
from modelwright.hardware.run import run_of
from modelwright.records import Execution, KernelEstimate, Operator, Platform, Product, Role, Tensor, Window, Workload

PLATFORMS = ("tpu-v3", "tpu-v4i", "h200", "v100", "x86")
EXECUTIONS: tuple[Execution, ...] = ("eager", "compiled", "graph", "engine")

settings_of_a_run = st.tuples(st.sampled_from(PLATFORMS), st.sampled_from(EXECUTIONS), st.sampled_from([1, 8, 128]))


def image(channels: int, side: int, role: Role = "activation") -> Tensor:
    return Tensor((2, channels, side, side), "float32", role, strides=(channels * side * side, side * side, side, 1))


def block(path: str, side: int, before: int, inner: int, first: int) -> tuple[list[Tensor], list[Operator]]:
    """A 1x1 convolution with swish, then a 5x5 depthwise convolution; its tensors stand at positions from `first`."""

    def weight(*shape: int) -> Tensor:
        return Tensor(shape, "float32", "weight", batched=False, strides=(1,) * len(shape))

    tensors = [
        weight(inner, before, 1, 1),
        image(inner, side),
        image(inner, side),
        weight(inner, 1, 5, 5),
        image(inner, side),
    ]
    rows = 2 * side * side
    dense, alone = Product(1, rows, inner, before), Product(inner, rows, 1, 25)
    one, five = Window((1, 1), (1, 1)), Window((5, 5), (1, 1), groups=inner)
    outer, middle = f"{path}.expand", f"{path}.spatial"
    places = (first - 1, first), (first + 2, first + 3)
    expand = Operator(f"{outer}/conv2d", "convolution", "conv2d", outer, places[0], (first + 1,), (dense,), one)
    swish = Operator(f"{outer}/silu", "activation", "silu", outer, (first + 1,), (first + 2,))
    depthwise = Operator(f"{middle}/conv2d", "convolution", "conv2d", middle, places[1], (first + 4,), (alone,), five)
    return tensors, [expand, swish, depthwise]


def network(blocks: int = 3, side: int = 28, channels: int = 24) -> Workload:
    """A stack of equal blocks."""
    tensors: list[Tensor] = [image(channels, side, "input")]
    operators: list[Operator] = []
    for number in range(blocks):
        held, runs = block(f"stages.0.{number}", side, channels, channels, len(tensors))
        tensors += held
        operators += runs
    parameters = sum(tensor.size for tensor in tensors if tensor.role == "weight")
    return Workload("stack", 2, tuple(tensors), tuple(operators), (len(tensors) - 1,), parameters)


NETWORK = network()


def with_fast_memory(name: str) -> Platform:
    """The platform with a main memory that is no bound."""
    machine = platform(name)
    *nearer, last = machine.memory
    return msgspec.structs.replace(machine, memory=(*nearer, msgspec.structs.replace(last, bandwidth=1e30)))


@settings(max_examples=30)
@given(settings_of_a_run)
def test_they_spend_the_latency_and_save_no_more_than_they_spend(setting: tuple[str, Execution, int]) -> None:
    name, execution, batch = setting
    found = estimate(NETWORK, platform(name), batch=batch, execution=execution)
    held = bottlenecks(NETWORK, platform(name), found)
    assert sum(bottleneck.spent_s for bottleneck in held) == pytest.approx(found.latency_s, rel=1e-9)
    assert all(0 <= bottleneck.saving_s <= bottleneck.spent_s <= found.latency_s for bottleneck in held)
    assert [b.saving_s for b in held] == sorted((b.saving_s for b in held), reverse=True)


@settings(max_examples=30)
@given(settings_of_a_run, st.data())
def test_removing_nothing_saves_nothing_and_removing_more_never_saves_less(
    setting: tuple[str, Execution, int], data: st.DataObject
) -> None:
    name, execution, batch = setting
    found = estimate(NETWORK, platform(name), batch=batch, execution=execution)
    run = run_of(NETWORK, platform(name), found)
    row = data.draw(st.integers(0, len(run.rows) - 1))
    some = data.draw(st.sets(st.integers(0, len(found.kernels) - 1)))
    more = some | data.draw(st.sets(st.integers(0, len(found.kernels) - 1)))
    taken = [run.without(np.array(sorted(chosen), dtype=np.int64), row) for chosen in (set(), some, more)]
    assert taken[0] == pytest.approx(found.latency_s, rel=1e-9)
    assert taken[0] + 1e-12 >= taken[1] >= taken[2] - 1e-12


@pytest.mark.parametrize("name", ["tpu-v3", "tpu-v4i", "x86"])
@pytest.mark.parametrize("batch", [1, 256])
def test_without_main_memory_a_run_lasts_as_on_a_chip_whose_memory_is_infinitely_fast(name: str, batch: int) -> None:
    """Where kernels wait for nothing but one another, the savings of one resource add up."""
    machine = platform(name)
    level = machine.main_memory.name
    found = estimate(NETWORK, machine, batch=batch)
    saved = sum(b.saving_s for b in bottlenecks(NETWORK, machine, found) if b.bound == level)
    fast = estimate(NETWORK, with_fast_memory(name), batch=batch)
    assert found.latency_s - saved == pytest.approx(fast.latency_s, rel=1e-9)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_without_launches_a_run_lasts_as_on_a_chip_that_starts_work_in_no_time(execution: Execution) -> None:
    machine = platform("h200")
    found = estimate(NETWORK, machine, batch=8, execution=execution)
    (starting,) = (b for b in bottlenecks(NETWORK, machine, found) if b.bound == "launch")
    instant = {f"launch.{key}": "0x" for key in ("eager", "compiled", "graph", "kernel", "program")}
    without = estimate(NETWORK, set_values(machine, instant), batch=8, execution=execution)
    assert found.latency_s - starting.saving_s == pytest.approx(without.latency_s, rel=1e-9)


def test_where_the_host_holds_the_device_up_faster_units_save_nothing() -> None:
    found = estimate(NETWORK, platform("h200"), batch=1, execution="eager")
    first, *others = bottlenecks(NETWORK, platform("h200"), found)
    assert (first.layer, first.bound) == ("", "launch")
    assert first.kernels == len(found.kernels) == 9
    assert sum(bottleneck.saving_s for bottleneck in others) < 0.05 * found.latency_s


def test_depthwise_convolutions_are_told_by_their_size_and_their_share_of_the_peak() -> None:
    machine = platform("tpu-v3")
    found = estimate(NETWORK, machine, batch=128)
    first = bottlenecks(NETWORK, machine, found)[0]
    kernel = next(kernel for kernel in found.kernels if kernel.kind == "depthwise")
    share = 100 * kernel.flops / kernel.vector_s / machine.matrix.peak["bf16"]
    assert (first.layer, first.bound, first.kernels) == ("stages.0.0-2.spatial", "vector", 3)
    assert first.why.startswith("5x5 depthwise convolution of 28x28x24 runs on the vector units at ")
    assert first.why.endswith(f"{share:.2g} % of the matrix units' peak")


def test_few_channels_are_told_by_how_much_of_the_matrix_units_they_fill() -> None:
    machine = with_fast_memory("tpu-v3")
    found = estimate(NETWORK, machine, batch=128)
    (thin,) = (b for b in bottlenecks(NETWORK, machine, found) if b.bound == "matrix")
    assert "1x1 convolution of 28x28x24 to 24 channels" in thin.why
    assert "24 input channels fill 24 of 128 rows of the matrix units (19 %)" in thin.why
    assert "24 output channels for 128 columns (19 %)" in thin.why


def test_traffic_is_told_by_its_intensity_and_the_ridge() -> None:
    machine = set_values(
        platform("tpu-v3"), {"vector.peak.fp32": "1000x", "vector.special": "1000x", "vector.loads": "1000x"}
    )
    found = estimate(NETWORK, machine, batch=128)
    moved = next(b for b in bottlenecks(NETWORK, machine, found) if b.bound == "hbm")
    ridge = machine.matrix.peak["bf16"] / machine.main_memory.bandwidth
    assert moved.why.endswith(f"FLOP a byte where the peak needs {ridge:.3g}")


def test_an_estimate_of_something_else_is_refused() -> None:
    found = estimate(network(2), platform("tpu-v3"), batch=8)
    with pytest.raises(SettingError, match="this workload"):
        bottlenecks(NETWORK, platform("tpu-v3"), found)
    with pytest.raises(SettingError, match="this platform"):
        bottlenecks(network(2), platform("tpu-v4i"), found)


def kernels(*rows: tuple[str, float]) -> list[KernelEstimate]:
    plain = KernelEstimate("", "", "product", (), 1.0, 1.0, 0.0, 0.0, {}, "matrix", 1.0, 0.0, 0.0, "bf16")
    return [msgspec.structs.replace(plain, layer=layer, flops=flops) for layer, flops in rows]


def test_equal_neighbours_share_a_place_and_others_do_not() -> None:
    rows = [("stem.conv", 9), ("h.0.mlp.up", 1), ("h.1.mlp.up", 1), ("h.2.mlp.up", 2), ("h.3.mlp.up", 1), ("head", 9)]
    assert places(kernels(*rows)) == ["stem.conv", "h.0-1.mlp", "h.0-1.mlp", "h.2.mlp", "h.3.mlp", "head"]
    assert places(kernels(("", 1), ("0.1", 1), ("0.2", 1))) == ["(whole)", "0.1-2", "0.1-2"]
