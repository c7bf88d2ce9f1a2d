"""A module that cannot be captured whole: which of its parts stand in the way and why, and the others quantized."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import fx, nn

from modelwright.errors import SettingError, TraceError
from modelwright.quantize.graph import capture, layers
from modelwright.quantize.prepare import Batch, convert, prepare, settle
from modelwright.quantize.profile import Profile
from modelwright.records import Quantization


@final
@dataclass(frozen=True)
class Obstacle:
    """A part of a module that torch.export cannot capture though it can capture all parts inside.

    Attributes:
        name: its path, "" for the module itself.
        kind: its class.
        why: in torch's own words.
    """

    name: str
    kind: str
    why: str


@final
@dataclass(frozen=True)
class Parts:
    """A module in pieces.

    Attributes:
        module: a copy in which each captured part is a graph; it is called like the module.
        captured: paths of these parts.
        obstacles: what stood in the way, outermost first.
    """

    module: nn.Module
    captured: tuple[str, ...]
    obstacles: tuple[Obstacle, ...]


def capture_parts(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Parts:
    """Capture the largest parts of a module that can be captured and hold layers.

    A part is known by what it was called with on the example; one that is called with anything but tensors, or is not
    called, stays as it is, and so does what is called in several ways.

    Args:
        module: left as it is.
        inputs: an example of two samples or more.

    Raises:
        TraceError: no part that holds a layer can be captured; says what stands in the way.
    """
    copied = copy.deepcopy(module).eval()
    seen = _calls(copied, inputs)
    captured: dict[str, fx.GraphModule] = {}
    obstacles: list[Obstacle] = []
    _descend(copied, "", seen, captured, obstacles)
    if not captured:
        told = "; ".join(f"{one.name or 'the module'} ({one.kind}): {one.why}" for one in obstacles[:3])
        raise TraceError("some part that holds a layer must be one that torch.export can capture", value=told)
    for name, graph in captured.items():
        if not name:
            return Parts(graph, ("",), ())
        copied.set_submodule(name, graph)
    return Parts(copied, tuple(captured), tuple(obstacles))


def quantize_parts(parts: Parts, recipe: Quantization, profile: Profile, batches: Iterable[Batch]) -> nn.Module:
    """A copy with all captured parts in whole numbers, their ranges found by running the whole.

    Args:
        parts: from `capture_parts`.
        recipe: of all parts; its `layers` name those of the parts' graphs and are left out here.
        profile: of the target.
        batches: what the whole is run on.

    Raises:
        SettingError: there are no samples; the recipe names layers.
    """
    if recipe.layers:
        way_out = "Capture the part by itself and quantize that."
        raise SettingError("a module in parts is quantized by one recipe", value=sorted(recipe.layers), way_out=way_out)
    made = copy.deepcopy(parts.module)
    held = {}
    for name in parts.captured:
        held[name] = prepare(_graph(made, name), recipe, profile)
        made = _put(made, name, held[name].graph)
    seen = 0
    with torch.no_grad():
        for batch in batches:
            seen += len(batch[0])
            made(*batch)
    if not seen:
        way_out = "Give a few hundred samples of the training data."
        raise SettingError("calibration needs samples", where="calibration", value=0, way_out=way_out)
    for name, prepared in held.items():
        settle(prepared)
        made = _put(made, name, convert(prepared))
    return made


def _calls(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> dict[str, tuple[torch.Tensor, ...] | None]:
    """What each part was called with; None where that is not tensors alone, or not always of one form."""
    seen: dict[str, tuple[torch.Tensor, ...] | None] = {}

    def watch(name: str) -> Any:
        def hook(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            plain = not named and all(torch.is_tensor(one) and one.ndim for one in given)
            again = name in seen
            before = seen.get(name)
            same = again and before is not None and [one.shape for one in before] == [one.shape for one in given]
            seen[name] = given if plain and (same or not again) else None

        return hook

    hooks = [part.register_forward_pre_hook(watch(name), with_kwargs=True) for name, part in module.named_modules()]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _descend(
    part: nn.Module,
    name: str,
    seen: dict[str, tuple[torch.Tensor, ...] | None],
    captured: dict[str, fx.GraphModule],
    obstacles: list[Obstacle],
) -> None:
    """Capture the part, or what can be captured inside."""
    given = seen.get(name)
    if given is not None:
        try:
            graph = capture(part, given)
        except (TraceError, SettingError) as failure:
            obstacles.append(Obstacle(name, type(part).__name__, str(failure.value or failure.rule)))
        else:
            if layers(graph):
                captured[name] = graph
            return
    for inner, child in part.named_children():
        _descend(child, f"{name}.{inner}" if name else inner, seen, captured, obstacles)


def _graph(module: nn.Module, name: str) -> fx.GraphModule:
    found: Any = module.get_submodule(name)
    graph: fx.GraphModule = found
    return graph


def _put(module: nn.Module, name: str, part: nn.Module) -> nn.Module:
    if not name:
        return part
    module.set_submodule(name, part)
    return module
