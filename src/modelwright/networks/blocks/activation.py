"""Activations, gates and norms by the names that records use."""

from collections.abc import Callable

from torch import nn

from modelwright.records.architecture import Activation, Gate, Norm

BatchNorm = Callable[[int], nn.Module]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "swish": nn.SiLU,
    "hard-swish": nn.Hardswish,
    "gelu": nn.GELU,
    "gelu-tanh": lambda: nn.GELU(approximate="tanh"),
}
GATES: dict[Gate, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "hard-sigmoid": nn.Hardsigmoid}
NORMS: dict[Norm, Callable[[int, float], nn.Module]] = {
    "layer": lambda width, epsilon: nn.LayerNorm(width, eps=epsilon),
    "rms": lambda width, epsilon: nn.RMSNorm(width, eps=epsilon),
}
