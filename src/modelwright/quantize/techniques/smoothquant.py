"""SmoothQuant: what makes activations hard to quantize moves into weights, which are easy to.

Channel j of what a normalisation gives is divided by s_j = max|X_j|^alpha / max|W_j|^(1 - alpha), in the
normalisation's own weight and bias; the linear layers that read it multiply their weights by s_j. W is that of all of
them together.

Source: Xiao et al., 2022, arXiv 2211.10438, equation 4, with alpha = 0.5.
"""

import torch
from torch import fx

from modelwright.quantize.graph import Layer, node_of, parameter
from modelwright.quantize.techniques.channels import alone
from modelwright.quantize.techniques.stream import Batches, peaks
from modelwright.records import Quantization

aten = torch.ops.aten

ALPHA = 0.5
NORMS = {aten.layer_norm.default: (2, 3), aten.rms_norm.default: (2,), aten._fused_rms_norm.default: (2,)}
"""Operator -> where its parameters stand among its arguments."""
KEEPING = (
    aten.dropout.default, aten.clone.default, aten.contiguous.default, aten.alias.default, aten.view.default,
    aten.reshape.default, aten.slice.Tensor, aten.select.int, aten.unsqueeze.default, aten.squeeze.dim,
    aten.expand.default,
)  # fmt: skip
"""Operators that leave the last axis as it is where they leave its length."""
SMALLEST = 1e-5


def smooth(graph: fx.GraphModule, recipe: Quantization, batches: Batches) -> tuple[str, ...]:
    """Move the outliers of normalised activations into the linear layers that read them; outputs stay the same.

    Args:
        graph: weights of normalisations and linear layers, and biases of normalisations, are changed.
        recipe: a normalisation that no quantized layer reads is left alone.
        batches: inputs on which the activations' peaks are found.

    Returns:
        Notes: how many normalisations, and which could not be changed and why.
    """
    free = {node_of(graph, layer.node): layer for layer in alone(graph) if layer.kind == "linear"}
    notes: list[str] = []
    groups: dict[fx.Node, tuple[Layer, ...]] = {}
    for node in graph.graph.nodes:
        if node.target not in NORMS or recipe.kind == "float":
            continue
        readers = _readers(node, free)
        reason = _obstacle(graph, node, readers)
        if reason:
            notes.append(f"smoothquant: {node.name} stays as it is: {reason}")
        elif any(recipe.layers.get(free[reader].name, "int8") == "int8" for reader in readers or ()):
            groups[node] = tuple(free[reader] for reader in readers or ())
    if not groups:
        return (*notes, "smoothquant: no linear layer follows a normalisation that could be changed")
    seen = peaks(graph, batches, {node: node.meta["val"].ndim - 1 for node in groups}, magnitude=True)
    for node, linears in groups.items():
        _move(graph, node, linears, seen[node])
    count = sum(map(len, groups.values()))
    return (f"smoothquant: {len(groups)} normalisations took over outliers from {count} linear layers", *notes)


def _readers(norm: fx.Node, free: dict[fx.Node, Layer]) -> list[fx.Node] | None:
    """The linear layers that read a normalisation's output; None where something else does, too."""
    found: list[fx.Node] = []
    open_ends = [norm]
    while open_ends:
        here = open_ends.pop()
        for user in here.users:
            if user in free and user.args[0] is here:
                found.append(user)
            elif _keeps(here, user):
                open_ends.append(user)
            else:
                return None
    return found


def _keeps(given: fx.Node, node: fx.Node) -> bool:
    """Whether a node leaves the channels of the last axis where they are."""
    before, after = (one.meta.get("val") for one in (given, node))
    if not isinstance(before, torch.Tensor) or not isinstance(after, torch.Tensor):
        return node.target is aten.sym_size.int  # a length: it reads no numbers
    last = before.ndim - 1
    axes = node.args[1:]
    if node.target is aten.transpose.int:
        return all(int(axis) % before.ndim != last for axis in axes)  # type: ignore[arg-type]  # literals
    if node.target is aten.permute.default:
        return int(axes[0][-1]) % before.ndim == last  # type: ignore[index, arg-type]  # a list of literals
    return node.target in KEEPING and before.shape[-1] == after.shape[-1] and _spares_last(node, last)


def _spares_last(node: fx.Node, last: int) -> bool:
    """Whether an operator that names an axis names another one than the last."""
    if node.target is aten.unsqueeze.default:
        axis = int(node.args[1])  # type: ignore[arg-type]  # a literal
        return (axis if axis >= 0 else axis + last + 2) <= last
    if node.target in (aten.slice.Tensor, aten.select.int, aten.squeeze.dim):
        axis = int(node.args[1] if len(node.args) > 1 else 0)  # type: ignore[arg-type]  # a literal
        return axis % (last + 1) != last
    return True


def _obstacle(graph: fx.GraphModule, norm: fx.Node, readers: list[fx.Node] | None) -> str:
    """Why a normalisation cannot be changed, "" where it can."""
    if readers is None:
        return "something else than linear layers reads it, too"
    if not readers:
        return "no linear layer reads it"
    axes = norm.args[1]
    if not isinstance(axes, list | tuple) or len(axes) != 1:
        return "it normalises more than the last axis"
    for place in NORMS[norm.target]:  # type: ignore[index]  # it is one of them
        given = norm.args[place] if len(norm.args) > place else None
        if given is None and place != 2:
            continue
        if not isinstance(given, fx.Node) or given.op != "get_attr":
            return "it has no weight to change"
        same = [node for node in graph.graph.nodes if node.op == "get_attr" and _is(graph, node, given)]
        if sum(len(node.users) for node in same) > 1:
            return "it shares its weight with another"
    return ""


def _is(graph: fx.GraphModule, one: fx.Node, other: fx.Node) -> bool:
    return parameter(graph, str(one.target)) is parameter(graph, str(other.target))


@torch.no_grad()
def _move(graph: fx.GraphModule, norm: fx.Node, linears: tuple[Layer, ...], peak: torch.Tensor) -> None:
    """Divide a normalisation's channels, and multiply the weights that read them."""
    weights = [parameter(graph, layer.weight) for layer in linears]
    heaviest = torch.stack([weight.abs().amax(0) for weight in weights]).amax(0)
    factor = peak.clamp(min=SMALLEST).pow(ALPHA) / heaviest.clamp(min=SMALLEST).pow(1 - ALPHA)
    factor = torch.where((peak > 0) & (heaviest > 0), factor.clamp(min=SMALLEST), 1.0)
    for place in NORMS[norm.target]:  # type: ignore[index]  # it is one of them
        given = norm.args[place] if len(norm.args) > place else None
        if isinstance(given, fx.Node):
            parameter(graph, str(given.target)).div_(factor)
    for weight in weights:
        weight.mul_(factor)
