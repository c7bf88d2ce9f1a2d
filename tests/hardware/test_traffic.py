"""Bytes of main memory: nothing is moved for less than it must be, and what lies near is not fetched again."""

from collections import OrderedDict
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelwright.hardware import estimate, platform, platform_names, set_values
from modelwright.hardware.model import schedule
from modelwright.hardware.physics import seconds
from modelwright.hardware.plan import plan
from modelwright.hardware.precision import assign
from modelwright.hardware.table import concatenate, tabulate
from modelwright.networks.trace import trace
from modelwright.records import Estimate, Execution, Operator, Platform, Tensor, Workload
from modelwright.records.platform import MemoryLevel

EXECUTIONS: tuple[Execution, ...] = get_args(Execution)
NAMES = platform_names()


class Repeated(nn.Module):
    """The same pointwise operator, time and again."""

    def __init__(self, times: int, result: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.steps = nn.Sequential(*(result() for _ in range(times)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(x)


def traced(module: nn.Module, *shape: int) -> Workload:
    return trace(module.to("meta"), torch.empty(shape, device="meta"))


def run(workload: Workload, chip: str | Platform, execution: Execution = "eager", **more: Any) -> Estimate:
    chosen = platform(chip) if isinstance(chip, str) else chip
    return estimate(workload, chosen, execution=execution, strict=False, **more)


def keeping_nothing(name: str) -> Platform:
    """The chip, but every kernel must fetch what it reads."""
    chip = platform(name)
    return msgspec.structs.replace(
        chip, memory=tuple(msgspec.structs.replace(level, keeps=False) for level in chip.memory)
    )


# --- lower bounds ---


def given_and_got(workload: Workload, batch: int, precision: Any) -> float:
    widths = assign(workload, precision).widths
    ends = {i for i, tensor in enumerate(workload.tensors) if tensor.role == "input"} | set(workload.outputs)
    return sum(workload.tensors[i].size * widths[i] for i in ends) * batch / workload.batch


NETWORKS = {
    "convolutions": nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.SiLU(), nn.Conv2d(64, 8, 3)),
    "images to images": nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)),
}


@pytest.fixture(scope="module")
def workloads() -> dict[str, Workload]:
    return {name: traced(network, 2, 3, 64, 64) for name, network in NETWORKS.items()}


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_input_and_result_always_pass_through_main_memory(
    name: str, execution: Execution, workloads: dict[str, Workload]
) -> None:
    chip = platform(name)
    policies = [p for p in ("fp32", "fp16", "bf16", "int8") if p in {*chip.matrix.peak, *chip.vector.peak}]
    for workload in workloads.values():
        for policy in policies:
            found = run(workload, chip, execution, batch=3, precision=policy)
            assert found.bytes >= given_and_got(workload, 3, policy) * (1 - 1e-12)


def test_autocast_reads_the_input_as_wide_as_it_is_given(workloads: dict[str, Workload]) -> None:
    for execution in EXECUTIONS:
        found = run(workloads["images to images"], "h200", execution, precision="amp")
        assert found.bytes >= given_and_got(workloads["images to images"], 2, "amp")


def test_a_result_reaches_main_memory_even_if_another_operator_reads_it() -> None:
    class Pyramid(nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            y = x.relu()
            return [y, y.sigmoid()]

    workload = traced(Pyramid(), 2, 1000)
    assert run(workload, "h200", precision="fp32").bytes == 3 * 4 * 2000


def test_weights_that_fit_nowhere_near_are_read_once_a_run() -> None:
    """Two gigabytes of fp32; one sample, so that nothing else weighs."""
    width, layers = 8192, 8
    with torch.device("meta"):
        workload = traced(nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(layers))), 1, width)
    for name in NAMES:
        moved = run(workload, name, precision="fp32").bytes
        assert 1 <= moved / (4 * layers * width**2) < 1.001


def test_weights_that_fit_near_are_still_there_in_the_next_run() -> None:
    workload = traced(nn.Sequential(nn.Linear(256, 256, bias=False), nn.Linear(256, 256, bias=False)), 64, 256)
    assert run(workload, "h200", precision="fp32").bytes == 2 * 4 * 64 * 256, "input and result alone"
    assert run(workload, keeping_nothing("h200"), precision="fp32").bytes == 4 * (2 * 256**2 + 4 * 64 * 256)


# --- near and far ---


@pytest.mark.parametrize("name", ["h200", "t4", "tpu-v4", "cpu"])
def test_a_chain_moves_its_ends_where_it_fits_and_every_step_where_it_does_not(name: str) -> None:
    times = 6
    near = max(level.capacity for level in platform(name).memory[:-1] if level.keeps)
    small, large = (
        run(traced(Repeated(times), 1, elements), name, precision="fp32")
        for elements in (int(near / 64), int(near * 16))
    )
    assert small.bytes == pytest.approx(2 * 4 * int(near / 64))
    assert large.bytes == pytest.approx(2 * times * 4 * int(near * 16))


@pytest.mark.parametrize("name", ["tpu-v4", "tpu-v4i"])
def test_a_common_memory_saves_traffic_that_a_chip_without_it_has(name: str) -> None:
    """CMEM, 128 MiB beside the HBM: why a TPUv4i is ahead of its bandwidth (Jouppi et al., ISCA 2021)."""
    chip = platform(name)
    without = msgspec.structs.replace(chip, memory=tuple(level for level in chip.memory if level.name != "cmem"))
    workload = traced(nn.Sequential(*(nn.Conv2d(64, 64, 1) for _ in range(4))), 2, 64, 56, 56)
    with_it, lacking = (run(workload, p, "engine", batch=16, precision="bf16") for p in (chip, without))
    assert with_it.bytes < 0.5 * lacking.bytes
    assert with_it.latency_s < lacking.latency_s


@pytest.mark.parametrize("name", ["h200", "tpu-v4i"])
def test_more_capacity_never_moves_more(name: str, workloads: dict[str, Workload]) -> None:
    chip = platform(name)
    level = [level for level in chip.memory[:-1] if level.keeps][-1].name
    factors = ["0.2x", "0.5x", "1x", "1.5x", "3x", "10x"]
    moved = [
        run(workloads["convolutions"], set_values(chip, {f"{level}.capacity": factor}), batch=64).bytes
        for factor in factors
    ]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 1.5 * moved[-1]


@pytest.mark.parametrize("name", ["h200", "tpu-v3", "cpu"])
def test_where_nothing_stays_near_fusion_saves_what_it_does_not_write(name: str) -> None:
    chip = keeping_nothing(name)
    block = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    for workload in (traced(Repeated(5, nn.SiLU), 2, 4096), traced(block, 2, 32, 64)):
        moved = {execution: run(workload, chip, execution, precision="fp32").bytes for execution in EXECUTIONS}
        assert moved["engine"] <= moved["compiled"] == moved["graph"] < moved["eager"]
    chain = traced(Repeated(5), 2, 4096)
    assert run(chain, chip, "compiled", precision="fp32").bytes == 2 * 4 * 2 * 4096
    assert run(chain, chip, "eager", precision="fp32").bytes == 5 * 2 * 4 * 2 * 4096


def test_a_slice_is_read_as_far_as_it_reaches() -> None:
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, : x.shape[1] // 2].relu()

    assert run(traced(Half(), 2, 1000), "h200", precision="fp32").bytes == 2 * 4 * 1000


# --- against a cache that is played through ---

SIZES = st.sampled_from([16, 64, 256, 1024, 4096])
PARTS = 16


class Cache:
    """Least recently used, written back when evicted; tensors come in parts."""

    def __init__(self, capacity: float) -> None:
        self.capacity, self.moved = capacity, 0.0
        self.lines: OrderedDict[tuple[Any, int], tuple[float, bool]] = OrderedDict()

    def touch(self, tensor: Any, size: int, *, write: bool) -> None:
        for key in ((tensor, part) for part in range(PARTS)):
            old = self.lines.pop(key, None)
            self.moved += size / PARTS if old is None and not write else 0.0
            self.lines[key] = (size / PARTS, write or bool(old and old[1]))
            while sum(line[0] for line in self.lines.values()) > self.capacity:
                _, (part_size, dirty) = self.lines.popitem(last=False)
                self.moved += part_size if dirty else 0.0

    def drop(self, tensor: Any, *, wanted: bool) -> None:
        for key in ((tensor, part) for part in range(PARTS)):
            size, _ = self.lines.pop(key, (0.0, False))
            self.moved += size if wanted else 0.0


def chain(activations: list[int], weights: list[int]) -> Workload:
    """Operators in a row, each with the one before and a weight of its own; a byte an element."""
    tensors, operators = [Tensor((1, activations[0]), "int8", "input")], []
    last = 0
    for number, (size, weight) in enumerate(zip(activations[1:], weights, strict=True)):
        tensors.append(Tensor((weight,), "int8", "weight", batched=False))
        tensors.append(Tensor((1, size), "int8"))
        made = len(tensors) - 1
        operators.append(Operator(f"step#{number}", "unknown", "step", "", (last, made - 1), (made,)))
        last = made
    return Workload("chain", 1, tuple(tensors), tuple(operators), (last,), 0)


def played(workload: Workload, capacity: float, runs: int = 3) -> float:
    """Bytes of main memory in the last of some runs."""
    cache = Cache(capacity)
    for number in range(runs):
        cache.moved = 0.0
        for operator in workload.operators:
            source, weight, made = *operator.inputs, *operator.outputs
            cache.touch((number, source), workload.tensors[source].size, write=False)
            cache.touch(weight, workload.tensors[weight].size, write=False)
            cache.touch((number, made), workload.tensors[made].size, write=True)
            cache.drop((number, source), wanted=False)
        cache.drop((number, workload.outputs[0]), wanted=True)
    return cache.moved


@settings(max_examples=100)
@given(
    st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=6), SIZES, st.sampled_from([64, 1024, 4096, 16384, 1 << 17])
)
def test_traffic_lies_between_that_of_a_cache_four_times_as_large_and_one_a_quarter(
    steps: list[tuple[int, int]], first: int, capacity: int
) -> None:
    """The model keeps whole tensors and fades out; a real cache replaces line by line. Both see the same picture."""
    workload = chain([first, *(size for size, _ in steps)], [weight for _, weight in steps])
    levels = (MemoryLevel("l2", capacity, 8e12), MemoryLevel("hbm", 1e15, 4e12))
    modelled = run(workload, msgspec.structs.replace(platform("h200"), memory=levels), precision="fp16").bytes
    assert played(workload, capacity * 4) * (1 - 1e-9) <= modelled <= played(workload, capacity / 4) * 1.2


# --- many networks in one table ---


@pytest.mark.parametrize("execution", ["eager", "engine"])
@pytest.mark.parametrize("name", ["h200", "tpu-v4", "cpu"])
def test_networks_side_by_side_are_each_what_they_are_alone(
    name: str, execution: Execution, workloads: dict[str, Workload]
) -> None:
    chip = platform(name)
    made = [chain([4096, 64, 1024], [16, 4096]), *workloads.values(), traced(Repeated(3), 2, 500)]
    tables = [tabulate(plan(workload, chip, 8, "fp32", execution)) for workload in made]
    joined = concatenate(tables)
    needs = seconds(joined, chip, "fp32")
    timeline = schedule(joined, needs, chip, execution)
    begin = 0
    for table in tables:
        alone = seconds(table, chip, "fp32")
        part = slice(begin, begin := begin + len(table.macs))
        np.testing.assert_allclose(needs.matrix[part], alone.matrix, rtol=1e-12)
        np.testing.assert_allclose(needs.vector[part], alone.vector, rtol=1e-12)
        np.testing.assert_allclose(needs.memory[:, part], alone.memory, rtol=1e-9)
        np.testing.assert_allclose(needs.bytes[part], alone.bytes, rtol=1e-9)
        latency = schedule(table, alone, chip, execution).latency
        np.testing.assert_allclose(timeline.latency[part], latency, rtol=1e-9, atol=1e-15)
    assert begin == len(joined.macs)
