"""What a kernel does, in words and with the sizes that matter: "5x5 depthwise convolution of 56x56x144"."""

import math
from collections.abc import Mapping

from modelwright.hardware.kernels import Kernel
from modelwright.records import Operator, Window, Workload

_WORDS = {
    "silu": "swish", "hardswish": "hard-swish", "hardsigmoid": "hard-sigmoid", "layer_norm": "layer norm",
    "rms_norm": "RMS norm", "batch_norm": "batch norm", "add": "addition", "mul": "multiplication",
    "adaptive_avg_pool2d": "average pooling", "avg_pool2d": "average pooling", "max_pool2d": "maximum pooling",
}  # fmt: skip
_BESIDE = {"cast": "conversion", "copy": "copy in another order", "layout": "copy in another order", "bias": "bias"}


def subject(kernel: Kernel, operators: Mapping[str, Operator], workload: Workload) -> str:
    """The kernel in words.

    Args:
        kernel: one of a plan.
        operators: of the workload, by name.
        workload: that was planned.
    """
    operator = operators.get(kernel.name) or operators[kernel.operators[0]]
    source = workload.tensors[operator.inputs[0]].shape if operator.inputs else ()
    if kernel.name != operator.name:
        return (
            f"{_BESIDE.get(kernel.name.rpartition('.')[2], kernel.kind)} for a {named(operator)} of {_extent(source)}"
        )
    if operator.kind == "convolution" and operator.window:
        channels = source[1], workload.tensors[operator.outputs[0]].shape[1]
        return _convolution(operator.window, channels, source)
    if operator.kind == "attention":
        scores = operator.products[0]
        return f"attention over {scores.m} x {scores.n} positions in heads of {scores.k}"
    if operator.products:
        product = operator.products[0]
        return f"product of {_extent(source)} with {product.k}x{product.n}"
    result = workload.tensors[operator.outputs[0]].shape
    return f"{named(operator)} of {_extent(max(source, result, key=math.prod))}"


def named(operator: Operator) -> str:
    """What an operator is called by people who draw networks."""
    return _WORDS.get(operator.target, operator.kind if operator.products else operator.target.replace("_", " "))


def _convolution(window: Window, channels: tuple[int, int], source: tuple[int, ...]) -> str:
    kernel = "x".join(map(str, window.kernel))
    if window.groups == channels[0] > 1:
        return f"{kernel} depthwise convolution of {_extent(source)}"
    grouped = f" in {window.groups} groups of {channels[0] // window.groups}" if window.groups > 1 else ""
    return f"{kernel} convolution{grouped} of {_extent(source)} to {channels[1]} channels"


def _extent(shape: tuple[int, ...]) -> str:
    """One sample's axes; an image's channels last, as people write them."""
    axes = shape[1:] if len(shape) > 1 else shape
    return "x".join(map(str, (*axes[1:], axes[0]) if len(axes) == 3 else axes)) or "one number"
