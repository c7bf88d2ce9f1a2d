"""The recorded graph against eager PyTorch: the same operators on the same tensors, views where memory is shared."""

import itertools
import operator as python_operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from torch import nn
from torch.utils import _pytree as pytree

from modelwright.networks.aten import KINDS
from modelwright.networks.trace import trace
from modelwright.records import Workload


class Function(nn.Module):
    """A module of one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


class Eager(torch.fx.Interpreter):
    """Computes a graph and notes of every operator what came out, and whether it lies in the memory of an input."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        super().__init__(graph)
        self.seen: list[tuple[list[torch.Tensor], bool]] = []

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = super().call_function(target, args, kwargs)
        outputs = [value for value in pytree.tree_leaves(result) if isinstance(value, torch.Tensor)]
        if outputs and target is not python_operator.getitem:
            given = [value for value in pytree.tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
            memory = {value.untyped_storage().data_ptr() for value in given}
            self.seen.append((outputs, all(value.untyped_storage().data_ptr() in memory for value in outputs)))
        return result


def eager(module: nn.Module, *inputs: torch.Tensor) -> list[tuple[list[torch.Tensor], bool]]:
    with torch.no_grad():
        interpreter = Eager(torch.export.export(module.eval(), inputs, strict=False).module())
        interpreter.run(*inputs)
    return interpreter.seen


def traced(function: Callable[..., Any], *inputs: torch.Tensor) -> Workload:
    return trace(Function(function), inputs)


X = torch.linspace(-1, 1, 2 * 4 * 4 * 6).reshape(2, 4, 4, 6)
LAST = torch.channels_last

FREE: dict[str, Callable[[torch.Tensor], Any]] = {
    "reshape": lambda x: x.reshape(2, 16, 6),
    "reshape of split axes": lambda x: x.permute(0, 2, 3, 1).reshape(2, 4, 6, 2, 2),
    "flatten": lambda x: x.flatten(1),
    "flatten of neighbours": lambda x: x.permute(0, 2, 3, 1).flatten(1, 2),
    "ravel": torch.ravel,
    "unflatten": lambda x: x.flatten(1).unflatten(1, (4, 24)),
    "contiguous": lambda x: x.contiguous(),
    "to the same": lambda x: x.to(torch.float32).float(),
    "type as itself": lambda x: x.type_as(x),
    "slice": lambda x: x[:, 1:, ::2],
    "select": lambda x: x[:, 0, None],
    "permute": lambda x: x.permute(0, 3, 1, 2).transpose(1, 2).movedim(0, -1),
    "transposes": lambda x: (x.mT, x.adjoint(), x.swapaxes(0, 1)),
    "chunks": lambda x: (x.chunk(2, 1), x.split(3, -1), x.unbind(1), x.tensor_split(2), x.hsplit(2), x.vsplit(2)),
    "expand": lambda x: x[:1].expand(5, -1, -1, -1),
    "broadcast": lambda x: torch.broadcast_to(x, (3, 2, 4, 4, 6)),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "diagonal": lambda x: x.diagonal(0, 2, 3),
    "dropout": lambda x: functional.dropout2d(functional.dropout(x, 0.5, training=False), 0.5, training=False),
    "detach": lambda x: x.detach(),
    "complex": lambda x: torch.view_as_real(torch.view_as_complex(x.reshape(2, 4, 4, 3, 2))),
    "real part": lambda x: torch.view_as_complex(x.reshape(2, 4, 4, 3, 2)).real,
    "bits": lambda x: x.view(torch.int32),
}  # fmt: skip
COPIES: dict[str, Callable[[torch.Tensor], Any]] = {
    "reshape of permuted": lambda x: x.permute(0, 2, 3, 1).reshape(2, -1),
    "flatten of permuted": lambda x: x.transpose(1, 2).flatten(2),
    "flatten of channels last": lambda x: x.contiguous(memory_format=LAST).flatten(1),
    "contiguous of permuted": lambda x: x.transpose(1, 2).contiguous(),
    "into channels last": lambda x: x.to(memory_format=LAST),
    "and back": lambda x: x.contiguous(memory_format=LAST).contiguous(),
    "half": lambda x: x.half().float(),
    "type as another": lambda x: x.half().type_as(x),
    "clone": lambda x: x.clone(),
    "cat": lambda x: torch.cat([x, x], 1),
    "pad": lambda x: functional.pad(x, (1, 1)),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "roll": lambda x: x.roll(1, -1).flip(-1),
    "pixel shuffle": lambda x: functional.pixel_shuffle(x, 2),
    "indices": lambda x: x[:, torch.tensor([0, 2])],
}  # fmt: skip
COMPUTED: dict[str, Callable[[torch.Tensor], Any]] = {
    "pointwise keeps memory order": lambda x: functional.silu(x.contiguous(memory_format=LAST)) + 1,
    "channels last pooled": lambda x: functional.adaptive_avg_pool2d(x.contiguous(memory_format=LAST), 1),
    "channels last convolved": lambda x: functional.conv2d(x.contiguous(memory_format=LAST), torch.ones(3, 4, 3, 3)),
    "norms": lambda x: functional.layer_norm(functional.group_norm(x, 2), (6,)),
    "masks": lambda x: torch.where((x > 0) & (x < 0.5), x, 0),
    "integers": lambda x: functional.one_hot(x.argmax(1), 4),
    "reductions": lambda x: (x.mean((2, 3), keepdim=True), x.max(1), x.var(1), x.logsumexp(1)),
    "positions": lambda x: x + torch.arange(6),
    "interpolated": lambda x: functional.interpolate(x, scale_factor=2.0, mode="bilinear"),
    "spectrum": lambda x: torch.fft.rfft2(x).abs(),
    "attention": lambda x: functional.scaled_dot_product_attention(x, x, x),
}  # fmt: skip
ALL = FREE | COPIES | COMPUTED


@pytest.mark.parametrize("name", ALL)
def test_every_tensor_is_the_one_that_eager_mode_makes(name: str) -> None:
    """Shape, type and strides; and an operator is free exactly where its result lies in an input's memory."""
    workload = traced(ALL[name], X)
    seen = eager(Function(ALL[name]), X)
    assert len(seen) == len(workload.operators)
    for (outputs, shared), operator in zip(seen, workload.operators, strict=True):
        recorded = [workload.tensors[position] for position in operator.outputs]
        assert [(t.shape, t.dtype, t.strides) for t in recorded] == [
            (tuple(v.shape), str(v.dtype).removeprefix("torch."), v.stride()) for v in outputs
        ]
        assert (operator.kind == "view") == shared, operator.target


@pytest.mark.parametrize("name", FREE)
def test_views_are_free(name: str) -> None:
    assert {operator.kind for operator in traced(FREE[name], X).operators} <= {"view"}


@pytest.mark.parametrize("name", COPIES)
def test_what_moves_data_is_no_view(name: str) -> None:
    assert traced(COPIES[name], X).operators[-1].kind in {"copy", "cast", "gather"}


def test_memory_order_is_carried_through_a_network() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    results = [trace(network, X, channels_last=last) for last in (False, True)]
    shapes = [[w.tensors[p] for operator in w.operators for p in operator.outputs] for w in results]
    assert not any(tensor.channels_last for tensor in shapes[0])
    assert all(tensor.channels_last for tensor in shapes[1])
    assert [t.shape for t in shapes[0]] == [t.shape for t in shapes[1]]
    assert results[0].macs == results[1].macs


class Residual(nn.Module):
    """Branches, a gate, a norm in a list, a module that runs twice."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, width, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True)) for _ in range(2))
        self.gate = nn.ModuleDict({"pool": nn.AdaptiveAvgPool2d(1), "act": nn.Sigmoid()})
        self.twice = nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(self.twice(x))
        left, right = x.chunk(2, 1)
        gate = self.gate["act"](self.gate["pool"](left))
        return {"gated": right * gate, "parts": (left, [x.mean((2, 3))])}


def test_every_input_is_made_before_it_is_used_and_every_result_can_be_reached() -> None:
    workload = trace(Residual(), X)
    made = {i for i, tensor in enumerate(workload.tensors) if tensor.role != "activation"}
    for operator in workload.operators:
        assert set(operator.inputs) <= made, operator.name
        assert made.isdisjoint(operator.outputs), operator.name
        made.update(operator.outputs)
    assert made == set(range(len(workload.tensors)))
    assert set(workload.outputs) <= made
    maker = {p: operator for operator in workload.operators for p in operator.outputs}
    reached, waiting = set(), list(workload.outputs)
    while waiting:
        if (position := waiting.pop()) not in reached:
            reached.add(position)
            waiting.extend(maker[position].inputs if position in maker else ())
    assert all(reached & set(operator.outputs) for operator in workload.operators), "nothing that ran was useless"


def test_names_are_unique_and_layers_are_paths_of_the_modules_that_ran() -> None:
    module = Residual()
    workload = trace(module, X)
    names = [operator.name for operator in workload.operators]
    assert len(set(names)) == len(names)
    paths = dict(module.named_modules())
    for operator in workload.operators:
        layer = paths[operator.layer]
        kinds = {nn.Conv2d: "conv2d", nn.BatchNorm2d: "batch_norm", nn.ReLU: "relu", nn.Sigmoid: "sigmoid"}
        assert operator.target == kinds.get(type(layer), operator.target)
        assert operator.name.startswith(operator.layer)
    assert [operator.layer for operator in workload.operators].count("twice") == 2


def test_results_keep_the_order_in_which_they_are_nested() -> None:
    workload = trace(Residual(), X)
    shapes = [workload.tensors[position].shape for position in workload.outputs]
    assert shapes == [(2, 4, 4, 6), (2, 4, 4, 6), (2, 8)]


def test_roles_say_what_comes_from_where() -> None:
    module = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
    roles = dict.fromkeys(("input", "weight", "buffer", "activation"), 0)
    for tensor in trace(module, torch.zeros(3, 6)).tensors:
        roles[tensor.role] += 1
    # weight and bias of each; running mean, variance and count; the linear layer's result and the norm's
    assert roles == {"input": 1, "weight": 4, "buffer": 3, "activation": 2}


def test_an_operator_in_place_follows_what_it_overwrites() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y.add_(1)
        y.relu_()
        return y * 3

    operators = traced(function, X).operators
    assert [(operator.target, operator.in_place) for operator in operators] == [
        ("mul", False), ("add", True), ("relu", True), ("mul", False),
    ]  # fmt: skip
    for before, after in itertools.pairwise(operators):
        assert before.outputs[0] in after.inputs


def test_double_underscores_mark_no_operator_in_place() -> None:
    operators = traced(lambda x: (x > 0) & (x < 1) | (x > 2) ^ (x < 3), X).operators
    assert {operator.kind for operator in operators} == {"elementwise"}
    assert not any(operator.in_place for operator in operators)


def test_what_depends_on_an_input_grows_with_the_batch_and_nothing_else() -> None:
    workload = traced(lambda x: x + torch.arange(6) * torch.ones(4, 6), X)
    grows = {operator.target: workload.tensors[operator.outputs[0]].batched for operator in workload.operators}
    assert grows == {"arange": False, "ones": False, "mul": False, "add": True}


def test_every_name_of_the_table_is_an_operator_of_pytorch() -> None:
    assert {name for name in KINDS if not hasattr(torch.ops.aten, name)} == set()
