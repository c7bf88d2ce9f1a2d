"""Which observer a recipe's words stand for."""

from typing import Any

import torch
from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver

from modelwright.errors import SettingError
from modelwright.quantize import OBSERVERS
from modelwright.quantize.observers.group import GroupObserver
from modelwright.records import Scheme
from modelwright.registry import Registry

observers: Registry[Any] = Registry(
    "calibration", {**OBSERVERS, "auto": "modelwright.quantize.observers.auto:AutoObserver"}
)
"""Name of a calibration -> its observer."""


def observer_for(name: str, scheme: Scheme) -> Any:
    """What makes observers of activations: torchao's partial constructor, whose `with_args` takes further options.

    Args:
        name: of a calibration: one of `quantize.OBSERVERS`, or "auto".
        scheme: of the activations, with one scale a tensor.

    Raises:
        UnknownNameError: there is no calibration of that name.
        SettingError: the scheme has more scales than one a tensor.
    """
    observer = observers[name]
    if scheme.granularity != "tensor":
        way_out = "Kernels read one scale; write granularity 'tensor'."
        raise SettingError(
            "activations have one scale a tensor", where="scheme", value=scheme.granularity, way_out=way_out
        )
    kind = torch.per_tensor_symmetric if scheme.symmetric else torch.per_tensor_affine
    return observer.with_args(qscheme=kind, **_numbers(scheme))


def weight_observer_for(scheme: Scheme) -> Any:
    """What makes observers of weights: least and greatest of the tensor, of each channel (`ch_axis`) or each group."""
    if scheme.granularity == "group":
        return GroupObserver.with_args(scheme=scheme)
    if scheme.granularity == "channel":
        kind = torch.per_channel_symmetric if scheme.symmetric else torch.per_channel_affine
        return PerChannelMinMaxObserver.with_args(qscheme=kind, **_numbers(scheme))
    kind = torch.per_tensor_symmetric if scheme.symmetric else torch.per_tensor_affine
    return MinMaxObserver.with_args(qscheme=kind, **_numbers(scheme))


def _numbers(scheme: Scheme) -> dict[str, Any]:
    dtype = torch.int8 if scheme.signed else torch.uint8
    return {"dtype": dtype, "quant_min": scheme.lowest, "quant_max": scheme.highest}
