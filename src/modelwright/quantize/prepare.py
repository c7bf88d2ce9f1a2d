"""Quantization simulated in a graph, ranges found on data, and the simulation turned into whole numbers."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import fx
from torchao.quantization.pt2e import FakeQuantize
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationSpec

from modelwright.errors import SettingError, UnknownNameError
from modelwright.quantize.annotate import Annotator
from modelwright.quantize.graph import Layer, layers
from modelwright.quantize.observers.choice import observer_for, weight_observer_for
from modelwright.quantize.profile import Profile
from modelwright.quantize.simulation import Simulation
from modelwright.records import Quantization, Scheme

Batch = tuple[torch.Tensor, ...]
DTYPES = {True: torch.int8, False: torch.uint8}


@final
@dataclass(frozen=True)
class Prepared:
    """A graph with quantization simulated in it.

    Attributes:
        graph: called like the module.
        layers: that are quantized, in order.
        switches: layer -> the fake quantizations of its inputs and its weight.
    """

    graph: fx.GraphModule
    layers: tuple[Layer, ...]
    switches: dict[str, tuple[FakeQuantize, ...]]

    @property
    def every(self) -> tuple[FakeQuantize, ...]:
        """All fake quantizations, those of additions and outputs too."""
        return tuple(part for part in self.graph.modules() if isinstance(part, FakeQuantize))


def quantized_layers(graph: fx.GraphModule, recipe: Quantization, profile: Profile) -> tuple[Layer, ...]:
    """The layers that compute in whole numbers by a recipe on a target.

    Raises:
        UnknownNameError: the recipe names a layer that the graph does not have.
        SettingError: it asks a layer for numbers that the target cannot give it.
    """
    known = {layer.name: layer for layer in layers(graph)}
    kinds = profile.dynamic if recipe.kind == "dynamic" else profile.kinds
    for name, numbers in recipe.layers.items():
        if name not in known:
            raise UnknownNameError("layer", name, known)
        if numbers == "int8" and known[name].kind not in kinds:
            rule = f"{profile.name} must have integer kernels for the layer, and has them for {', '.join(kinds)}"
            raise SettingError(rule, where=name, value=known[name].kind, way_out="Leave it in float.")
        if numbers == "fp8" and not profile.fp8:
            rule = f"{profile.name} has no kernels for floats of 8 bits"
            raise SettingError(rule, where=name, way_out="Take int8, or cuda.")
        if numbers not in ("int8", "fp8", recipe.floats):
            rule, way_out = "what is not quantized must compute in the recipe's floats", f"Write {recipe.floats!r}."
            raise SettingError(rule, where=name, value=numbers, way_out=way_out)
    if recipe.kind in ("float", "weight-only"):
        return ()
    whole = [layer for layer in known.values() if layer.kind in kinds]
    return tuple(layer for layer in whole if recipe.layers.get(layer.name, "int8") != recipe.floats)


def prepare(
    graph: fx.GraphModule, recipe: Quantization, profile: Profile, *, qat: bool = False, share: bool = True
) -> Prepared:
    """A copy of the graph with fake quantization where the recipe asks for it and the target wants it.

    Args:
        graph: as it was captured; for training with its batch normalisations (`fold=False`).
        recipe: says how.
        profile: of the target.
        qat: for training.
        share: whether layers that read one tensor share its quantization, as they do when it is converted; without,
            each can be switched by itself.

    Raises:
        UnknownNameError, SettingError: as `quantized_layers`; or the target has no kernels for the schemes.
    """
    check_schemes(recipe, profile)
    chosen = quantized_layers(graph, recipe, profile)
    copied = copy.deepcopy(graph)
    annotator = Annotator(
        profile,
        lambda: _spec(
            recipe.activations, observer_for(recipe.calibration, recipe.activations), dynamic=recipe.kind == "dynamic"
        ),
        lambda axis: _spec(recipe.weights, weight_observer_for(recipe.weights), axis=axis),
        frozenset(layer.node for layer in chosen),
        share,
    )
    made = (prepare_qat_pt2e if qat else prepare_pt2e)(copied, annotator)
    prepared = Prepared(made, chosen, _switches(made, chosen))
    for part in prepared.every:
        part.disable_fake_quant()
        part.enable_observer()
    return prepared


def restrict(prepared: Prepared, graph: fx.GraphModule, recipe: Quantization, profile: Profile) -> Prepared:
    """The graph prepared by another recipe, with the ranges that were found before: nothing is calibrated anew.

    Args:
        prepared: of the same graph, calibrated, with layers sharing; what it simulates holds all that is wanted now.
        graph: as it was captured.
        recipe: of the same schemes and calibration, with other layers.
        profile: of the target.

    Raises:
        UnknownNameError, SettingError: as `prepare`; or something is wanted that was not calibrated.
    """
    made = prepare(graph, recipe, profile)
    known = {_source(node): str(node.target) for node in _simulations(prepared.graph)}
    for node in _simulations(made.graph):
        if _source(node) not in known:
            way_out = "Prepare and calibrate a graph with these layers quantized."
            raise SettingError("the range of a tensor must have been found", where=_source(node), way_out=way_out)
        held = prepared.graph.get_submodule(known[_source(node)])
        made.graph.set_submodule(str(node.target), copy.deepcopy(held))
    for part in made.every:
        part.enable_fake_quant()
    return Prepared(made.graph, made.layers, _switches(made.graph, made.layers))


def check_schemes(recipe: Quantization, profile: Profile) -> None:
    """Refuse schemes that the target has no integer kernels for, which it would silently compute in float.

    Raises:
        SettingError: says which, and what there are kernels for.
    """
    wanted = (("weights", recipe.weights, profile.weights), ("activations", recipe.activations, profile.activations))
    for word, asked, able in wanted:
        for field in ("granularity", "symmetric", "signed"):
            if field == "symmetric" and getattr(asked, field):
                continue  # which is affine with a zero point that happens to be the middle
            if getattr(asked, field) != getattr(able, field):
                rule = f"{profile.name} has no integer kernels for {word} with {field} {getattr(asked, field)!r}"
                way_out = f"Take {getattr(able, field)!r}, or another target."
                raise SettingError(rule, where=f"recipe, {word}", value=getattr(asked, field), way_out=way_out)


def calibrate(prepared: Prepared, batches: Iterable[Batch], report: Callable[[int], object] = lambda _: None) -> int:
    """Find ranges: run the graph in float on data, its observers watching. Returns the number of samples.

    Raises:
        SettingError: there are no samples, or some are not finite; the network's numbers are not, on them.
    """
    for part in prepared.every:
        part.disable_fake_quant()
        part.enable_observer()
    seen = 0
    with torch.no_grad():
        for batch in batches:
            seen += len(batch[0])
            made = prepared.graph(*batch)
            for tensor in (*batch, made):
                if torch.is_tensor(tensor) and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    rule = "what ranges are found on, and what the network makes of it, must be finite numbers"
                    way_out = "Look for NaN or infinity in the calibration data."
                    raise SettingError(rule, where=f"calibration, sample {seen - len(batch[0])} on", way_out=way_out)
            report(seen)
    if not seen:
        way_out = "Give a few hundred samples of the training data."
        raise SettingError("calibration needs samples", where="calibration", value=0, way_out=way_out)
    settle(prepared)
    return seen


def settle(prepared: Prepared) -> None:
    """Fix the ranges that were found, and simulate with them."""
    for part in prepared.every:
        part.disable_observer()
        _check_seen(part)
        if isinstance(part, Simulation):
            part.settle()
        part.enable_fake_quant()


def switch(prepared: Prepared, names: Sequence[str] | None) -> None:
    """Simulate quantization in these layers only; None for everything that is quantized."""
    for part in prepared.every:
        part.disable_fake_quant() if names is not None else part.enable_fake_quant()
    for name in names or ():
        for part in prepared.switches[name]:
            part.enable_fake_quant()


def convert(prepared: Prepared) -> fx.GraphModule:
    """The graph with whole numbers in the place of their simulation; what was prepared is left as it is.

    Raises:
        SettingError: it was not calibrated.
    """
    for part in prepared.every:
        _check_seen(part)
    made: fx.GraphModule = convert_pt2e(copy.deepcopy(prepared.graph))
    return made


def _check_seen(part: Any) -> None:
    low = getattr(part.activation_post_process, "min_val", None)
    if (
        isinstance(low, torch.Tensor)
        and (not low.numel() or not bool(torch.isfinite(low).all()))
        and not part.is_dynamic
    ):
        rule = "ranges must be found on data before they are used"
        raise SettingError(rule, where="calibration", way_out="Call calibrate(prepared, batches) first.")


def _spec(
    scheme: Scheme, observer: Any, *, axis: int = 0, dynamic: bool = False, simulation: Any = Simulation
) -> QuantizationSpec:
    """What torchao needs to know of a tensor."""
    channel = scheme.granularity == "channel"
    kinds = {
        (False, False): torch.per_tensor_affine,
        (False, True): torch.per_tensor_symmetric,
        (True, False): torch.per_channel_affine,
        (True, True): torch.per_channel_symmetric,
    }
    kind, dtype = kinds[channel, scheme.symmetric], DTYPES[scheme.signed]
    given = {"ch_axis": axis} if channel else {}
    return QuantizationSpec(
        dtype=dtype,
        observer_or_fake_quant_ctr=simulation.with_args(observer=observer, qscheme=kind, **given),
        quant_min=scheme.lowest,
        quant_max=scheme.highest,
        qscheme=kind,
        ch_axis=axis if channel else None,
        is_dynamic=dynamic,
    )


def _switches(graph: fx.GraphModule, chosen: Sequence[Layer]) -> dict[str, tuple[FakeQuantize, ...]]:
    """The fake quantizations that stand right before each layer."""
    nodes = {node.name: node for node in graph.graph.nodes}
    parts = _parts(graph)
    found = {}
    for layer in chosen:
        node = nodes.get(layer.node)
        given = [one for one in (node.args if node else ()) if isinstance(one, fx.Node) and one.op == "call_module"]
        inside = [parts[str(one.target)] for one in given]
        found[layer.name] = tuple(part for part in inside if isinstance(part, FakeQuantize))
    return found


def _parts(graph: fx.GraphModule) -> dict[str, Any]:
    """Modules by all their names: those that are shared have several."""
    return dict(graph.named_modules(remove_duplicate=False))


def _simulations(graph: fx.GraphModule) -> list[fx.Node]:
    parts = _parts(graph)
    nodes = [node for node in graph.graph.nodes if node.op == "call_module"]
    return [node for node in nodes if isinstance(parts[str(node.target)], FakeQuantize)]


def _source(node: fx.Node) -> str:
    """What a simulation quantizes: the path of a parameter, or the node that makes a tensor."""
    given = node.args[0]
    return str(given.target) if isinstance(given, fx.Node) and given.op == "get_attr" else str(given)
