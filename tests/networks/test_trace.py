"""Tracing: whatever module, whatever inputs; nothing is allocated, nothing is touched, and errors say where."""

import copy
import resource
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from modelwright.errors import ShapeError, TraceError
from modelwright.hardware import estimate, platform
from modelwright.networks.trace import parse_input, trace
from modelwright.records import Workload, from_json, to_json


class Function(nn.Module):
    """A module of one function, whose keyword arguments are its parameters."""

    def __init__(self, function: Callable[..., Any], **parameters: torch.Tensor) -> None:
        super().__init__()
        self.function, self.names = function, tuple(parameters)
        for name, value in parameters.items():
            setattr(self, name, nn.Parameter(value))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(*inputs, **named, **{name: getattr(self, name) for name in self.names})


def targets(workload: Workload) -> list[str]:
    return [operator.target for operator in workload.operators]


# --- the batch: traced at one size, estimated at another ---


class Mixture(nn.Module):
    """Grouped, strided and transposed convolutions, a gate, norms in both memory orders, a skip, a head of products."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 24, 3, stride=2, padding=1)
        self.norm, self.grouped = nn.GroupNorm(4, 24), nn.Conv2d(24, 24, 3, padding=1, groups=4, bias=False)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(24, 24, 1), nn.Sigmoid())
        self.up, self.last = nn.ConvTranspose2d(24, 12, 2, stride=2), nn.LayerNorm(15)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.silu(self.norm(self.down(x)))
        y = self.up(y + self.gate(y) * functional.interpolate(self.grouped(y), scale_factor=1.0))
        return self.last(torch.cat([x, y], 1).permute(0, 2, 3, 1)).reshape(x.shape[0], -1).softmax(1)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(70, 300), nn.GELU(), nn.Linear(300, 10)), (70,)),
    "mixture": (Mixture, (3, 64, 64)),
    "encoder": (lambda: nn.TransformerEncoderLayer(96, 4, 200, batch_first=True), (100, 96)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_traced_at_2_and_estimated_at_8_is_the_network_traced_at_8(name: str) -> None:
    make, shape = NETWORKS[name]
    module = make().to("meta")
    small, large = (trace(module, torch.empty((batch, *shape), device="meta"), name=name) for batch in (2, 8))
    settings = [
        ("h200", "bf16", "eager"), ("v100", "amp", "eager"), ("a100", "tf32", "compiled"), ("t4", "int8", "engine"),
        ("tpu-v4i", "bf16", "engine"), ("tpu-v5e", "bf16", "graph"), ("cpu", "fp32", "eager"),
    ]  # fmt: skip
    for device, precision, execution in settings:
        grown, there = (
            estimate(w, platform(device), batch=8, precision=precision, execution=execution, strict=False)  # type: ignore[arg-type]
            for w in (small, large)
        )
        assert [kernel.operators for kernel in grown.kernels] == [kernel.operators for kernel in there.kernels]
        assert grown.flops == there.flops
        assert grown.vector_flops == pytest.approx(there.vector_flops, rel=1e-12)
        assert grown.bytes == pytest.approx(there.bytes, rel=1e-9)
        assert grown.latency_s == pytest.approx(there.latency_s, rel=1e-9), (device, precision, execution)
        assert grown.peak_memory_bytes == pytest.approx(there.peak_memory_bytes, rel=1e-12)


# --- nothing is allocated, nothing is touched ---


def test_a_billion_parameters_are_traced_without_their_memory() -> None:
    """4.1 GB of weights; tracing may take an address space of 1.5 GB beyond what PyTorch itself has when loaded."""
    script = """
        import resource
        import torch
        from torch import nn
        from modelwright.networks.trace import trace

        pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (pages + 1_500_000_000,) * 2)
        with torch.device("meta"):
            layers = [nn.TransformerEncoderLayer(4608, 16, 18432, batch_first=True) for _ in range(4)]
            model = nn.Sequential(*layers)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        workload = trace(model, torch.empty(8, 512, 4608, device="meta"))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(workload.parameters, (after - before) * 1024)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    parameters, grown = map(int, done.stdout.split())
    assert parameters > 1e9
    assert grown < 0.1 * 4 * parameters


def test_weights_in_memory_are_not_copied() -> None:
    """256 MB of weights; none of the 512 MB that a copy and its use would need."""
    module = nn.Linear(8192, 8192)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trace(module, torch.empty(2, 8192))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 0.5 * 4 * 8192**2


def test_the_module_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 4, 3))
    module[0].eval()
    module[3].weight.requires_grad_(False)
    held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    values = copy.deepcopy(module.state_dict())
    flags = [part.training for part in module.modules()]
    image = torch.ones(2, 3, 8, 8)
    trace(module, image, channels_last=True)
    after = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert [part.training for part in module.modules()] == flags
    assert all(after[name] is tensor for name, tensor in held.items())
    assert all(torch.equal(values[name], tensor) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert [parameter.requires_grad for parameter in module.parameters()] == [True] * 4 + [False, True]
    assert module[0].weight.is_contiguous()
    assert image.is_contiguous()
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()


def test_tracing_shows_inference_whatever_the_mode() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    assert trace(module.train(), torch.ones(2, 4)) == trace(module.eval(), torch.ones(2, 4))


def test_the_device_of_weights_and_inputs_does_not_matter() -> None:
    real, ghost = nn.Linear(4, 5), nn.Linear(4, 5, device="meta")
    assert trace(real, torch.ones(2, 4)) == trace(ghost, torch.empty(2, 4, device="meta"))
    assert trace(real, parse_input("2x4")) == trace(real, torch.ones(2, 4))


def test_a_workload_survives_being_written_down() -> None:
    workload = trace(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.ones(2, 5, 8))
    assert from_json(to_json(workload), Workload) == workload


# --- modules and inputs of every sort ---


def test_shared_weights_are_counted_and_held_once() -> None:
    """A layer that stands twice in a network, and an embedding whose table is also the head's weights."""
    layer = nn.Linear(512, 512, bias=False)
    shared, separate = (
        trace(nn.Sequential(layer, last), torch.ones(2, 512)) for last in (layer, nn.Linear(512, 512, bias=False))
    )
    assert (shared.parameters, separate.parameters) == (512**2, 2 * 512**2)
    assert [tensor.role for tensor in shared.tensors].count("weight") == 1
    assert shared.macs == separate.macs
    tied = nn.Sequential(nn.Embedding(100, 16), nn.Linear(16, 100, bias=False))
    tied[1].weight = tied[0].weight
    workload = trace(tied, torch.ones(2, 7, dtype=torch.int64))
    assert workload.parameters == 1600
    assert [tensor.shape for tensor in workload.tensors if tensor.role == "weight"] == [(100, 16)]


def test_parameters_are_counted_whether_used_or_not_and_buffers_are_not() -> None:
    module = Function(lambda x, used, unused: x @ used, used=torch.ones(4, 4), unused=torch.ones(7))
    module.register_buffer("table", torch.ones(100))
    assert trace(module, torch.ones(2, 4)).parameters == 16 + 7


@pytest.mark.parametrize(
    ("inputs", "batch"),
    [
        ((torch.ones(3, 4), torch.ones(3, 4)), 3),
        ([torch.ones(3, 4), torch.ones(3, 4)], 3),
        ({"a": torch.ones(3, 4), "b": torch.ones(3, 4)}, 3),
        ((torch.ones(3, 4), 2.0), 3),
        ((torch.ones(3, 4), None), 3),
    ],
)
def test_inputs_may_be_positional_or_named_and_not_all_are_tensors(inputs: Any, batch: int) -> None:
    def function(a: torch.Tensor, b: torch.Tensor | float | None = None) -> dict[str, Any]:
        return {"sum": a if b is None else a + b, "product": (a * 2, [a * 3])}

    workload = trace(Function(function), inputs)
    assert workload.batch == batch
    assert workload.tensors[workload.outputs[0]].shape == (3, 4)
    assert len(workload.outputs) == 3


def test_inputs_may_be_nested() -> None:
    lstm = nn.LSTM(4, 8)
    state = (torch.ones(1, 2, 8), torch.ones(1, 2, 8))
    assert [t.role for t in trace(lstm, (torch.ones(5, 2, 4), state)).tensors].count("input") == 3
    assert targets(trace(Function(torch.cat), [[torch.ones(2, 3), torch.ones(2, 3)]])) == ["cat"]


def test_integers_reach_an_embedding() -> None:
    workload = trace(nn.Embedding(1_000_000, 1024, device="meta"), parse_input("2x32768:int64"))
    assert [tensor.dtype for tensor in workload.tensors if tensor.role == "input"] == ["int64"]
    assert workload.tensors[workload.outputs[0]].shape == (2, 32768, 1024)
    moved = estimate(workload, platform("h200"), precision="fp32").bytes
    assert moved == 2 * 32768 * (8 + 2 * 1024 * 4), "indices, the rows that they name, the result; not the whole table"


def test_blocks_of_another_mode_join_the_rest() -> None:
    class Modes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            with torch.enable_grad():
                y = self.a(x)
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                z, u = self.b(y), self.b(y * 2)
            return z.float() + 1, u

    workload = trace(Modes(), torch.ones(2, 3))
    assert [operator.layer for operator in workload.operators if operator.products] == ["a", "b", "b"]
    assert workload.macs == 2 * (3 * 4 + 2 * 4 * 5)
    first, *rest = (operator for operator in workload.operators if operator.products)
    assert first.outputs[0] in rest[0].inputs, "data flow leads into the block"


def test_attention_blocks_of_pytorch_are_seen_through() -> None:
    """PyTorch would run an encoder layer as one fused operator; its products and norms are what is costed."""
    workload = trace(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.ones(2, 5, 8))
    assert workload.unknown == ()
    assert targets(workload).count("linear") == 4
    assert targets(workload).count("scaled_dot_product_attention") == 1
    assert targets(workload).count("layer_norm") == 2
    whole = trace(nn.MultiheadAttention(8, 2, batch_first=True), [torch.ones(2, 5, 8)] * 3)
    assert whole.unknown == ()


def test_tensors_that_a_module_merely_holds_are_buffers() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain, self.listed = torch.ones(3), [torch.ones(3)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.plain + self.listed[0] + torch.tensor([1.0, 2.0, 3.0])

    workload = trace(Holder(), torch.ones(2, 3))
    assert [tensor.role for tensor in workload.tensors].count("buffer") == 3
    assert workload.parameters == 0


@pytest.mark.parametrize("module", [nn.Identity(), nn.Flatten()])
@pytest.mark.parametrize("execution", ["eager", "graph"])
def test_a_network_that_does_nothing_takes_no_time(module: nn.Module, execution: Any) -> None:
    found = estimate(trace(module, torch.ones(2, 3, 4)), platform("h200"), execution=execution)
    assert (found.latency_s, found.bytes, found.flops, found.kernels) == (0.0, 0.0, 0.0, ())


# --- what no rule describes ---


@pytest.fixture
def strange() -> Iterator[Any]:
    with torch.library._scoped_library("modelwright_test", "FRAGMENT") as library:
        library.define("strange(Tensor x, Tensor y) -> Tensor")
        library.impl("strange", lambda x, y: x + y, "CompositeExplicitAutograd")
        library.impl("strange", lambda x, y: torch.empty_like(x), "Meta")
        yield torch.ops.modelwright_test.strange


def test_an_unknown_operator_costs_its_bytes_and_is_named(strange: Any) -> None:
    size = 1 << 22
    workload = trace(Function(lambda x, y: strange(x * 1, y)), [torch.empty(size, device="meta")] * 2)
    assert workload.unknown == ("strange",)
    found = estimate(workload, platform("h200"), precision="fp32", execution="eager")
    assert found.unknown == ("strange",)
    kernel = found.kernels[-1]
    assert (kernel.kind, kernel.flops, kernel.vector_flops) == ("unknown", 0.0, 0.0)
    assert sum(kernel.memory_s.values()) > 0
    add = estimate(trace(Function(lambda x, y: (x * 1) + y), [torch.empty(size, device="meta")] * 2),
                   platform("h200"), precision="fp32", execution="eager")  # fmt: skip
    assert found.bytes == add.bytes


def test_an_exotic_operator_of_pytorch_is_named_once() -> None:
    workload = trace(Function(lambda x: torch.special.i0(torch.special.i0(x)).relu()), torch.ones(2, 3))
    assert workload.unknown == ("special_i0",)


# --- errors that say where ---


class Choosy(nn.Module):
    """Control flow that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) if x.sum() > 0 else x


def test_control_flow_on_values_is_refused_where_it_stands() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.ModuleDict({"choosy": Choosy()})["choosy"])
    with pytest.raises(TraceError, match=r"in 1: torch\.export must be able to capture") as caught:
        trace(network, torch.ones(2, 3), name="net")
    assert caught.value.where == "net, in 1"
    assert "torch.where" in caught.value.way_out


def test_a_shape_that_follows_from_values_is_refused_where_it_arises() -> None:
    with pytest.raises(TraceError, match="must follow from the inputs' shapes") as caught:
        trace(nn.Sequential(nn.ReLU(), Function(lambda x: x[x > 0] * 2)), torch.ones(2, 3))
    assert caught.value.where.startswith("1 ")


def test_what_the_modules_own_code_raises_is_handed_on() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the moon is full")

    with pytest.raises(TraceError, match="the moon is full"):
        trace(Function(function), torch.ones(2, 3))


def test_a_module_that_cannot_be_copied_is_refused() -> None:
    module = nn.Linear(3, 3)
    module.lock = threading.Lock()
    with pytest.raises(TraceError, match="deepcopy"):
        trace(module, torch.ones(2, 3))


@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (nn.Linear(3, 4), [(2, 5)]),
        (nn.Linear(3, 4), [(2, 3), (2, 3)]),
        (nn.Conv2d(3, 4, 3), [(2, 5, 8, 8)]),
        (nn.Conv2d(3, 4, 3), [(2, 3, 2, 2)]),
        (nn.Sequential(nn.Linear(3, 4), nn.Conv2d(3, 4, 3)), [(2, 3)]),
        (nn.BatchNorm2d(4), [(2, 3, 4, 4)]),
        (nn.LayerNorm(4), [(2, 3)]),
        (nn.Embedding(3, 4), [(2, 5)]),
        (Function(torch.add), [(2, 3), (2, 4)]),
        (Function(lambda a, b: torch.cat([a, b])), [(2, 3), (2, 4)]),
        (Function(lambda x: x.view(4, 5)), [(2, 3)]),
    ],
)
def test_a_wrong_shape_is_a_wrong_shape(
    module: nn.Module, shapes: list[tuple[int, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ShapeError) as caught:
        trace(module, [torch.ones(shape) for shape in shapes])
    assert str(shapes[0]) in caught.value.rule
    assert capfd.readouterr().err == "", "nothing but the error speaks"


def test_something_must_be_put_in() -> None:
    with pytest.raises(ShapeError, match="at least one tensor"):
        trace(nn.Linear(3, 4), [])


@pytest.mark.parametrize("text", ["", "x", "3x", "1x0", "-1x3", "1x3:float31", "1x3:nn", "1 x 3"])
def test_an_input_must_read_as_axes(text: str) -> None:
    with pytest.raises(ShapeError):
        parse_input(text)


def test_functional_attention_keeps_its_mask() -> None:
    """An additive mask is read; a causal one is not."""
    attention = functional.scaled_dot_product_attention
    inputs = [torch.ones(2, 4, 64, 16)] * 3
    masked = trace(Function(lambda q, k, v, m: attention(q, k, v, attn_mask=m)), [*inputs, torch.ones(64, 64)])
    causal = trace(Function(lambda q, k, v: attention(q, k, v, is_causal=True)), inputs)
    assert len(masked.operators[0].inputs) == 4
    assert len(causal.operators[0].inputs) == 3
