"""Dynamic quantization: weights are whole numbers, the ranges of activations are found anew at each run.

It needs no data, and suits layers that wait for their weights rather than compute: matrices and recurrent layers.
Matrices of a captured graph go through torchao's PT2E. Recurrent layers cannot be captured as layers; for them torch's
older way on the module itself is still the only one.
"""

import copy
import warnings
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import fx, nn
from torchao.quantization.pt2e import PlaceholderObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationSpec

from modelwright.errors import SettingError, UnknownNameError
from modelwright.quantize.annotate import Annotator
from modelwright.quantize.graph import layers
from modelwright.quantize.observers.choice import weight_observer_for
from modelwright.quantize.profile import Profile
from modelwright.records import Quantization, Scheme

RECURRENT = (nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell, nn.RNNCell)
EPS = 2**-12
"""The least scale of an activation, as in torchao's quantizers."""


def dynamic_linears(graph: fx.GraphModule, recipe: Quantization, inputs: tuple[torch.Tensor, ...]) -> fx.GraphModule:
    """A copy of a graph in which linear layers choose their input's range as they run, and hold whole weights.

    Args:
        graph: as it was captured; convolutions stay in float, for their dynamic kernels are slower than that.
        recipe: schemes of weights (by tensor or channel) and activations (by tensor), and in `layers` what stays in
            float.
        inputs: an example, on which weights are looked at.

    Raises:
        UnknownNameError: the recipe names a layer that the graph does not have.
        SettingError: a scheme has no dynamic operators, or there is no linear layer to quantize.
    """
    if recipe.activations.granularity != "tensor" or recipe.weights.granularity == "group":
        value = (recipe.activations.granularity, recipe.weights.granularity)
        rule = "dynamic activations have one scale a tensor, and weights one a tensor or a channel"
        raise SettingError(rule, where="recipe", value=value, way_out="`pack` takes weights in groups.")
    found = layers(graph)
    _check_names(recipe, {layer.name: layer for layer in found})
    chosen = [layer for layer in found if layer.kind == "linear" and recipe.layers.get(layer.name, "int8") == "int8"]
    if not chosen:
        rule = "dynamic quantization needs a linear layer"
        raise SettingError(rule, where="recipe, layers", value=0, way_out="Quantize statically, or weights only.")
    annotator = Annotator(
        Profile("dynamic", kinds=("linear",), adds="none"),
        lambda: _activation(recipe.activations),
        lambda axis: weight_spec(recipe.weights, axis),
        frozenset(layer.node for layer in chosen),
    )
    prepared = prepare_pt2e(copy.deepcopy(graph), annotator)
    with torch.no_grad():
        prepared(*inputs)
    made: fx.GraphModule = convert_pt2e(prepared)
    return made


def dynamic_recurrent(module: nn.Module, recipe: Quantization) -> nn.Module:
    """A copy of a module in which recurrent and linear layers are dynamically quantized, to eight bits.

    Args:
        module: on the CPU; it is run, not captured.
        recipe: weights by channel or by tensor; `layers` says what stays in float, by the module's own names.

    Raises:
        UnknownNameError: the recipe names a layer that the module does not have.
        SettingError: weights of other than eight symmetric bits; no such layer; torch without integer kernels.
    """
    from torch.ao.quantization import default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic

    if recipe.weights.bits != 8 or not recipe.weights.symmetric or recipe.weights.granularity == "group":
        rule = "recurrent layers have kernels for weights of 8 bits, symmetric, by tensor or channel"
        raise SettingError(rule, where="recipe, weights", value=recipe.weights.bits, way_out="Take WEIGHTS.")
    if set(torch.backends.quantized.supported_engines) <= {"none"}:
        rule, way_out = "torch must be built with integer kernels", "Install a build with FBGEMM, oneDNN or QNNPACK."
        raise SettingError(rule, where="torch.backends.quantized", way_out=way_out)
    known = {name: part for name, part in module.named_modules() if isinstance(part, (*RECURRENT, nn.Linear))}
    _check_names(recipe, known)
    config = per_channel_dynamic_qconfig if recipe.weights.granularity == "channel" else default_dynamic_qconfig
    chosen: dict[Any, Any] = {name: config for name in known if recipe.layers.get(name, "int8") == "int8"}
    if not chosen:
        rule = "dynamic quantization needs a recurrent or a linear layer"
        raise SettingError(rule, where=type(module).__name__, value=0, way_out="Quantize statically.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what replaces it has no recurrent layers
        made: nn.Module = quantize_dynamic(copy.deepcopy(module).eval(), chosen, dtype=torch.qint8)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return made


def without_dynamic(profile: Profile, kinds: Collection[str], loops: Collection[str]) -> tuple[str, ...]:
    """What stays in float where a target quantizes dynamically, and why, a sentence each.

    Args:
        profile: of the target.
        kinds: of the network's layers.
        loops: kinds of its recurrent layers.
    """
    told, able = [], ", ".join(profile.dynamic)
    if not profile.dynamic:
        told.append(f"Dynamic quantization was not tried: {profile.name} has no kernels that find ranges as they run.")
    elif not {*kinds, *loops}.intersection(profile.dynamic):
        told.append(f"Dynamic quantization was not tried: {profile.name} has it for {able}, which are not there.")
    if profile.dynamic and {"conv", "depthwise"}.intersection(kinds):
        told.append("Dynamic quantization leaves convolutions in float: dynamic ones are several times slower.")
    left = sorted(set(loops).difference(profile.dynamic))
    told += [
        f"Layers of kind {kind} stay in float: only `dynamic_recurrent` quantizes them, in torch." for kind in left
    ]
    return tuple(told)


def _check_names(recipe: Quantization, known: Mapping[str, object]) -> None:
    for name in recipe.layers:
        if name not in known:
            raise UnknownNameError("layer", name, known)


def _activation(scheme: Scheme) -> QuantizationSpec:
    kind = torch.per_tensor_symmetric if scheme.symmetric else torch.per_tensor_affine
    return QuantizationSpec(
        dtype=torch.int8 if scheme.signed else torch.uint8,
        observer_or_fake_quant_ctr=PlaceholderObserver.with_args(qscheme=kind, eps=EPS),
        quant_min=scheme.lowest,
        quant_max=scheme.highest,
        qscheme=kind,
        is_dynamic=True,
    )


def weight_spec(scheme: Scheme, axis: int) -> QuantizationSpec:
    """What torchao needs to know of a weight whose output channels lie on an axis."""
    channel = scheme.granularity == "channel"
    by_channel = torch.per_channel_symmetric if scheme.symmetric else torch.per_channel_affine
    by_tensor = torch.per_tensor_symmetric if scheme.symmetric else torch.per_tensor_affine
    return QuantizationSpec(
        dtype=torch.int8 if scheme.signed else torch.uint8,
        observer_or_fake_quant_ctr=weight_observer_for(scheme),
        quant_min=scheme.lowest,
        quant_max=scheme.highest,
        qscheme=by_channel if channel else by_tensor,
        ch_axis=axis if channel else None,
    )
