"""How PyTorch runs a network on a processor: through a convolution library, with loops on all cores, in fresh memory.

What is said here of eager and of compiled code was read off PyTorch's and oneDNN's sources and off what oneDNN reports
of itself (ONEDNN_VERBOSE=1):

- Convolutions go to oneDNN unless they are small (ATen, Convolution.cpp, `use_mkldnn`). It works on blocks of sixteen
  channels, so that in row-major order the input is reordered on the way in and the result on the way out; in
  channels-last order neither is. Weights are reordered on every call: nothing keeps them, short of freezing.
- TorchInductor runs convolutions in channels-last order on a processor, and first copies the weights of windows larger
  than one into it, on every call (torch/_inductor/kernel/conv.py).
- A product of several rows by weights, and so a convolution that is too small for oneDNN, first packs these (Goto and
  van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34(3), 2008); a single row reads them as
  they lie.
- An element-wise loop stays on one core below a grain of so many elements, and opens no parallel region.
- Memory blocks above 32 MiB come fresh from the system every time (glibc, DEFAULT_MMAP_THRESHOLD_MAX), and each of
  their pages costs a fault when it is first written.
"""

import math
from collections.abc import Iterator

import msgspec

from modelwright.hardware.arithmetic import instructions
from modelwright.records import Execution, Operator, Platform, Tensor

LARGE = 20_480
"""Elements of a single image above which oneDNN convolves it (ATen, Convolution.cpp, `use_mkldnn`)."""

GRAIN = {"eager": 32_768, "compiled": 4_096}
"""Elements below which a loop stays on one core: ATen's GRAIN_SIZE, TorchInductor's cpp.min_chunk_size."""

FRESH = 32 * 2**20
"""Bytes above which a block of memory is taken from the system and given back, whatever was freed before (glibc)."""

PAGE = 4096
"""Bytes that one page fault provides."""

FIRST = 3
"""Input channels that oneDNN reads in any order; side of a window up to which a small image is no work for it."""

_LANES = 16
_STRIDED = 3 * _LANES
_PACK = 8.0
_BLOCK = 6.0
_PLANE = 16.0 * _LANES
_BY_PLANE = frozenset({"batch_norm", "mean", "sum", "adaptive_avg_pool2d"})


class Reorder(msgspec.Struct, frozen=True):
    """One pass over a tensor that changes its memory order.

    Attributes:
        position: the tensor.
        what: what the pass is called.
        instructions: vector instructions an element.
        library: a call of the library, in a parallel region of its own; else it joins another kernel.
        whole: the whole tensor is written before it is used; else it goes block by block, and stays near.
    """

    position: int
    what: str
    instructions: float = 1.0
    library: bool = True
    whole: bool = True


def through_library(operator: Operator, source: Tensor, width: int, scale: float, platform: Platform) -> bool:
    """Whether PyTorch hands a convolution on a processor to oneDNN (the stride of 1x1 windows is left out of the rule).

    Args:
        operator: any operator.
        source: its first input, as traced.
        width: bytes an element.
        scale: the batch over the traced one.
        platform: the processor; its units are torch's threads.
    """
    if operator.kind != "convolution" or operator.window is None or platform.kind != "cpu":
        return False
    if width <= 2:
        return True
    kernel, samples = operator.window.kernel, source.shape[0] * scale if source.batched else source.shape[0]
    if math.prod(kernel) == 1 and platform.matrix.units == 1 and samples < 16:
        return False
    grouped = operator.products[0].count > 1
    return grouped or min(kernel) > FIRST or samples > 1 or source.size * scale > LARGE


def before(operator: Operator, source: Tensor, execution: Execution) -> Iterator[Reorder]:
    """What runs before a convolution of the library: the input's way into blocks, the weights' into theirs."""
    product = operator.products[0]
    taps = math.prod(operator.window.kernel) if operator.window else 1
    plain = execution == "eager" and not source.channels_last
    if plain and (product.count > 1 or product.k > FIRST * taps):
        yield Reorder(operator.inputs[0], "layout", _BLOCK)
    strided = taps > 1 and product.k > taps and not plain
    if strided and execution == "compiled":
        yield Reorder(operator.inputs[1], "order", _STRIDED, library=False)
    yield Reorder(operator.inputs[1], "weights", _STRIDED if strided else _LANES)


def packed(operator: Operator, library: bool, scale: float, platform: Platform, execution: Execution) -> bool:
    """Whether an operator first packs its weights: a linear layer of several rows, a convolution done as a product.

    Args:
        operator: any operator.
        library: it is a convolution of the library, which reorders its weights instead.
        scale: the batch over the traced one.
        platform: the processor.
        execution: how it runs.
    """
    if platform.kind != "cpu" or execution not in GRAIN or not operator.products or library:
        return False
    several = operator.products[0].m * scale > 1
    return several and (operator.target == "linear" or operator.kind == "convolution")


def pack(operator: Operator) -> Reorder:
    """Its weights into panels, each multiplied while it is near."""
    return Reorder(operator.inputs[1], "pack", _PACK, library=False, whole=False)


def after(operator: Operator, source: Tensor, execution: Execution) -> Iterator[Reorder]:
    """What runs behind it: the result's way back to row-major order."""
    if execution == "eager" and not source.channels_last:
        yield Reorder(operator.outputs[0], "layout", _BLOCK)


def vector_costs(operator: Operator, execution: Execution, channels_last: bool = False) -> tuple[float, float]:
    """Vector instructions and special results an element, as `instructions`, where a processor runs the operator.

    ATen's batch normalisation and row-major max pooling are not vectorised to the full: about 8 lanes' instructions an
    element and 8 scalar ones a tap, by micro-benchmarks; `plane` has what short planes cost besides. Compiled code
    takes the root and the quotient of batch normalisation anew for every element.
    """
    simple, special = instructions(operator)
    if operator.target == "batch_norm":
        return (8.0, 0.0) if execution == "eager" else (4.0, 2.0) if execution == "compiled" else (simple, special)
    if operator.target == "max_pool2d" and execution == "eager" and not channels_last:
        return 8.0 * _LANES * simple, special
    return simple, special


def plane(operator: Operator, source: Tensor, execution: Execution) -> float:
    """Vector instructions a plane (sample and channel) that loops over planes cost, however short these are.

    By micro-benchmarks: ATen starts batch normalisation and the mean of a plane in about 5 ns on the machine where one
    core has 3.3 vector instructions a nanosecond.
    """
    planes = execution == "eager" and len(source.shape) == 4 and not source.channels_last
    return _PLANE if planes and operator.target in _BY_PLANE else 0.0
