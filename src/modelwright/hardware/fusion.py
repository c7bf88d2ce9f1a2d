"""Which operators run as one kernel, for each way of running a network.

eager: one kernel an operator. compiled and graph (TorchInductor): pointwise operators join each other and the reduction
they feed or follow; convolutions and matrix products are library calls of their own. engine (TensorRT, OpenVINO, XLA):
pointwise operators also join the convolution or product whose result they take. On a TPU, where XLA generates the
convolution itself, a reduction joins too (several results of one fusion), and so does what is done to the operand on
its way in (a gate, an activation). Views never run.

Sources: Ansel et al., PyTorch 2, ASPLOS 2024, section 4 (Inductor's scheduler fuses pointwise and reduction nodes,
library calls stay apart); NVIDIA TensorRT developer guide, "Layer fusion"; XLA, "XLA:TPU fusion": convolutions take
part in output fusions, multi-output fusions and fusions of their operands' producers.
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


def fuse(
    workload: Workload, graph: Graph, execution: Execution, *, generated: bool = False
) -> tuple[tuple[int, ...], ...]:
    """Operators (by position) that run together, in the order of execution.

    Args:
        workload: the network.
        graph: its views seen through.
        execution: how it runs.
        generated: an engine writes its own convolutions and products (XLA on a TPU) instead of calling a library's.
    """
    runs = [i for i, operator in enumerate(workload.operators) if operator.kind != "view" and operator.outputs]
    if execution == "eager":
        return tuple((index,) for index in runs)
    groups: list[list[int]] = []
    home: dict[int, int] = {}  # root tensor -> the group that makes it
    for index in runs:
        operator = workload.operators[index]
        if operator.kind in _LIBRARY:
            target = _operand(workload, graph, index, groups, home) if generated and execution == "engine" else None
        else:
            mode = (execution == "engine", generated)
            target = _host(workload, graph, operator, groups, home, mode)
        if target is None:
            target = len(groups)
            groups.append([])
        groups[target].append(index)
        for output in operator.outputs:
            home[graph.root[output]] = target
    return tuple(tuple(group) for group in groups)


def _operand(
    workload: Workload, graph: Graph, index: int, groups: Sequence[Sequence[int]], home: dict[int, int]
) -> int | None:
    """The pointwise group whose only result a convolution or product takes, to be computed on the way in."""
    homes = {p: home[graph.root[p]] for p in workload.operators[index].inputs if graph.root[p] in home}
    if not homes:
        return None
    position = max(homes, key=lambda p: homes[p])
    members = groups[homes[position]]
    pointwise = all(_is_pointwise(workload.operators[i]) for i in members)
    roots = {graph.root[p] for i in members for p in workload.operators[i].outputs}
    takers = {taker for root in roots for taker in graph.takers.get(root, ())} - set(members)
    return homes[position] if pointwise and takers == {index} else None


def _is_pointwise(operator: Operator) -> bool:
    return operator.kind in _POINTWISE or operator.target == "batch_norm"


def _host(
    workload: Workload,
    graph: Graph,
    operator: Operator,
    groups: Sequence[Sequence[int]],
    home: dict[int, int],
    mode: tuple[bool, bool],
) -> int | None:
    """The group that an operator joins: the latest that makes one of its inputs, if both allow it."""
    sources = [p for p in operator.inputs if graph.root[p] in home]
    if operator.kind == "unknown" or not sources:
        return None
    latest = max(sources, key=lambda p: home[graph.root[p]])
    group = groups[home[graph.root[latest]]]
    kinds = {workload.operators[i].kind for i in group}
    engine, generated = mode
    reduces = generated and operator.kind == "reduction"
    if "unknown" in kinds or (kinds & _LIBRARY and not (engine and (_is_pointwise(operator) or reduces))):
        return None
    if _is_pointwise(operator):
        extent = max(workload.tensors[p].size for p in operator.outputs)
        inlined = kinds <= _POINTWISE and workload.tensors[latest].size < extent  # a gate, say: computed on the way
        fits = inlined or extent == workload.tensors[latest].size
    elif operator.kind in _ROWWISE:
        fits = not kinds & (_ROWWISE | {"pool"})
    else:
        fits = operator.kind == "copy" and not kinds & (_ROWWISE | _INDEXED)
    return home[graph.root[latest]] if fits else None
