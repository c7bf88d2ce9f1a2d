"""Quantization: the fastest precision that keeps the accuracy, found by measuring.

A network is captured as a graph, prepared (quantization simulated in it), calibrated and converted by torchao's PT2E;
a target writes the artifact and runs it. Names are imported when they are first used.
"""

import importlib
from collections.abc import Mapping
from typing import Any

__all__ = [
    "NUMBERS",
    "OBSERVERS",
    "TARGETS",
    "TECHNIQUES",
    "Samples",
    "Site",
    "Subject",
    "Training",
    "Wishes",
    "quantize",
    "quantize_for",
]

NUMBERS: Mapping[str, str] = {
    "inductor": "modelwright.quantize.numbers:inductor",
    "onnxruntime": "modelwright.quantize.numbers:onnxruntime",
    "openvino": "modelwright.quantize.numbers:openvino",
}
"""Name of a target -> what runs networks in its numbers, as a search's plan names it."""
OBSERVERS: Mapping[str, str] = {
    "entropy": "modelwright.quantize.observers.entropy:EntropyObserver",
    "histogram": "torchao.quantization.pt2e:HistogramObserver",
    "minmax": "torchao.quantization.pt2e:MinMaxObserver",
    "moving-average": "torchao.quantization.pt2e:MovingAverageMinMaxObserver",
    "mse": "modelwright.quantize.observers.mse:MSEObserver",
    "percentile": "modelwright.quantize.observers.percentile:PercentileObserver",
}
"""Name of a calibration -> the observer of activations that it stands for."""
TARGETS: Mapping[str, str] = {
    "cuda": "modelwright.quantize.targets.cuda:Cuda",
    "inductor": "modelwright.quantize.targets.inductor:Inductor",
    "onnxruntime": "modelwright.quantize.targets.onnxruntime:OnnxRuntime",
    "openvino": "modelwright.quantize.targets.openvino:OpenVino",
    "tensorrt": "modelwright.quantize.targets.tensorrt:TensorRT",
}
"""Name of a target -> what writes and runs its artifacts."""
TECHNIQUES: Mapping[str, str] = {
    "adaround": "modelwright.quantize.techniques.adaround:adaround",
    "bias-correction": "modelwright.quantize.techniques.bias_correction:correct_biases",
    "equalization": "modelwright.quantize.techniques.equalization:equalize",
    "smoothquant": "modelwright.quantize.techniques.smoothquant:smooth",
}
"""Name of a technique -> the function that applies it."""

_HOMES = {
    "Samples": "judging",
    "Site": "settings",
    "Subject": "subject",
    "Training": "subject",
    "Wishes": "settings",
    "quantize": "verb",
    "quantize_for": "run",
}


def __getattr__(name: str) -> Any:
    """The named part of the face, imported now and kept."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    part = getattr(importlib.import_module(f"modelwright.quantize.{_HOMES[name]}"), name)
    globals()[name] = part
    return part
