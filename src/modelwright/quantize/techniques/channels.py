"""Weights by their channels, whatever the layer; which layers a recipe quantizes, and which may be changed alone."""

from collections import Counter

import torch
from torch import fx

from modelwright.quantize.graph import TRANSPOSED, Layer, layers, node_of, parameter
from modelwright.quantize.numerics import fake_quantize, parameters, ranges
from modelwright.records import Quantization, Scheme


def wanted(graph: fx.GraphModule, recipe: Quantization) -> tuple[Layer, ...]:
    """The layers with a weight of their own that a recipe quantizes."""
    if recipe.kind == "float":
        return ()
    return tuple(layer for layer in alone(graph) if recipe.layers.get(layer.name, "int8") == "int8")


def alone(graph: fx.GraphModule) -> tuple[Layer, ...]:
    """The layers whose weight and bias nothing else uses, so that they can be changed by themselves."""
    uses = Counter[int]()
    for node in graph.graph.nodes:
        if node.op == "get_attr" and node.users:
            uses[id(parameter(graph, str(node.target)))] += len(node.users)
    return tuple(
        layer
        for layer in layers(graph)
        if layer.weight and all(uses[id(parameter(graph, path))] == 1 for path in (layer.weight, layer.bias) if path)
    )


def grouped(graph: fx.GraphModule, layer: Layer) -> torch.Tensor:
    """A view of a layer's weight as (groups, outputs of one, inputs of one, kernel...)."""
    node, weight = node_of(graph, layer.node), parameter(graph, layer.weight)
    if layer.kind == "linear":
        return weight.unsqueeze(0)
    transposed = node.target in TRANSPOSED
    groups = int(node.args[6] if len(node.args) > 6 else node.kwargs.get("groups", 1))  # type: ignore[arg-type]  # a literal
    parted = weight.view(groups, -1, *weight.shape[1:])
    return parted.transpose(1, 2) if transposed else parted


def weight_axis(node: fx.Node) -> int:
    """On which axis of its weight a layer has its output channels."""
    return 1 if node.target in TRANSPOSED else 0


def output_axis(node: fx.Node) -> int:
    """On which axis of its output a layer has its channels: the last of a linear's, else the second."""
    return int(node.meta["val"].ndim) - 1 if "linear" in str(node.target) else 1


def rounded(weight: torch.Tensor, node: fx.Node, scheme: Scheme) -> torch.Tensor:
    """A layer's weight, quantized by a scheme to the nearest and back.

    Raises:
        SettingError: its last axis cannot be cut into groups.
    """
    axis = weight_axis(node)
    return fake_quantize(weight, *parameters(*ranges(weight, scheme, axis), scheme), scheme, axis)


def add_bias(graph: fx.GraphModule, layer: Layer, values: torch.Tensor) -> None:
    """Add to a layer's bias, which is made where there is none; values of (outputs,)."""
    with torch.no_grad():
        if layer.bias:
            parameter(graph, layer.bias).add_(values)
            return
        node = node_of(graph, layer.node)
        home, _, name = layer.weight.rpartition(".")
        owner = graph.get_submodule(home)
        owner.register_parameter(f"{name}_bias", torch.nn.Parameter(values.clone()))
        with graph.graph.inserting_before(node):
            made = graph.graph.get_attr(f"{home}.{name}_bias" if home else f"{name}_bias")
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor):
            made.meta["val"] = value.new_empty(values.shape)
        node.args = (*node.args[:2], made, *node.args[3:])
        graph.recompile()
