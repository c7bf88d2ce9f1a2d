"""From a workload to the kernels that a platform runs: each with its products, vector work and memory accesses."""

import math
from collections.abc import Iterator, Sequence

import msgspec

from modelwright.hardware import processor
from modelwright.hardware.arithmetic import SCORE_INSTRUCTIONS, instructions
from modelwright.hardware.fusion import Graph, fuse, resolve
from modelwright.hardware.kernels import Access, Kernel, Multiplication, Plan, fresh_s
from modelwright.hardware.precision import Assignment, Cast, assign
from modelwright.hardware.strides import sector_bytes, stacks
from modelwright.records import Execution, Operator, Platform, Policy, Product, Workload

_NEEDS_ROW_MAJOR = frozenset({"layer_norm", "group_norm", "softmax", "log_softmax", "native_layer_norm"})


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
    if _library(context, index):
        source = context.workload.tensors[operator.inputs[0]]
        for reorder in processor.before(operator, source, context.execution):
            yield _reorder(context, operator, reorder, _width(context, index, reorder.position))
    if _packed(context, index):
        yield _reorder(context, operator, processor.pack(operator), _width(context, index, operator.inputs[1]))


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
        if _library(context, index):
            for reorder in processor.after(operator, context.workload.tensors[operator.inputs[0]], context.execution):
                yield _reorder(context, operator, reorder, width)


def _library(context: _Context, index: int) -> bool:
    """Whether an operator is a convolution that a processor's library runs call by call."""
    operator = context.workload.operators[index]
    if context.execution not in processor.GRAIN or not operator.inputs:
        return False
    source, width = context.workload.tensors[operator.inputs[0]], _width(context, index, operator.inputs[0])
    return processor.through_library(operator, source, width, context.scale, context.platform)


def _packed(context: _Context, index: int) -> bool:
    operator, library = context.workload.operators[index], _library(context, index)
    return processor.packed(operator, library, context.scale, context.platform, context.execution)


def _reorder(context: _Context, operator: Operator, reorder: processor.Reorder, width: int) -> Kernel:
    plain = _copy(context, operator, reorder.position, reorder.what, Cast(reorder.position, width, width))
    read, written = plain.accesses
    accesses = (read, msgspec.structs.replace(written, fresh=True)) if reorder.whole else (read,)
    start = context.platform.launch.reorder if reorder.library else 0.0
    return msgspec.structs.replace(
        plain,
        instructions=plain.instructions * reorder.instructions,
        accesses=accesses,
        host=0.0,
        extra=start + fresh_s(accesses, context.platform),
        regions=float(reorder.library),
    )


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
            if tensor.role == "activation" and len(tensor.shape) > 2 and not stacks(tensor.shape, tensor.strides):
                yield position


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
    accesses = tuple(_accesses(context, group, number, maker, results))
    calls = sum(_library(context, i) for i in group)
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
        accesses=accesses,
        serial=lead.kind == "attention",
        scattered=sum(_scattered(context, i) for i in group) if _eager_gpu(context) else 0.0,
        extra=calls * context.platform.launch.library + fresh_s(accesses, context.platform),
        regions=1.0 if lead.products else _regions(context, operators),
    )


def _regions(context: _Context, operators: Sequence[Operator]) -> float:
    """Starts on the device that a kernel without products takes: a processor's short loops stay on one core."""
    if context.platform.kind != "cpu" or context.execution not in processor.GRAIN:
        return 1.0
    longest = max(_elements(context, operator) for operator in operators)
    return float(longest >= processor.GRAIN[context.execution])


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
    if context.platform.kind == "cpu":
        source = context.workload.tensors[operator.inputs[0]] if operator.inputs else None
        last = source is not None and source.channels_last
        simple, special = processor.vector_costs(operator, context.execution, last)
    elements = _elements(context, operator)
    return simple * elements + _planes(context, operator), special * elements


def _planes(context: _Context, operator: Operator) -> float:
    """What a processor's loops over planes cost besides."""
    if context.platform.kind != "cpu" or not operator.inputs:
        return 0.0
    source = context.workload.tensors[operator.inputs[0]]
    grown = context.scale if source.batched else 1.0
    return processor.plane(operator, source, context.execution) * math.prod(source.shape[:2]) * grown


def _elements(context: _Context, operator: Operator) -> float:
    """Elements that vector work counts: of the largest tensor, or of what a pooling or a look-up gives."""
    if operator.kind == "pool":
        positions = operator.outputs[:1]
    else:
        positions = (*operator.inputs, *operator.outputs) if operator.kind != "gather" else operator.outputs
    return max((_bytes(context, p, 1) for p in positions), default=0.0)


def _accesses(
    context: _Context, group: Sequence[int], number: int, maker: dict[int, int], results: set[int]
) -> Iterator[Access]:
    reads: dict[int, dict[int, float]] = {}
    whole: dict[int, float] = {}
    for index in group:
        operator = context.workload.operators[index]
        near = operator.inputs[1] if _packed(context, index) else None
        for order, position in enumerate(operator.inputs):
            root = context.graph.root[position]
            if maker.get(root) == number or position == near:
                continue
            size = _bytes(context, position, _width(context, index, position))
            if operator.kind == "gather" and order == 0:
                width = _width(context, index, position)
                size = min(size, sum(_bytes(context, p, width) for p in operator.outputs))
            reads.setdefault(root, {})[position] = size
            whole[root] = max(whole.get(root, 0.0), size, _bytes(context, root, _width(context, index, position)))
    for root, parts in reads.items():  # several slices of one tensor together read no more than the whole
        yield Access(root, min(sum(parts.values()), whole[root]))
    kept = context.execution != "eager" and not any(context.workload.operators[i].products for i in group)
    for index in group:
        fresh = context.platform.kind == "cpu" and context.execution in processor.GRAIN and not kept
        fresh = fresh and not context.workload.operators[index].in_place
        for position in context.workload.operators[index].outputs:
            root = context.graph.root[position]
            outside = any(taker not in group for taker in context.graph.takers.get(root, ()))
            if outside or root in results or not context.graph.takers.get(root):
                width = context.assignment.widths[position]
                if context.execution != "eager":
                    width = min(width, context.read_widths.get(root, width))
                yield Access(root, _bytes(context, position, width), write=True, fresh=fresh)
