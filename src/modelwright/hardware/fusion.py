"""Which operators run as one kernel, for each way of running a network.

eager: one kernel an operator. compiled and graph (TorchInductor): pointwise operators join each other and the reduction
they feed or follow; convolutions and matrix products are library calls of their own. engine (XLA, TensorRT, OpenVINO):
pointwise operators also join the convolution or product whose result they take. Views never run.

Sources: Ansel et al., PyTorch 2, ASPLOS 2024, section 4 (Inductor's scheduler fuses pointwise and reduction nodes, library
calls stay apart); XLA's instruction fusion ("Operation semantics", output fusion into convolutions and dots).
"""

from collections.abc import Sequence

import msgspec

from modelwright.records import Execution, Operator, Workload

_POINTWISE = frozenset({"activation", "elementwise", "cast", "fill"})
_ROWWISE = frozenset({"norm", "softmax", "reduction"})
_INDEXED = frozenset({"copy", "gather", "resample", "pool"})
_LIBRARY = frozenset({"convolution", "product", "attention", "recurrence"})


class Graph(msgspec.Struct, frozen=True):
    """Who makes and who takes each tensor, with views seen through.

    Attributes:
        root: the tensor whose memory a tensor is (itself, unless it is a view).
        size: elements that reading a tensor touches: a slice reads less than its root, a broadcast no more.
        takers: root -> the operators that read it.
    """

    root: tuple[int, ...]
    size: tuple[int, ...]
    takers: dict[int, tuple[int, ...]]


def resolve(workload: Workload) -> Graph:
    """See through views: the memory behind every tensor, and who reads it."""
    root = list(range(len(workload.tensors)))
    size = [tensor.stored if tensor.strides else tensor.size for tensor in workload.tensors]
    takers: dict[int, list[int]] = {}
    for index, operator in enumerate(workload.operators):
        if operator.kind == "view" and operator.inputs:
            source = operator.inputs[0]
            for output in operator.outputs:
                root[output] = root[source]
                size[output] = min(size[output], size[source])
            continue
        for position in dict.fromkeys(operator.inputs):
            takers.setdefault(root[position], []).append(index)
    return Graph(tuple(root), tuple(size), {key: tuple(value) for key, value in takers.items()})


def fuse(workload: Workload, graph: Graph, execution: Execution) -> tuple[tuple[int, ...], ...]:
    """Operators (by position) that run together, in the order of execution."""
    runs = [i for i, operator in enumerate(workload.operators) if operator.kind != "view" and operator.outputs]
    if execution == "eager":
        return tuple((index,) for index in runs)
    groups: list[list[int]] = []
    home: dict[int, int] = {}  # root tensor -> the group that makes it
    for index in runs:
        operator = workload.operators[index]
        target = _host(workload, graph, operator, groups, home, engine=execution == "engine")
        if target is None:
            target = len(groups)
            groups.append([])
        groups[target].append(index)
        for output in operator.outputs:
            home[graph.root[output]] = target
    return tuple(tuple(group) for group in groups)


def _host(
    workload: Workload,
    graph: Graph,
    operator: Operator,
    groups: Sequence[Sequence[int]],
    home: dict[int, int],
    *,
    engine: bool,
) -> int | None:
    """The group that an operator joins: the latest that makes one of its inputs, if both allow it."""
    if operator.kind in _LIBRARY or operator.kind in {"unknown"}:
        return None
    sources = [p for p in operator.inputs if graph.root[p] in home]
    if not sources:
        return None
    latest = max(sources, key=lambda p: home[graph.root[p]])
    group = groups[home[graph.root[latest]]]
    kinds = {workload.operators[i].kind for i in group}
    if kinds & {"unknown"} or (kinds & _LIBRARY and not (engine and operator.kind in _POINTWISE | {"norm"})):
        return None
    if kinds & _LIBRARY and operator.kind == "norm" and operator.target != "batch_norm":
        return None
    if operator.target == "batch_norm" or operator.kind in _POINTWISE:
        extent = max(workload.tensors[p].size for p in operator.outputs)
        inlined = kinds <= _POINTWISE and workload.tensors[latest].size < extent  # a gate, say: computed on the way
        fits = inlined or extent == workload.tensors[latest].size
    elif operator.kind in _ROWWISE:
        fits = not kinds & (_ROWWISE | {"pool"})
    else:
        fits = operator.kind in {"copy"} and not kinds & (_ROWWISE | _INDEXED)
    return home[graph.root[latest]] if fits else None
