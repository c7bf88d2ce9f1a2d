"""From a workload to the kernels that a platform runs: each with its products, vector work and memory accesses."""

import itertools
import math
from collections.abc import Iterator, Sequence

import msgspec

from modelwright.hardware.arithmetic import SCORE_INSTRUCTIONS, instructions
from modelwright.hardware.fusion import Graph, fuse, resolve
from modelwright.hardware.precision import Assignment, Cast, assign
from modelwright.records import Execution, Operator, Platform, Policy, Product, Tensor, Workload

_NEEDS_ROW_MAJOR = frozenset({"layer_norm", "group_norm", "softmax", "log_softmax", "native_layer_norm"})


SECTOR = 32
"""Bytes that a GPU's second-level cache moves at least."""


class Access(msgspec.Struct, frozen=True):
    """Bytes of one tensor that a kernel reads or writes; `fixed` ones do not grow with the batch."""

    root: int
    bytes: float
    write: bool = False


class Multiplication(msgspec.Struct, frozen=True):
    """A product as the matrix units see it: `taps` windows of `channels` inner elements, one for plain products."""

    count: float
    m: float
    n: float
    channels: int
    taps: int
    width: int
    grouped: bool = False
    share: float = 1.0


class Kernel(msgspec.Struct, frozen=True):
    """One launch: what it computes and what it touches, for a whole batch.

    `scattered` counts the bytes of the memory sectors that strided access pulls from the nearest level. A `serial`
    kernel does its vector work between its matrix work, not beside it.
    """

    name: str
    layer: str
    kind: str
    operators: tuple[str, ...]
    precision: str
    multiplications: tuple[Multiplication, ...] = ()
    macs: float = 0.0
    instructions: float = 0.0
    special: float = 0.0
    accesses: tuple[Access, ...] = ()
    scattered: float = 0.0
    serial: bool = False
    host: float = 1.0


class Plan(msgspec.Struct, frozen=True):
    """All kernels of a workload in order, with what residency needs: roots of weights, of inputs and of results."""

    kernels: tuple[Kernel, ...]
    weights: frozenset[int]
    inputs: frozenset[int]
    results: frozenset[int] = frozenset()


class _Context(msgspec.Struct, frozen=True):
    workload: Workload
    graph: Graph
    assignment: Assignment
    platform: Platform
    execution: Execution
    scale: float
    read_widths: dict[int, int]


def plan(workload: Workload, platform: Platform, batch: int, policy: Policy, execution: Execution) -> Plan:
    """The kernels that the platform runs for one batch under a precision policy and a way of running."""
    graph = resolve(workload)
    assignment = assign(workload, policy)
    context = _Context(
        workload,
        graph,
        assignment,
        platform,
        execution,
        batch / workload.batch,
        _read_widths(workload, graph, assignment),
    )
    groups = fuse(workload, graph, execution, generated=platform.kind == "tpu")
    maker = {graph.root[p]: g for g, group in enumerate(groups) for i in group for p in workload.operators[i].outputs}
    results = {graph.root[p] for p in workload.outputs}
    kernels: list[Kernel] = []
    for number, group in enumerate(groups):
        for index in group:
            kernels.extend(_before(context, index))
        kernels.append(_kernel(context, group, number, maker, results))
        kernels.extend(_after(context, group))
    roles = [tensor.role for tensor in workload.tensors]
    return Plan(
        tuple(kernels),
        frozenset(i for i, tensor in enumerate(workload.tensors) if not tensor.batched),
        frozenset(i for i, role in enumerate(roles) if role == "input"),
        frozenset(results),
    )


def _read_widths(workload: Workload, graph: Graph, assignment: Assignment) -> dict[int, int]:
    """Root -> the widest width at which compiled code reads it: conversions join the producer."""
    widest: dict[int, int] = {}
    for index, operator in enumerate(workload.operators):
        if operator.kind == "view":
            continue
        cast = {c.tensor: c.write for c in assignment.casts[index]}
        for position in operator.inputs:
            root = graph.root[position]
            widest[root] = max(widest.get(root, 0), cast.get(position, assignment.widths[position]))
    return widest


def _bytes(context: _Context, position: int, width: int) -> float:
    """Bytes of a tensor for the whole batch."""
    grown = context.scale if context.workload.tensors[position].batched else 1.0
    return context.graph.size[position] * width * grown


def _width(context: _Context, index: int, position: int) -> int:
    """Bytes an element at which an operator reads one of its inputs."""
    for cast in context.assignment.casts[index]:
        if cast.tensor == position:
            return cast.write
    width = context.assignment.widths[position]
    if context.execution == "eager":
        return width
    return min(width, context.read_widths.get(context.graph.root[position], width))


def _before(context: _Context, index: int) -> Iterator[Kernel]:
    """Kernels that must run first: precision conversions, and copies into the memory order an operator insists on."""
    operator = context.workload.operators[index]
    for cast in context.assignment.casts[index]:
        given = context.workload.tensors[context.graph.root[cast.tensor]].role != "activation"  # no producer to join
        if context.execution == "eager" or given:
            yield _copy(context, operator, cast.tensor, "cast", cast)
    if context.execution != "engine":
        for position in _reordered(operator, context.workload, gpu=context.platform.kind == "gpu"):
            width = _width(context, index, position)
            yield _copy(context, operator, position, "copy", Cast(position, width, width))
    if _changes_layout(context, operator):
        width = _width(context, index, operator.inputs[0])
        yield _copy(context, operator, operator.inputs[0], "layout", Cast(operator.inputs[0], width, width))


def _after(context: _Context, group: Sequence[int]) -> Iterator[Kernel]:
    """Kernels that eager mode runs behind: the way back to a memory order, and adding a convolution's bias."""
    for index in group:
        operator = context.workload.operators[index]
        width = context.assignment.widths[operator.outputs[0]]
        source = context.workload.tensors[operator.inputs[0]] if operator.inputs else None
        if operator.target == "group_norm" and _eager_gpu(context) and source and source.channels_last:
            # CUDA's kernel writes row-major order
            yield _copy(context, operator, operator.outputs[0], "copy", Cast(operator.outputs[0], width, width))
        if operator.kind != "convolution":
            continue
        if _changes_layout(context, operator):
            yield _copy(context, operator, operator.outputs[0], "layout", Cast(operator.outputs[0], width, width))
        if context.execution == "eager" and context.platform.kind == "gpu" and len(operator.inputs) > 2:
            yield _copy(context, operator, operator.outputs[0], "bias", Cast(operator.outputs[0], width, width))


def _copy(context: _Context, operator: Operator, position: int, what: str, cast: Cast) -> Kernel:
    root = context.graph.root[position]
    elements = _bytes(context, position, 1)
    tensor = context.workload.tensors[position]
    strided = what == "copy" and _eager_gpu(context)
    return Kernel(
        scattered=sector_bytes(tensor, (), cast.read) * elements / tensor.size if strided else 0.0,
        name=f"{operator.name}.{what}",
        layer=operator.layer,
        kind="cast" if what == "cast" else "elementwise" if what == "bias" else "copy",
        operators=(operator.name,),
        precision="fp32" if cast.write == 4 else "fp16",
        instructions=elements,
        accesses=(Access(root, elements * cast.read), Access(root, elements * cast.write, write=True)),
    )


def _reordered(operator: Operator, workload: Workload, *, gpu: bool) -> Iterator[int]:
    """Inputs that an operator copies into row-major order before it runs."""
    if operator.target in _NEEDS_ROW_MAJOR:
        first = workload.tensors[operator.inputs[0]]
        kept = operator.target == "group_norm" and first.channels_last and not gpu
        if not first.contiguous and not kept:
            yield operator.inputs[0]
    elif operator.kind == "product" and operator.target != "einsum":
        for position in operator.inputs[:2]:
            tensor = workload.tensors[position]
            if tensor.role == "activation" and len(tensor.shape) > 2 and not _stacks(tensor.shape, tensor.strides):
                yield position


def _stacks(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether all axes but the last two lie evenly one after another, so that they can be walked as one."""
    if not strides:
        return True
    lead = [(axis, step) for axis, step in zip(shape[:-2], strides[:-2], strict=True) if axis > 1]
    even = all(outer[1] == inner[0] * inner[1] for outer, inner in itertools.pairwise(lead))
    return even and min(strides[-2:]) <= 1


def _changes_layout(context: _Context, operator: Operator) -> bool:
    """Whether tensor cores need the channels last where the tensor has them second (cuDNN developer guide)."""
    if operator.kind != "convolution" or context.platform.kind != "gpu" or context.execution != "eager":
        return False
    product, window = operator.products[0], operator.window
    source = context.workload.tensors[operator.inputs[0]]
    tensor_cores = context.assignment.widths[operator.outputs[0]] <= 2
    plain = window is not None and math.prod(window.kernel) == 1
    return tensor_cores and not source.channels_last and len(source.shape) == 4 and product.n > 1 and not plain


def _kernel(context: _Context, group: Sequence[int], number: int, maker: dict[int, int], results: set[int]) -> Kernel:
    operators = [context.workload.operators[i] for i in group]
    lead = next((o for o in operators if o.products), operators[0])
    work = [_vector_work(context, operator) for operator in operators]
    grouped = lead.kind == "convolution" and lead.products[0].k == math.prod(lead.window.kernel if lead.window else ())
    return Kernel(
        name=lead.name,
        layer=lead.layer,
        kind="depthwise" if grouped and lead.products[0].count > 1 else lead.kind,
        operators=tuple(operator.name for operator in operators),
        precision=context.assignment.matrix[group[0]],
        multiplications=tuple(m for i in group for m in _multiplications(context, i)),
        macs=sum(_scaled(product, context.scale).macs for operator in operators for product in operator.products),
        instructions=sum(simple for simple, _ in work),
        special=sum(special for _, special in work),
        accesses=tuple(_accesses(context, group, number, maker, results)),
        serial=lead.kind == "attention",
        scattered=sum(_scattered(context, i) for i in group) if _eager_gpu(context) else 0.0,
    )


def _eager_gpu(context: _Context) -> bool:
    return context.execution == "eager" and context.platform.kind == "gpu"


def _scattered(context: _Context, index: int) -> float:
    """Sector bytes of the inputs that an element-by-element operator reads in another order than it writes."""
    operator = context.workload.operators[index]
    if operator.kind not in {"copy", "cast", "elementwise", "activation"}:
        return 0.0
    result = context.workload.tensors[operator.outputs[0]]
    total = 0.0
    for position in operator.inputs:
        tensor = context.workload.tensors[position]
        if tensor.size * 4 >= result.size and tensor.batched:
            order = result.strides if tensor.shape == result.shape else ()
            total += context.scale * sector_bytes(tensor, order, _width(context, index, position))
    return total


def sector_bytes(tensor: Tensor, order: tuple[int, ...], width: int) -> float:
    """Bytes of 32-byte sectors that reading a tensor in another tensor's order touches; 0 where both run alike.

    PyTorch's element-wise kernels walk their output in its memory order. Where the input's neighbours lie elsewhere,
    every element costs a sector of its own, or as many as the output's innermost axis is long (CUDA C++ best practices
    guide, "Strided accesses").
    """
    shape = tensor.shape
    innermost = _innermost(shape, order) if order else max((a for a, n in enumerate(shape) if n > 1), default=0)
    step = tensor.strides[innermost] if tensor.strides else math.prod(shape[innermost + 1 :])
    if step <= 1:
        return 0.0
    return tensor.size * width * min(shape[innermost], SECTOR / width)


def _innermost(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    return min((axis for axis, length in enumerate(shape) if length > 1), key=lambda axis: strides[axis], default=0)


def _scaled(product: Product, scale: float) -> Product:
    if product.grows == "m":
        return msgspec.structs.replace(product, m=max(1, round(product.m * scale)))
    if product.grows == "count":
        return msgspec.structs.replace(product, count=max(1, round(product.count * scale)))
    return product


def _multiplications(context: _Context, index: int) -> Iterator[Multiplication]:
    operator = context.workload.operators[index]
    width = min((_width(context, index, p) for p in operator.inputs[:1]), default=4)
    if operator.kind == "attention":
        yield from _attention(context, operator, width)
        return
    for product in operator.products:
        scaled = _scaled(product, context.scale)
        taps = math.prod(operator.window.kernel) if operator.window and not operator.window.transposed else 1
        yield Multiplication(
            count=scaled.count,
            m=scaled.m,
            n=scaled.n,
            channels=scaled.k // taps,
            taps=taps,
            width=width,
            grouped=operator.kind == "convolution" and scaled.count > 1,
        )


def _attention(context: _Context, operator: Operator, width: int) -> Iterator[Multiplication]:
    """Both products of fused attention, padded to its blocks of queries and keys on a GPU."""
    scores, values = (_scaled(product, context.scale) for product in operator.products)
    share = 0.5 if operator.causal else 1.0
    queries, keys = _blocks(context, scores)
    yield Multiplication(scores.count, queries, keys, scores.k, 1, width, share=share)
    yield Multiplication(values.count, queries, values.n, round(keys), 1, width, share=share)


def _blocks(context: _Context, scores: Product) -> tuple[float, float]:
    """Queries and keys padded to FlashAttention-2's blocks: 128 by 128, or by 64 for heads over 64 wide."""
    if context.platform.kind != "gpu":
        return scores.m, scores.n
    block = 128 if scores.k <= 64 else 64
    return math.ceil(scores.m / 128) * 128, math.ceil(scores.n / block) * block


def _vector_work(context: _Context, operator: Operator) -> tuple[float, float]:
    """Instructions and special results of an operator for the whole batch."""
    if operator.kind == "attention":
        scores = _scaled(operator.products[0], context.scale)
        queries, keys = _blocks(context, scores)
        count = scores.count * queries * keys * (0.5 if operator.causal else 1.0)
        return SCORE_INSTRUCTIONS * count, count
    simple, special = instructions(operator)
    if operator.kind == "pool":
        positions = operator.outputs[:1]
    else:
        positions = (*operator.inputs, *operator.outputs) if operator.kind != "gather" else operator.outputs
    grown = [_bytes(context, p, 1) for p in positions]
    elements = max(grown, default=0.0)
    return simple * elements, special * elements


def _accesses(
    context: _Context, group: Sequence[int], number: int, maker: dict[int, int], results: set[int]
) -> Iterator[Access]:
    reads: dict[int, dict[int, float]] = {}
    whole: dict[int, float] = {}
    for index in group:
        operator = context.workload.operators[index]
        for order, position in enumerate(operator.inputs):
            root = context.graph.root[position]
            if maker.get(root) == number:
                continue
            size = _bytes(context, position, _width(context, index, position))
            if operator.kind == "gather" and order == 0:
                width = _width(context, index, position)
                size = min(size, sum(_bytes(context, p, width) for p in operator.outputs))
            reads.setdefault(root, {})[position] = size
            whole[root] = max(whole.get(root, 0.0), size, _bytes(context, root, _width(context, index, position)))
    for root, parts in reads.items():  # several slices of one tensor together read no more than the whole
        yield Access(root, min(sum(parts.values()), whole[root]))
    for index in group:
        for position in context.workload.operators[index].outputs:
            root = context.graph.root[position]
            outside = any(taker not in group for taker in context.graph.takers.get(root, ()))
            if outside or root in results or not context.graph.takers.get(root):
                width = context.assignment.widths[position]
                if context.execution != "eager":
                    width = min(width, context.read_widths.get(root, width))
                yield Access(root, _bytes(context, position, width), write=True)
