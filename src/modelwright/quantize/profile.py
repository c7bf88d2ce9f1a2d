"""What a target's kernels can do: which layers run in whole numbers there, and where it wants them quantized."""

from dataclasses import dataclass
from typing import final

from modelwright.records import ACTIVATIONS, WEIGHTS, Scheme


@final
@dataclass(frozen=True)
class Profile:
    """The rules of one target.

    Attributes:
        name: the target's.
        weights, activations: the schemes that its integer kernels read.
        kinds: of layers that it has integer kernels for: "conv", "depthwise", "linear", "product".
        outputs: whether a kernel's output is quantized, too, after the activation that it fuses; else only inputs are.
        adds: whether the inputs of additions are quantized: "none", "other" (that which is no layer's own output,
            because the layer adds it in its kernel), "all", or "clipped" (all of those whose result is clipped).
        elementwise: whether multiplications, poolings and concatenations are quantized where their inputs are.
        pools: whether maxima of whole numbers are taken, and whole numbers joined, where a layer reads them.
        biases: whether biases must be whole numbers of 32 bits, of scale input * weight.
        dynamic: kinds of layers that it has kernels for which find their input's range as they run: "linear", "lstm".
        fp8: whether these have kernels for floats of 8 bits as well.
        floats: what it can compute in where nothing is quantized; the first is its default.
    """

    name: str
    weights: Scheme = WEIGHTS
    activations: Scheme = ACTIVATIONS
    kinds: tuple[str, ...] = ("conv", "depthwise", "linear")
    outputs: bool = False
    adds: str = "other"
    elementwise: bool = False
    pools: bool = False
    biases: bool = False
    dynamic: tuple[str, ...] = ()
    fp8: bool = False
    floats: tuple[str, ...] = ("fp32",)
