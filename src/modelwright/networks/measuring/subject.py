"""What is measured: a module that can be made, its inputs, and a setting."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from modelwright.errors import MeasurementError, ModelwrightError, SettingError
from modelwright.networks.build import build
from modelwright.networks.measuring.setting import Setting
from modelwright.networks.trace import parse_input
from modelwright.records.architecture import Architecture
from modelwright.registry import load

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_SETTLING_SIDE = 128


@dataclass(frozen=True)
class Subject:
    """A module to measure.

    Attributes:
        name: what the measurement is to call it.
        make: makes the module; what it returns is changed (evaluation mode, type, device, memory order).
        inputs: example arguments. Of tensors only shape and type count, and axis 0 becomes the setting's batch; values
            are drawn. Anything else is handed on as it is.
        setting: how to run it.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[Any, ...]
    setting: Setting

    @property
    def input(self) -> str:
        """The shapes of one sample, such as "3x224x224", and "-" for none; several inputs are parted by spaces."""
        shapes = ("x".join(map(str, value.shape[1:])) for value in self.inputs if isinstance(value, torch.Tensor))
        return " ".join(shape or "-" for shape in shapes)


def architecture_subject(found: Architecture, setting: Setting) -> Subject:
    """An architecture with drawn weights, its batch normalisation fitted to drawn inputs.

    Without that fit, activations of a deep network with drawn weights shrink or grow layer by layer until they leave
    the range of fast arithmetic; a trained network's do not.
    """
    tokens = len(found.input) == 1
    example = torch.empty((1, *found.input), dtype=torch.int64 if tokens else torch.float32, device="meta")
    return Subject(found.name, lambda: _settled(build(found), found), (example,), setting)


def module_subject(address: str, inputs: Sequence[str], setting: Setting) -> Subject:
    """The module at "package.module:attribute", or what the callable there returns.

    Args:
        address: of a `torch.nn.Module` (a copy of it is measured) or of a callable without arguments that makes one.
        inputs: example arguments such as "1x3x224x224" or "1x1024:int64"; axis 0 becomes the setting's batch.
        setting: how to run it.

    Raises:
        SettingError: there are no inputs.
        RecordError: nothing stands at the address.
    """
    if not inputs:
        way_out = "Give --input, for example --input 1x3x224x224; once an argument, in their order."
        raise SettingError("a module needs example inputs to be measured", where=address, way_out=way_out)
    found = load(address)
    return Subject(address, lambda: _made(found, address), tuple(parse_input(text) for text in inputs), setting)


def drawn(inputs: Sequence[Any], module: nn.Module, batch: int) -> tuple[Any, ...]:
    """Inputs of that batch for a module: normal numbers, and whole ones that any embedding of the module knows."""
    sizes = [part.num_embeddings for part in module.modules() if isinstance(part, nn.Embedding)]
    return tuple(_drawn(value, batch, min(sizes, default=2)) for value in inputs)


def _drawn(value: Any, batch: int, below: int) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    shape = (batch, *value.shape[1:]) if value.ndim else ()
    if value.dtype.is_floating_point or value.dtype.is_complex:
        return torch.randn(shape, dtype=value.dtype)
    return torch.randint(2 if value.dtype is torch.bool else below, shape, dtype=value.dtype)


def _made(found: Any, address: str) -> nn.Module:
    if isinstance(found, nn.Module):
        return deepcopy(found)
    way_out = "Name a torch.nn.Module, or a function or class that makes one from no arguments."
    if not callable(found):
        rule = "an address must lead to a module"
        raise SettingError(rule, where=address, value=type(found).__name__, way_out=way_out)
    try:
        module = found()
    except ModelwrightError:
        raise
    except Exception as failure:  # building runs the user's own code, which may raise anything
        reason = f"{type(failure).__name__}: {str(failure).strip().partition(chr(10))[0][:300]}"
        raise MeasurementError(f"building must succeed ({reason})", where=address, way_out=way_out) from failure
    if not isinstance(module, nn.Module):
        rule = "what stands at the address must return a torch.nn.Module"
        raise SettingError(rule, where=address, value=type(module).__name__, way_out=way_out)
    return module


def _settled(network: nn.Module, found: Architecture) -> nn.Module:
    """Fit the running averages of batch normalisation to one small drawn batch."""
    norms = [part for part in network.modules() if isinstance(part, _NORMS)]
    network.eval()
    if not norms:
        return network
    before: Mapping[nn.Module, float | None] = {norm: norm.momentum for norm in norms}
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    sides = (min(side, _SETTLING_SIDE) for side in found.input[1:])
    with torch.no_grad():
        network(torch.randn(2, found.input[0], *sides))
    for norm in norms:
        norm.momentum = before[norm]
    return network.eval()
