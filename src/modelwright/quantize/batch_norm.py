"""Batch normalisation and dropout in a captured graph, where `train()` and `eval()` do not reach.

torchao switches them by rewriting patterns, which sets every momentum to 0.1 and every epsilon to 1e-5; so do the
patterns by which it trains with batch normalisation folded (conv(x, q(w f)) / f, f = gamma / sqrt(variance + epsilon),
then the normalisation), and those by which it folds for good. Here the operators' own arguments are set.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import fx

from modelwright.quantize.graph import parameter

aten = torch.ops.aten

NORM = aten.batch_norm.default
DROPOUTS = (aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default)
VARIANCE, TRAINING, MOMENTUM, EPSILON = 4, 5, 6, 7
"""Where they stand among the arguments of a batch normalisation."""
TORCHAO = 1e-5
"""The epsilon of torchao's patterns."""

Constants = tuple[float, float]
"""Momentum (the share of the new batch) and epsilon."""


def norms_of(graph: fx.GraphModule) -> dict[str, Constants]:
    """The constants of each batch normalisation, by the path of its running variance."""
    return {_variance(node): (float(node.args[MOMENTUM]), float(node.args[EPSILON])) for node in _norms(graph)}  # type: ignore[arg-type]  # literals


def set_norms(graph: fx.GraphModule, constants: Mapping[str, Constants]) -> None:
    """Give batch normalisations their constants, also where torchao computes what weights are folded with."""
    for node in _norms(graph):
        if _variance(node) in constants:
            momentum, epsilon = constants[_variance(node)]
            _set(node, MOMENTUM, momentum)
            _set(node, EPSILON, epsilon)
    for node in graph.graph.nodes:
        if node.target is aten.add.Tensor and isinstance(node.args[0], fx.Node) and node.args[1] == TORCHAO:
            path = str(node.args[0].target)
            if node.args[0].op == "get_attr" and path in constants:
                _set(node, 1, constants[path][1])
    graph.recompile()


def fold_norms(graph: fx.GraphModule) -> None:
    """Put batch normalisations into the convolutions that train with them: their weights become w f, in place.

    The quantization of these weights stays as it is, for it was that of w f already. Normalisations elsewhere stay.
    """
    for node in list(_norms(graph)):
        before: Any = node.args[0]
        added = before.target is aten.add.Tensor
        quotient = before.args[0] if added else before
        if getattr(quotient, "target", None) is not aten.div.Tensor or not _trains_folded(quotient.args[0]):
            continue
        bias = before.args[1].args[0] if added else None
        _fold(graph, node, quotient.args[0], bias)
        node.replace_all_uses_with(quotient.args[0])
    graph.graph.eliminate_dead_code()
    graph.recompile()


def set_mode(graph: fx.GraphModule, *, norms: bool, dropout: bool) -> None:
    """Train or evaluate: whether each batch is normalised by itself and counted in, and whether anything drops out."""
    changed = [_set(node, TRAINING, norms) for node in _norms(graph)]
    changed += [_set(node, 2, dropout) for node in graph.graph.nodes if node.target in DROPOUTS]
    if any(changed):
        graph.recompile()


@torch.no_grad()
def _fold(graph: fx.GraphModule, norm: fx.Node, layer: fx.Node, bias: fx.Node | None) -> None:
    """Give a convolution the weight and the bias with which it does what the normalisation after it did."""
    paths = [str(given.target) for given in norm.args[1:5] if isinstance(given, fx.Node)]
    gamma, beta, mean, variance = (parameter(graph, path) for path in paths)
    simulation: Any = layer.args[1]
    scaled = simulation.args[0]
    weight, shape = parameter(graph, str(scaled.args[0].target)), scaled.args[1].args[1]
    factor = gamma / (variance + float(norm.args[EPSILON])).sqrt()  # type: ignore[arg-type]  # a literal
    weight.mul_(factor.reshape(shape))
    simulation.update_arg(0, scaled.args[0])
    shift = beta - mean * factor
    if bias is not None:
        parameter(graph, str(bias.target)).mul_(factor).add_(shift)
    else:
        parameter(graph, paths[1]).copy_(shift)
        bias = norm.args[2]  # type: ignore[assignment]  # the normalisation's own, which nothing else needs now
    layer.args = (*layer.args[:2], bias, *layer.args[3:])


def _trains_folded(layer: fx.Node) -> bool:
    """Whether a convolution's weight is quantized after it was multiplied by what a normalisation has."""
    simulation = layer.args[1] if len(layer.args) > 1 else None
    if not isinstance(simulation, fx.Node) or simulation.op != "call_module":
        return False
    scaled = simulation.args[0]
    return isinstance(scaled, fx.Node) and scaled.target is aten.mul.Tensor


def _norms(graph: fx.GraphModule) -> Iterator[fx.Node]:
    """Batch normalisations that keep statistics."""
    for node in graph.graph.nodes:
        if node.target is NORM and isinstance(node.args[VARIANCE], fx.Node):
            yield node


def _variance(node: fx.Node) -> str:
    given: Any = node.args[VARIANCE]
    return str(given.target)


def _set(node: fx.Node, place: int, value: float | bool) -> bool:
    """Set an argument; returns whether it was another."""
    if node.args[place] == value:
        return False
    node.update_arg(place, value)
    return True
