"""Widths and conversions: PyTorch's own autocast, run on tensors without data, says what they must be."""

import itertools
import operator as python_operator
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from modelwright.errors import SettingError
from modelwright.hardware import estimate, platform, platform_names
from modelwright.hardware.precision import assign
from modelwright.networks.trace import trace
from modelwright.records import Policy, Workload

CUDA = torch.device("cuda")


class Function(nn.Module):
    """A function of what a convolution makes of the input, which autocast has made narrow."""

    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function, self.first = function, nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.first(x))


class OnCuda(torch.fx.Interpreter):
    """Runs a graph on the GPU that a tensor without data may claim to lie on; keeps the width of every result."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        super().__init__(graph)
        self.widths: list[list[int]] = []

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "_assert" in str(target):  # what the export on a CPU took for certain
            return None
        args, kwargs = pytree.tree_map(lambda v: CUDA if isinstance(v, torch.device) else v, (args, kwargs))
        result = super().call_function(target, args, kwargs)
        tensors = [value for value in pytree.tree_leaves(result) if isinstance(value, torch.Tensor)]
        if tensors and target is not python_operator.getitem:
            self.widths.append([tensor.dtype.itemsize for tensor in tensors])
        return result


def autocast_widths(module: nn.Module, x: torch.Tensor) -> list[list[int]]:
    """Bytes an element of every operator's results under torch.autocast("cuda", torch.float16)."""

    def moved(value: Any) -> Any:
        return torch.empty(value.shape, dtype=value.dtype, device=CUDA) if isinstance(value, torch.Tensor) else value

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        graph = torch.export.export(module.eval(), (x,), strict=False).module()
        with FakeTensorMode(allow_non_fake_inputs=True):
            for part in graph.modules():
                for held in (part._parameters, part._buffers):
                    held.update({name: moved(value) for name, value in held.items()})
            interpreter = OnCuda(graph)
            torch.set_autocast_dtype("cuda", torch.float16)
            torch.set_autocast_enabled("cuda", True)
            try:
                interpreter.run(moved(x))
            finally:
                torch.set_autocast_enabled("cuda", False)
    return interpreter.widths


def modelled_widths(workload: Workload, policy: Policy = "amp") -> list[list[int]]:
    widths = assign(workload, policy).widths
    operators = [operator for operator in workload.operators if not operator.target.startswith("_assert")]
    return [[widths[position] for position in operator.outputs] for operator in operators]


class Gated(nn.Module):
    """A residual block with a squeeze-and-excitation gate."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Conv2d(16, 3, 1)
        layers = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1), nn.Hardsigmoid()]
        self.gate = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.hardswish(self.norm(self.first(x)))
        return (x + self.last(y * self.gate(y))).mean((2, 3)).softmax(1)


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "gated": (Gated(), (2, 3, 8, 8)),
    "encoder": (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True), (2, 7, 16)),
    "recurrent": (nn.LSTM(8, 16), (5, 2, 8)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_autocast_gives_every_tensor_of_a_network_the_width_that_pytorch_gives_it(name: str) -> None:
    module, shape = NETWORKS[name]
    assert modelled_widths(trace(module, torch.zeros(shape))) == autocast_widths(module, torch.zeros(shape))


OPERATORS: dict[str, Callable[[torch.Tensor], Any]] = {
    "activations": lambda y: [f(y) for f in (torch.relu, functional.silu, functional.gelu, functional.hardswish)],
    "powers": lambda y: (y.pow(3), y.square(), y.sqrt(), y.exp(), y.log(), y.rsqrt(), y.reciprocal()),
    "trigonometry": lambda y: (y.sin(), y.tan(), y.acos(), y.sinh(), y.tanh()),
    "sums": lambda y: (y.sum(1), y.mean(1), y.prod(1), y.cumsum(1), y.norm(dim=1), y.var(1), y.logsumexp(1)),
    "norms": lambda y: (functional.layer_norm(y, (8,)), functional.group_norm(y, 2), functional.rms_norm(y, (8,))),
    "batch norm": lambda y: functional.batch_norm(y, torch.zeros(4), torch.ones(4)),
    "softmax": lambda y: (y.softmax(1), y.log_softmax(1), functional.softplus(y), functional.logsigmoid(y)),
    "pools": lambda y: (functional.max_pool2d(y, 2), functional.avg_pool2d(y, 2), functional.adaptive_avg_pool2d(y, 1)),
    "resized": lambda y: [functional.interpolate(y, scale_factor=2.0, mode=m) for m in ("nearest", "bilinear")],
    "distances": lambda y: (functional.cosine_similarity(y, y * 2), functional.normalize(y), torch.cdist(y, y)),
    "with fp32": lambda y: (y + torch.ones(8), y * torch.ones(4, 1, 1), torch.cat([y, torch.ones(2, 4, 8, 8)])),
    "with numbers": lambda y: (y + 1.5, y * torch.tensor(2.0), torch.where(y > 0, y, 0.0), 1 / y),
    "products": lambda y: (y @ y.mT, torch.einsum("bcij,bcjk->bcik", y, y), torch.inner(y, y)),
    "products with fp32": lambda y: (y @ torch.ones(8, 5), functional.linear(y, torch.ones(5, 8))),
    "products of the widest": lambda y: functional.bilinear(y[:, 0], y[:, 1], torch.ones(3, 8, 8)),
    "attention": lambda y: functional.scaled_dot_product_attention(y, y, y),
    "prelu": lambda y: functional.prelu(y, torch.ones(4)),
    "in place": lambda y: y.add_(torch.ones(8)).mul_(2).relu_(),
    "views and copies": lambda y: (y.mT.contiguous(), y.clone(), y[:, 1:].flatten(1), functional.pad(y, (1, 1))),
    "indices": lambda y: (y.argmax(1), functional.embedding(y.argmax(1), torch.ones(9, 4)), y.topk(2, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_autocast_gives_operators_the_width_that_pytorch_gives_them(name: str) -> None:
    module, x = Function(OPERATORS[name]), torch.ones(2, 3, 8, 8)
    assert modelled_widths(trace(module, x)) == autocast_widths(module, x)


def test_one_precision_for_all_leaves_integers_alone() -> None:
    workload = trace(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4)), torch.ones(2, 5, dtype=torch.int64))
    for policy, width in (("fp32", 4), ("tf32", 4), ("bf16", 2), ("int8", 1)):
        found = assign(workload, policy)  # type: ignore[arg-type]
        for tensor, bytes_each in zip(workload.tensors, found.widths, strict=True):
            assert bytes_each == (8 if tensor.dtype == "int64" else width)
        assert not any(found.casts)


def convolutions() -> Workload:
    layers = [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)]
    return trace(nn.Sequential(*layers, nn.Flatten(), nn.Softmax(1)), torch.ones(2, 16, 32, 32))


def test_eager_autocast_converts_before_it_multiplies() -> None:
    """The first input and the four weights and biases; the second convolution's input is narrow already."""
    found = estimate(convolutions(), platform("v100"), precision="amp", execution="eager")
    assert [kernel.kind for kernel in found.kernels].count("cast") == 5
    for plain in ("fp16", "fp32"):
        found = estimate(convolutions(), platform("v100"), precision=plain, execution="eager")  # type: ignore[arg-type]
        assert [kernel.kind for kernel in found.kernels].count("cast") == 0


def test_autocast_computes_no_product_anew() -> None:
    found = {p: estimate(convolutions(), platform("v100"), precision=p) for p in ("fp16", "fp32", "amp")}
    assert found["amp"].flops == found["fp16"].flops == found["fp32"].flops
    matrix = {p: sum(kernel.matrix_s for kernel in e.kernels) for p, e in found.items()}
    assert matrix["amp"] == matrix["fp16"] < matrix["fp32"]
    assert found["amp"].bytes > found["fp16"].bytes


def test_autocast_pays_only_where_products_outweigh_conversions() -> None:
    """Large channels gain; a network of pointwise work and small products loses."""

    def gain(channels: int, size: int) -> float:
        layers = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(3)]
        workload = trace(nn.Sequential(*layers).to("meta"), torch.empty(8, channels, size, size, device="meta"))
        fp32, amp = (estimate(workload, platform("v100"), precision=p, execution="compiled") for p in ("fp32", "amp"))  # type: ignore[arg-type]
        return fp32.latency_s / amp.latency_s

    assert gain(512, 28) > 2.0
    assert gain(512, 28) > gain(8, 28)


@pytest.mark.parametrize("name", platform_names())
def test_a_narrower_precision_is_never_slower_and_moves_less(name: str) -> None:
    """Of the same family, and where the matrix units have both: fp32 over tf32, 16 over 32 bits, 8 over 16."""
    device, workload = platform(name), convolutions()
    known = {*device.matrix.peak, *device.vector.peak}
    chain = [p for p in ("fp32", "tf32", "bf16", "fp8") if p in known]
    found = [estimate(workload, device, precision=p, execution="compiled") for p in chain]  # type: ignore[arg-type]
    for wide, narrow in itertools.pairwise(found):
        assert narrow.latency_s <= wide.latency_s * (1 + 1e-9)
        assert narrow.bytes <= wide.bytes


def test_a_precision_that_a_chip_lacks_is_refused_with_what_it_has() -> None:
    with pytest.raises(SettingError, match="fp16, fp32, int8"):
        estimate(convolutions(), platform("v100"), precision="bf16")
    with pytest.raises(SettingError, match="precision"):
        estimate(convolutions(), platform("v100"), precision="amp-bf16")
    with pytest.raises(SettingError, match="fp4"):
        estimate(convolutions(), platform("h200"), precision="fp4")  # type: ignore[arg-type]
