"""How much main memory a network needs at once: its weights, and the largest set of activations alive together."""

from modelwright.hardware.fusion import resolve
from modelwright.hardware.precision import assign
from modelwright.records import Policy, Workload


def peak_bytes(workload: Workload, batch: int, policy: Policy) -> float:
    """Bytes of the weights plus the peak of live activations; those are freed after their last reader."""
    graph, widths = resolve(workload), assign(workload, policy).widths
    scale = batch / workload.batch
    sizes = [
        tensor.size * width * (scale if tensor.batched else 1.0)
        for tensor, width in zip(workload.tensors, widths, strict=True)
    ]
    last: dict[int, int] = {}
    for index, operator in enumerate(workload.operators):
        for position in (*operator.inputs, *operator.outputs):
            last[graph.root[position]] = index
    for position in workload.outputs:
        last[graph.root[position]] = len(workload.operators)
    fixed = sum(
        size for size, tensor in zip(sizes, workload.tensors, strict=True) if tensor.role in ("weight", "buffer")
    )
    alive = sum(size for size, tensor in zip(sizes, workload.tensors, strict=True) if tensor.role == "input")
    peak = alive
    for index, operator in enumerate(workload.operators):
        if operator.kind != "view":
            made = sum(sizes[p] for p in operator.outputs)
            taken = sizes[graph.root[operator.inputs[0]]] if operator.in_place and operator.inputs else 0.0
            alive += max(0.0, made - taken) if operator.in_place else made
            peak = max(peak, alive)
        for root in {graph.root[p] for p in (*operator.inputs, *operator.outputs)}:
            role = workload.tensors[root].role
            if last[root] == index and role not in ("weight", "buffer"):
                alive -= (
                    0.0
                    if operator.in_place and operator.inputs and root == graph.root[operator.inputs[0]]
                    else sizes[root]
                )
    return fixed + peak
