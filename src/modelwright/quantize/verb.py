"""One verb: a network, a recipe and data become a graph that a target writes."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import fx, nn

from modelwright.errors import SettingError
from modelwright.quantize import TARGETS, TECHNIQUES
from modelwright.quantize.dynamic import dynamic_linears
from modelwright.quantize.graph import capture
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.profile import Profile
from modelwright.quantize.qat import trained
from modelwright.quantize.subject import Training
from modelwright.quantize.weight_only import round_weights
from modelwright.records import Quantization
from modelwright.registry import Registry
from modelwright.training import Run

targets: Registry[Any] = Registry("target", TARGETS)
techniques: Registry[Any] = Registry("technique", TECHNIQUES)
Inputs = torch.Tensor | tuple[torch.Tensor, ...]


def quantize(
    model: nn.Module,
    recipe: Quantization,
    data: Iterable[Inputs],
    *,
    target: str = "openvino",
    training: Training | None = None,
    run: Run | None = None,
) -> fx.GraphModule:
    """The network as a recipe wants it for a target: a graph that is called like it, and that the target writes.

    It does what the recipe says and judges nothing; `quantize_for` tries recipes, measures them and chooses.

    Args:
        model: left as it is.
        recipe: of any kind.
        data: batches that ranges are found on, each the network's input or inputs; the first has two samples or more.
        target: whose rules hold.
        training: what a "qat" recipe learns from.
        run: where it is trained; on this CPU if None.

    Raises:
        UnknownNameError: there is no such target, layer or technique.
        SettingError: the data are empty or not finite; the target has no kernels for the schemes; "qat" without
            training.
        TraceError: the network cannot be captured.
    """
    batches = [given if isinstance(given, tuple) else (given,) for given in data]
    if not batches:
        way_out = "Give a few hundred samples of the training data."
        raise SettingError("quantization needs samples", where="data", value=0, way_out=way_out)
    if recipe.kind == "qat":
        return _trained(model, recipe, batches, target, training, run)
    graph = capture(model, batches[0])
    if recipe.kind == "float":
        return graph
    if recipe.kind == "weight-only":
        round_weights(graph, recipe)
        return graph
    if recipe.kind == "dynamic":
        return dynamic_linears(graph, recipe, batches[0])
    for name in recipe.techniques:
        techniques[name](graph, recipe, batches)
    prepared = prepare(graph, recipe, profile_of(target))
    calibrate(prepared, batches)
    return convert(prepared)


def profile_of(target: str) -> Profile:
    """The rules of a target."""
    found: Profile = targets[target]().profile
    return found


def _trained(
    model: nn.Module,
    recipe: Quantization,
    batches: Sequence[tuple[torch.Tensor, ...]],
    target: str,
    training: Training | None,
    run: Run | None,
) -> fx.GraphModule:
    """Calibrated, trained with quantization simulated, converted."""
    if training is None:
        way_out = "Give `training`, or choose another kind."
        raise SettingError("quantization-aware training needs data to learn from", where="training", way_out=way_out)
    made, _ = trained(model, recipe, profile_of(target), batches, training, run)
    return capture(made, batches[0], fold=False)
