"""Weights in few bits, activations in float: less to store and to fetch, the same arithmetic.

Three ways. A captured graph gets weights that are rounded and back in float, which tells what is lost and what they
would take; it runs anywhere, no faster. Or it holds them as whole numbers, which targets write as they are. A module's
linear layers get torchao's packed tensors, which have kernels.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import fx, nn
from torchao.quantization import (
    Float8DynamicActivationFloat8WeightConfig,
    Float8WeightOnlyConfig,
    Int8DynamicActivationInt8WeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerAxis,
    PerGroup,
    PerRow,
    quantize_,
)
from torchao.quantization.pt2e import MappingType
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, Quantizer

from modelwright.errors import SettingError, UnknownNameError
from modelwright.quantize.annotate import KEY
from modelwright.quantize.dynamic import weight_spec
from modelwright.quantize.graph import layers, node_of, parameter
from modelwright.quantize.numerics import fake_quantize, parameters, ranges
from modelwright.quantize.techniques.channels import weight_axis
from modelwright.records import Quantization, Scheme

SCALE_BYTES = 4
"""Scales are kept in fp32."""
FLOAT8 = (8, 9)
"""The least compute capability with kernels for 8-bit floats (Ada Lovelace)."""


@final
@dataclass(frozen=True)
class Compressed:
    """What weights in few bits take.

    Attributes:
        layers: that were rounded.
        size_bytes: of all parameters and buffers, rounded weights packed tightly, with their scales and zero points.
        float_bytes: of the same before.
        notes: what was left in float, and why.
    """

    layers: tuple[str, ...]
    size_bytes: int
    float_bytes: int
    notes: tuple[str, ...] = ()


def round_weights(graph: fx.GraphModule, recipe: Quantization) -> Compressed:
    """Round the weights of convolutions and linear layers, in place; activations and biases stay in float.

    Groups lie along a row of a weight as a matrix of (outputs, all else); a row that they do not divide stays in float.

    Args:
        graph: as it was captured; its weights become those that would be unpacked.
        recipe: the scheme of the weights, and in `layers` what stays in float.

    Raises:
        UnknownNameError: the recipe names a layer that the graph does not have.
    """
    known = {layer.name: layer for layer in layers(graph)}
    for name in recipe.layers:
        if name not in known:
            raise UnknownNameError("layer", name, known)
    held = {id(value): value for value in (*graph.parameters(), *graph.buffers())}
    whole = sum(value.numel() * value.element_size() for value in held.values())
    size, done, notes = whole, list[str](), list[str]()
    rounded: set[int] = set()
    for layer in known.values():
        if not layer.weight or recipe.layers.get(layer.name, "int8") != "int8":
            continue
        weight = parameter(graph, layer.weight)
        if id(weight) not in rounded:
            bytes_ = _round(weight, weight_axis(node_of(graph, layer.node)), recipe.weights)
            if bytes_ is None:
                notes.append(f"{layer.name} stays in float: groups of {recipe.weights.group} do not divide its rows")
                continue
            size += bytes_ - weight.numel() * weight.element_size()
            rounded.add(id(weight))
        done.append(layer.name)
    return Compressed(tuple(done), size, whole, tuple(notes))


def whole_weights(graph: fx.GraphModule, recipe: Quantization, inputs: tuple[torch.Tensor, ...]) -> fx.GraphModule:
    """A copy of a graph that holds the weights of its layers as whole numbers, and computes in floats.

    Args:
        graph: as it was captured.
        recipe: the scheme of the weights, by tensor or channel, and in `layers` what stays in float.
        inputs: an example, on which weights are looked at.

    Raises:
        UnknownNameError: the recipe names a layer that the graph does not have.
        SettingError: weights in groups; there is no layer to quantize.
    """
    if recipe.weights.granularity == "group":
        way_out = "Take a scale a channel; `pack` takes groups."
        raise SettingError("a graph holds whole weights by tensor or channel", value="group", way_out=way_out)
    known = {layer.name: layer for layer in layers(graph)}
    for name in recipe.layers:
        if name not in known:
            raise UnknownNameError("layer", name, known)
    chosen = {one.node for one in known.values() if one.weight and recipe.layers.get(one.name, "int8") == "int8"}
    if not chosen:
        rule = "there must be a layer with weights to quantize"
        raise SettingError(rule, where="recipe, layers", value=0, way_out="Leave fewer layers in float.")
    prepared = prepare_pt2e(copy.deepcopy(graph), _Weights(recipe.weights, frozenset(chosen)))
    with torch.no_grad():
        prepared(*inputs)
    made: fx.GraphModule = convert_pt2e(prepared)
    return made


@final
@dataclass(frozen=True)
class _Weights(Quantizer):  # type: ignore[misc]  # torchao ships no types
    """Marks weights alone.

    Attributes:
        scheme: of theirs.
        chosen: names of the nodes whose weights are quantized.
    """

    scheme: Scheme
    chosen: frozenset[str]

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Mark the weights of the layers that are chosen."""
        for node in model.graph.nodes:
            if node.name in self.chosen:
                spec = weight_spec(self.scheme, weight_axis(node))
                node.meta[KEY] = QuantizationAnnotation(input_qspec_map={node.args[1]: spec}, _annotated=True)
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """All rules are checked before."""


def pack(module: nn.Module, recipe: Quantization) -> nn.Module:
    """A copy of a module whose linear layers hold torchao's packed weights, and run with its kernels.

    "weight-only": eight bits a channel, or fewer bits or groups, are unpacked before they are used. "dynamic": eight
    bits for weights and activations, each row of which has a scale that is found as it runs. "fp8" for a layer:
    8-bit floats, on a CUDA device that has them.

    Args:
        module: left as it is.
        recipe: kind, the scheme of the weights, and in `layers` what is in other numbers, by the module's own names.

    Raises:
        UnknownNameError: the recipe names a linear layer that the module does not have.
        SettingError: there is no kernel for what is asked, or nothing to quantize.
    """
    lines = {name: part for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    for name in recipe.layers:
        if name not in lines:
            raise UnknownNameError("linear layer", name, lines)
    numbers = {name: recipe.layers.get(name, "int8") for name in lines}
    made = copy.deepcopy(module).eval()
    for kind in ("int8", "fp8"):
        names = {name for name, chosen in numbers.items() if chosen == kind}
        if names:
            config = _whole(recipe) if kind == "int8" else _float8(recipe, lines[min(names)].weight)
            _check_groups(recipe, {name: lines[name] for name in names} if kind == "int8" else {})
            quantize_(made, config, filter_fn=lambda part, name, names=names: name in names)
    if not set(numbers.values()) & {"int8", "fp8"}:
        rule = "there must be a linear layer to quantize"
        raise SettingError(rule, where=type(module).__name__, value=len(lines), way_out="Capture it and use a target.")
    return made


@torch.no_grad()
def _round(weight: torch.Tensor, axis: int, scheme: Scheme) -> int | None:
    """Round a weight in place; the bytes that it would take, None where groups do not divide its rows."""
    grouped = scheme.granularity == "group"
    rows = weight.movedim(axis, 0)
    given = rows.flatten(1) if grouped else rows
    if grouped and given.shape[1] % scheme.group:
        return None
    scale, zero_point = parameters(*ranges(given, scheme), scheme)
    rows.copy_(fake_quantize(given, scale, zero_point, scheme).reshape(rows.shape))
    extra = scale.numel() * (SCALE_BYTES + (0 if scheme.symmetric else 1))
    return math.ceil(weight.numel() * scheme.bits / 8) + extra


def _whole(recipe: Quantization) -> Any:
    """torchao's configuration for whole numbers.

    Raises:
        SettingError: there is none.
    """
    scheme = recipe.weights
    plain = scheme.bits == 8 and scheme.symmetric and scheme.signed and scheme.granularity == "channel"
    if recipe.kind == "dynamic":
        if not plain:
            rule = "dynamic kernels read weights of 8 bits, signed and symmetric, one scale a channel"
            raise SettingError(rule, where="recipe, weights", value=scheme, way_out="Take WEIGHTS, or 'weight-only'.")
        return Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    if recipe.kind != "weight-only":
        rule = "packed weights serve kind 'weight-only' or 'dynamic'"
        raise SettingError(rule, where="recipe", value=recipe.kind, way_out="Capture the module and use a target.")
    if not scheme.signed or scheme.granularity == "tensor":
        rule = "packed weights are signed, with one scale a channel or a group"
        raise SettingError(rule, where="recipe, weights", value=scheme, way_out="Take WEIGHTS.")
    if plain:
        return Int8WeightOnlyConfig(set_inductor_config=False)
    return IntxWeightOnlyConfig(
        weight_dtype=getattr(torch, f"int{scheme.bits}"),
        granularity=PerGroup(scheme.group) if scheme.granularity == "group" else PerAxis(0),
        mapping_type=MappingType.SYMMETRIC if scheme.symmetric else MappingType.ASYMMETRIC,
    )


def _float8(recipe: Quantization, weight: torch.Tensor) -> Any:
    """torchao's configuration for 8-bit floats.

    Raises:
        SettingError: the device has no kernels for them.
    """
    able = weight.is_cuda and torch.cuda.get_device_capability(weight.device) >= FLOAT8
    if not able:
        rule = f"8-bit floats need a CUDA device of compute capability {FLOAT8[0]}.{FLOAT8[1]} or more"
        way_out = "Move the module to one, or take int8."
        raise SettingError(rule, where="recipe, layers", value=str(weight.device), way_out=way_out)
    if recipe.kind == "dynamic":
        return Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False)
    return Float8WeightOnlyConfig(set_inductor_config=False)


def _check_groups(recipe: Quantization, lines: dict[str, nn.Linear]) -> None:
    if recipe.weights.granularity != "group":
        return
    for name, line in lines.items():
        if line.in_features % recipe.weights.group:
            rule = f"groups of {recipe.weights.group} must divide a layer's inputs"
            way_out = "Take a group that divides it, or leave the layer in float."
            raise SettingError(rule, where=name, value=line.in_features, way_out=way_out)
