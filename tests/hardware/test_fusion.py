"""Fusion loses no work and breaks no order, and each way of running fuses what its software is known to fuse."""

from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelwright.hardware import estimate, platform
from modelwright.hardware.fusion import fuse, resolve
from modelwright.networks.trace import trace
from modelwright.records import Estimate, Execution, Operator, Product, Tensor, Workload

EXECUTIONS: tuple[Execution, ...] = get_args(Execution)
WAYS = [(execution, generated) for execution in EXECUTIONS for generated in (False, True)]

LIBRARY = ("convolution", "product", "attention")
POINTWISE = ("activation", "elementwise", "cast")
OTHERS = ("norm", "softmax", "reduction", "pool", "copy", "gather", "view", "unknown")


class Block(nn.Module):
    """A mobile inverted bottleneck with squeeze and excitation, and a head."""

    def __init__(self, width: int = 16, wide: int = 64) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.SiLU()
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, 4, 1), nn.SiLU(), nn.Conv2d(4, wide, 1), nn.Sigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(self.expand(x))
        y = x + self.project(y * self.gate(y))
        return self.head(y.mean((2, 3))).softmax(1)


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "block": (Block(), (2, 16, 28, 28)),
    "encoder": (nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), (2, 9, 32)),
    "recurrent": (nn.LSTM(8, 16), (5, 2, 8)),
}


@pytest.fixture(scope="module")
def workloads() -> dict[str, Workload]:
    return {name: trace(module, torch.zeros(shape), name=name) for name, (module, shape) in NETWORKS.items()}


@st.composite
def graphs(draw: st.DrawFn) -> Workload:
    """Any chain of operators that take one to three earlier results, of two sizes, some of them read by nobody."""
    tensors = [Tensor((2, 8, 4, 4), "float32", "input"), Tensor((8, 8, 1, 1), "float32", "weight", batched=False)]
    operators = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(LIBRARY + POINTWISE * 2 + OTHERS))
        known = [i for i, tensor in enumerate(tensors) if tensor.role != "weight"]
        inputs = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
        shape = draw(st.sampled_from([(2, 8, 4, 4), (2, 8, 1, 1)])) if kind != "view" else tensors[inputs[0]].shape
        tensors.append(Tensor(shape, "float32"))
        products = (Product(1, 32, 8, 8),) if kind in LIBRARY[:2] else (Product(2, 8, 8, 4, "count"),) * 2
        operators.append(
            Operator(
                name=f"{kind}#{number}", kind=kind, target={"elementwise": "add"}.get(kind, kind), layer="",
                inputs=(*inputs, 1) if kind in LIBRARY[:2] else tuple(inputs), outputs=(len(tensors) - 1,),
                products=products if kind in LIBRARY else (),
            )
        )  # fmt: skip
    return Workload("random", 2, tuple(tensors), tuple(operators), (len(tensors) - 1,), 64)


def check(workload: Workload, groups: tuple[tuple[int, ...], ...]) -> None:
    """Every operator that is no view runs once, after everything that it reads."""
    runs = [i for i, operator in enumerate(workload.operators) if operator.kind != "view" and operator.outputs]
    assert sorted(index for group in groups for index in group) == runs
    graph = resolve(workload)
    made_by_views = {graph.root[p] for i, o in enumerate(workload.operators) if i not in runs for p in o.outputs}
    ready = {i for i, tensor in enumerate(workload.tensors) if tensor.role != "activation"} | made_by_views
    ready -= {graph.root[p] for i in runs for p in workload.operators[i].outputs}
    for group in groups:
        for index in group:
            operator = workload.operators[index]
            assert {graph.root[p] for p in operator.inputs} <= ready, operator.name
            ready |= {graph.root[p] for p in operator.outputs}


@settings(max_examples=200)
@given(graphs(), st.sampled_from(WAYS))
def test_every_operator_runs_once_and_after_what_it_reads(workload: Workload, way: tuple[Execution, bool]) -> None:
    execution, generated = way
    check(workload, fuse(workload, resolve(workload), execution, generated=generated))


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_lose_no_operator_and_no_order(
    name: str, way: tuple[Execution, bool], workloads: dict[str, Workload]
) -> None:
    execution, generated = way
    check(workloads[name], fuse(workloads[name], resolve(workloads[name]), execution, generated=generated))


@settings(max_examples=60)
@given(graphs(), st.sampled_from(["h200", "tpu-v4", "cpu"]))
def test_work_is_the_same_however_it_is_run(workload: Workload, device: str) -> None:
    found = [estimate(workload, platform(device), precision="fp32", execution=e) for e in EXECUTIONS]
    assert len({e.flops for e in found}) == 1
    assert {e.flops for e in found} == {2.0 * workload.macs}


def run(workload: Workload, device: str, execution: Execution) -> Estimate:
    return estimate(workload, platform(device), batch=64, execution=execution, strict=False)


@pytest.mark.parametrize("device", ["h200", "t4", "tpu-v5e", "tpu-v2", "cpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_fusion_saves_kernels_and_traffic(name: str, device: str, workloads: dict[str, Workload]) -> None:
    found = {execution: run(workloads[name], device, execution) for execution in EXECUTIONS}
    for less, more in (("engine", "compiled"), ("graph", "compiled"), ("compiled", "eager")):
        assert len(found[less].kernels) <= len(found[more].kernels)
        assert found[less].bytes <= found[more].bytes * (1 + 1e-9)


def test_graph_replay_runs_the_kernels_of_compiled_code(workloads: dict[str, Workload]) -> None:
    for workload in workloads.values():
        compiled, graph = (run(workload, "h200", execution) for execution in ("compiled", "graph"))
        assert [kernel.operators for kernel in compiled.kernels] == [kernel.operators for kernel in graph.kernels]
        assert compiled.bytes == graph.bytes


# --- what each way of running is known to fuse ---


def groups_of(module: nn.Module, shape: tuple[int, ...], execution: Any, *, generated: bool = False) -> list[str]:
    """Kernels as the ATen names of what they hold, joined by plus signs."""
    workload = trace(module, torch.zeros(shape))
    groups = fuse(workload, resolve(workload), execution, generated=generated)
    return ["+".join(workload.operators[index].target for index in group) for group in groups]


class Named(nn.Module):
    """A module of one function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.conv = function, nn.Conv2d(4, 4, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.conv, x)


CONVOLUTION = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU())


def test_a_convolution_takes_its_norm_and_activation_along_in_an_engine_only() -> None:
    """TensorRT's developer guide; Inductor leaves convolutions to a library."""
    assert groups_of(CONVOLUTION, (2, 4, 8, 8), "eager") == ["conv2d", "batch_norm", "relu"]
    assert groups_of(CONVOLUTION, (2, 4, 8, 8), "compiled") == ["conv2d", "batch_norm+relu"]
    assert groups_of(CONVOLUTION, (2, 4, 8, 8), "engine") == ["conv2d+batch_norm+relu"]


def test_pointwise_work_joins_the_reduction_that_it_feeds_and_the_one_that_it_follows() -> None:
    def function(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x * 2 + 1, (8,)).relu()

    assert groups_of(Named(function), (2, 4, 8, 8), "compiled") == ["mul+add+layer_norm+relu"]
    assert groups_of(Named(function), (2, 4, 8, 8), "eager") == ["mul", "add", "layer_norm", "relu"]


def test_xla_takes_a_gate_into_the_convolution_that_reads_it_but_a_library_cannot() -> None:
    def function(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return conv(functional.silu(x))

    assert groups_of(Named(function), (2, 4, 8, 8), "engine", generated=True) == ["silu+conv2d"]
    assert groups_of(Named(function), (2, 4, 8, 8), "engine") == ["silu", "conv2d"]
    assert groups_of(Named(function), (2, 4, 8, 8), "compiled", generated=True) == ["silu", "conv2d"]


def test_what_two_kernels_read_is_made_once() -> None:
    def function(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = functional.silu(x)
        return conv(y) + y.mean((2, 3), keepdim=True)

    for execution, generated in WAYS:
        names = groups_of(Named(function), (2, 4, 8, 8), execution, generated=generated)
        assert "+".join(names).count("silu") == 1


def test_views_never_run() -> None:
    def function(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).unsqueeze(1)[:, :, 1:]

    for execution, generated in WAYS:
        assert groups_of(Named(function), (2, 4, 8, 8), execution, generated=generated) == []


def test_a_view_hides_no_reader() -> None:
    """Both halves of a split are the tensor that was split; a kernel that reads one half reads half the bytes."""

    def function(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
        left, right = (x * 2).chunk(2, 1)
        return left.relu() + right.mean()

    workload = trace(Named(function), torch.zeros(2, 4, 8, 8))
    graph = resolve(workload)
    made = workload.operators[0].outputs[0]
    assert [workload.operators[index].target for index in graph.takers[made]] == ["relu", "mean"]
    halves = workload.operators[1].outputs
    assert {graph.root[position] for position in halves} == {made}
    assert [graph.size[position] * 2 for position in halves] == [graph.size[made]] * 2
