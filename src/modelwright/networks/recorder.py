"""Writes the graph of a torch.export program down as tensors and operators."""

import operator as python_operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from modelwright.errors import TraceError
from modelwright.networks import products
from modelwright.networks.aten import KINDS, SOMETIMES_COPIES
from modelwright.records import Kind, Operator, Product, Role, Tensor, Window, Workload

Value = int | tuple[Any, ...] | None  # a position in the list of tensors, several of them, or no tensor at all

_ROLES: dict[str, Role] = {
    "PARAMETER": "weight",
    "BUFFER": "buffer",
    "CONSTANT_TENSOR": "buffer",
    "USER_INPUT": "input",
}
_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
_STATES = {"lstm": 2, "lstm_cell": 2}


class Recorder:
    """Collects tensors and operators while walking a graph; `workload` hands them over."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.unknown: dict[str, None] = {}
        self._values: dict[torch.fx.Node, Value] = {}
        self._names: dict[str, int] = {}

    def program(self, program: Any) -> tuple[int, ...]:
        """Record an exported program; returns the positions of its outputs."""
        specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        held = {**program.state_dict, **program.constants}
        shared: dict[int, Value] = {}  # a tensor that the module holds under several names is one tensor
        for node in program.graph.nodes:
            if node.op == "placeholder":
                spec = specs[node.name]
                role = _ROLES.get(spec.kind.name, "buffer")
                owner = id(held.get(spec.target, node))
                if owner not in shared:
                    shared[owner] = self._store(node.meta.get("val"), role=role, batched=role == "input")
                self._values[node] = shared[owner]
        return self._graph(program.graph_module)

    def workload(self, *, name: str, batch: int, outputs: tuple[int, ...], parameters: int) -> Workload:
        """Everything recorded so far as one record."""
        return Workload(
            name=name,
            batch=batch,
            tensors=tuple(self.tensors),
            operators=tuple(self.operators),
            outputs=outputs,
            parameters=parameters,
            unknown=tuple(self.unknown),
        )

    def _graph(self, graph_module: torch.fx.GraphModule) -> tuple[int, ...]:
        results: tuple[int, ...] = ()
        for node in graph_module.graph.nodes:
            if node.op == "get_attr":
                held = getattr(graph_module, node.target, None) if isinstance(node.target, str) else None
                if isinstance(held, torch.Tensor):
                    self._values[node] = self._store(held, role="buffer", batched=False)
            elif node.op == "call_function":
                self._call(node, graph_module)
            elif node.op == "output":
                results = tuple(self._positions(node.args))
        return results

    def _call(self, node: torch.fx.Node, graph_module: torch.fx.GraphModule) -> None:
        if node.target is python_operator.getitem:
            held, index = self._value(node.args[0]), node.args[1]
            self._values[node] = held[index] if isinstance(held, tuple) and isinstance(index, int) else held
            return
        inner = [arg for arg in node.args if isinstance(arg, torch.fx.Node) and arg.op == "get_attr"]
        graphs = [getattr(graph_module, str(arg.target), None) for arg in inner]
        if any(isinstance(graph, torch.fx.GraphModule) for graph in graphs):
            self._nested(node, next(g for g in graphs if isinstance(g, torch.fx.GraphModule)))
            return
        inputs = tuple(self._positions((node.args, node.kwargs)))
        batched = any(self.tensors[position].batched for position in inputs)
        place = f"{_layer(node)} ({node.target})".lstrip()
        value = self._store(node.meta.get("val"), role="activation", batched=batched, place=place)
        self._values[node] = value
        outputs = tuple(_flat(value))
        if outputs:
            self._operator(node, inputs, outputs)

    def _nested(self, node: torch.fx.Node, graph: torch.fx.GraphModule) -> None:
        """A block that torch.export keeps apart (another gradient or autocast mode): its operators join the rest."""
        handed = [arg for arg in node.args if isinstance(arg, torch.fx.Node) and arg.op != "get_attr"]
        holders = [inner for inner in graph.graph.nodes if inner.op == "placeholder"]
        for inner, outer in zip(holders, handed, strict=False):
            self._values[inner] = self._values.get(outer)
        self._values[node] = self._graph(graph)

    def _operator(self, node: torch.fx.Node, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        overload = node.target
        schema = getattr(overload, "_schema", None)
        full = schema.name.split("::")[-1] if schema else str(overload)
        in_place = full.endswith("_") and not full.startswith("__")
        target = full.removesuffix("_") if in_place else full
        kind: Kind = KINDS.get(target, "unknown")
        if target in SOMETIMES_COPIES:
            kind = _free_or_not(node, target)
        if target in {"to", "type_as"} and kind != "view":
            kind = "cast"
        arguments = _named(node, schema)
        found, window = self._products(kind, target, node, arguments)
        if kind == "unknown" or (kind in {"product", "recurrence"} and not found):
            self.unknown[target] = None
        layer = _layer(node)
        self.operators.append(
            Operator(
                name=self._unique(f"{layer}/{target}" if layer else target),
                kind=kind,
                target=target,
                layer=layer,
                inputs=inputs,
                outputs=outputs,
                products=found,
                window=window,
                causal=bool(arguments.get("is_causal", False)),
                in_place=in_place,
            )
        )

    def _products(
        self, kind: Kind, target: str, node: torch.fx.Node, arguments: Mapping[str, Any]
    ) -> tuple[tuple[Product, ...], Window | None]:
        operands = [self.tensors[p] for p in self._positions(node.args)]
        shapes = [tensor.shape for tensor in operands]
        batched = [tensor.batched for tensor in operands]
        if kind == "convolution":
            settings = {**arguments, "transposed": arguments.get("transposed", "transpose" in target)}
            return products.convolution(shapes, settings, self.tensors[_first(self._values[node])].shape)
        if kind == "pool":
            size = arguments.get("kernel_size")
            window = products.window(size, arguments.get("stride"), shapes[0], target) if size else None
            return (), window
        if kind == "attention":
            return products.attention(shapes), None
        if kind == "recurrence":
            weights = shapes[1 + _STATES.get(target, 1) :]
            if target not in _GATES:
                return products.cell(shapes[0], weights), None
            return products.recurrence(_GATES[target], shapes[0], weights, bool(arguments.get("batch_first"))), None
        return (products.plain(target, arguments, shapes, batched) if kind == "product" else ()), None

    def _store(self, value: Any, *, role: Role, batched: bool, place: str = "") -> Value:
        if isinstance(value, torch.Tensor):
            if not all(isinstance(axis, int) for axis in (*value.shape, *value.stride())):
                raise TraceError(
                    f"every tensor's shape must follow from the inputs' shapes, not their values ({value.shape})",
                    where=place,
                    way_out="Replace masks and `nonzero` by torch.where, or trace the submodules on their own.",
                )
            shape = tuple(int(axis) for axis in value.shape)
            strides = tuple(int(step) for step in value.stride())
            self.tensors.append(Tensor(shape, str(value.dtype).removeprefix("torch."), role, batched, strides))
            return len(self.tensors) - 1
        if isinstance(value, list | tuple):
            return tuple(self._store(part, role=role, batched=batched, place=place) for part in value)
        return None

    def _value(self, argument: Any) -> Value:
        return self._values.get(argument) if isinstance(argument, torch.fx.Node) else None

    def _positions(self, argument: Any) -> Iterator[int]:
        """Positions of all tensors in a nest of arguments, in order."""
        if isinstance(argument, torch.fx.Node):
            yield from _flat(self._values.get(argument))
        elif isinstance(argument, Mapping):
            for part in argument.values():
                yield from self._positions(part)
        elif isinstance(argument, Sequence) and not isinstance(argument, str):
            for part in argument:
                yield from self._positions(part)

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0) + 1
        self._names[name] = count
        return name if count == 1 else f"{name}#{count}"


def _flat(value: Value) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _flat(part)


def _first(value: Value) -> int:
    return next(_flat(value))


def _layer(node: torch.fx.Node) -> str:
    """Path of the innermost module that called the operator."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next(reversed(stack.values()))[0] if stack else ""
    return str(path).removeprefix("L['self'].").removeprefix("L['self']")


def _named(node: torch.fx.Node, schema: Any) -> dict[str, Any]:
    """Arguments by the names of the operator's schema."""
    if schema is None:
        return dict(node.kwargs)
    names = [argument.name for argument in schema.arguments]
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def _free_or_not(node: torch.fx.Node, target: str) -> Kind:
    """Whether a reshape, `contiguous` or `to` is a view or a copy, from its input's memory order and precision."""
    before = node.args[0].meta.get("val") if isinstance(node.args[0], torch.fx.Node) else None
    after = node.meta.get("val")
    if not isinstance(before, torch.Tensor) or not isinstance(after, torch.Tensor):
        return "view"
    if before.dtype != after.dtype:
        return "cast"
    if target in {"to", "contiguous"}:
        return "view" if before.stride() == after.stride() or before.numel() <= 1 else "copy"
    ghost = torch.empty_strided(before.shape, before.stride(), device="meta")
    try:
        ghost.view(after.shape)
    except RuntimeError:
        return "copy"
    return "view"
