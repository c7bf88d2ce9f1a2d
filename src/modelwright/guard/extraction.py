"""Features and logits of a torch network: what its last linear layer takes, and what the network gives.

The layer is found by running: of the linear layers it is the last to be called whose output has the logits' width.
Networks for pictures and for text are alike in that.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from modelwright.errors import SettingError, ShapeError
from modelwright.guard.rows import Floats, Head, Labels


class Extracted(NamedTuple):
    """What a network makes of data.

    Attributes:
        features: (n, d), inputs of the last linear layer.
        logits: (n, k), outputs of the network.
        labels: (n,) as the batches gave them; None where they gave none.
        head: the last linear layer.
    """

    features: Floats
    logits: Floats
    labels: Labels | None
    head: Head


def extract(module: nn.Module, batches: Iterable[Any]) -> Extracted:
    """Features, logits and head of a classifier, which is run in its evaluation mode, on its own device.

    Args:
        module: gives logits (b, k), or something with `.logits`, or a tuple whose first is the logits.
        batches: pairs (inputs, labels), or inputs alone. Inputs are a tensor, a tuple of tensors, or a dictionary of
            tensors by the names of the module's arguments (whose "labels", if any, are the labels).

    Raises:
        SettingError: there are no batches, or no linear layer gives the logits.
        ShapeError: features or logits are not one row an input.
    """
    modes = {part: part.training for part in module.modules()}
    device = next((weight.device for weight in module.parameters()), torch.device("cpu"))
    calls: list[tuple[nn.Linear, torch.Tensor]] = []

    def note(part: nn.Module, given: tuple[Any, ...], made: torch.Tensor) -> None:
        if isinstance(part, nn.Linear):
            calls.append((part, given[0]))

    hooks = [part.register_forward_hook(note) for part in module.modules() if isinstance(part, nn.Linear)]
    features, logits, labels = [], [], []
    last: nn.Linear | None = None
    try:
        module.eval()
        with torch.no_grad():
            for batch in batches:
                inputs, truth = _parted(batch)
                calls.clear()
                found = _logits(_called(module, inputs, device))
                last, taken = _last_call(calls, found)
                features.append(taken.double().cpu().numpy())
                logits.append(found.double().cpu().numpy())
                labels += [np.asarray(truth, np.int64)] if truth is not None else []
    finally:
        for hook in hooks:
            hook.remove()
        for part, mode in modes.items():
            part.training = mode
    if last is None:
        raise SettingError("there must be batches", where="batches", value=0)
    if labels and len(labels) < len(features):
        raise SettingError("all batches must have labels, or none", where="batches", value=len(labels))
    return Extracted(
        np.concatenate(features), np.concatenate(logits), np.concatenate(labels) if labels else None, _head(last)
    )


def _parted(batch: Any) -> tuple[Any, Any]:
    """Inputs and labels of a batch."""
    if isinstance(batch, Mapping):
        return {name: value for name, value in batch.items() if name != "labels"}, batch.get("labels")
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    return batch, None


def _called(module: nn.Module, inputs: Any, device: torch.device) -> Any:
    if isinstance(inputs, Mapping):
        return module(**{name: value.to(device) for name, value in inputs.items()})
    if isinstance(inputs, tuple | list):
        return module(*(value.to(device) for value in inputs))
    return module(inputs.to(device))


def _logits(made: Any) -> torch.Tensor:
    found = made.logits if hasattr(made, "logits") else made[0] if isinstance(made, tuple | list) else made
    if not torch.is_tensor(found) or found.ndim != 2:
        value = tuple(found.shape) if torch.is_tensor(found) else type(found).__name__
        raise ShapeError("a classifier must give logits (b, k)", where="module", value=value)
    return found


def _last_call(calls: list[tuple[nn.Linear, torch.Tensor]], logits: torch.Tensor) -> tuple[nn.Linear, torch.Tensor]:
    """The linear layer that gave the logits, and what it was given."""
    for layer, given in reversed(calls):
        if layer.out_features == logits.shape[1]:
            if given.ndim != 2 or len(given) != len(logits):
                raise ShapeError("the last linear layer must take one row an input", value=tuple(given.shape))
            return layer, given
    way_out = "Extract the features by other means, and give them as arrays."
    raise SettingError("a linear layer must give the logits", where="module", value=logits.shape[1], way_out=way_out)


def _head(layer: nn.Linear) -> Head:
    bias = dict(layer.named_parameters()).get("bias", torch.zeros(layer.out_features))
    return Head(layer.weight.detach().double().cpu().numpy(), bias.detach().double().cpu().numpy())
