"""What a network asks of a machine: operators with shapes, precisions and data flow, free of any framework."""

import math
from typing import Literal

import msgspec

Role = Literal["input", "weight", "buffer", "activation"]
Kind = Literal[
    "convolution",
    "product",
    "attention",
    "norm",
    "softmax",
    "activation",
    "elementwise",
    "reduction",
    "pool",
    "resample",
    "recurrence",
    "gather",
    "copy",
    "cast",
    "fill",
    "view",
    "unknown",
]

WIDTHS = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1, "complex64": 8, "complex128": 16,
}  # fmt: skip


class Tensor(msgspec.Struct, frozen=True):
    """One tensor of the graph.

    Attributes:
        shape: as traced, the example's batch included.
        dtype: as traced, in torch's words without the prefix ("float32").
        role: where it comes from; "buffer" is state that is not a parameter.
        batched: it depends on an input, so that its size grows with the batch.
        strides: elements between neighbours along each axis; empty for row-major order.
    """

    shape: tuple[int, ...]
    dtype: str
    role: Role = "activation"
    batched: bool = True
    strides: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many elements it holds."""
        return math.prod(self.shape)

    @property
    def stored(self) -> int:
        """How many elements it holds in memory: an axis with stride 0 is the same element again and again."""
        return math.prod(axis for axis, step in zip(self.shape, self.strides or self.shape, strict=True) if step)

    @property
    def contiguous(self) -> bool:
        """Whether its elements lie in row-major order without gaps."""
        return not self.strides or _row_major(self.shape, self.strides, tuple(range(len(self.shape))))

    @property
    def channels_last(self) -> bool:
        """Whether a tensor that reads N,C,H,W lies in memory as N,H,W,C."""
        if len(self.shape) != 4 or not self.strides or self.contiguous:
            return False
        return _row_major(self.shape, self.strides, (0, 2, 3, 1))

    @property
    def floating(self) -> bool:
        """Whether a change of precision changes its width."""
        return self.dtype.startswith(("float", "bfloat"))


def _row_major(shape: tuple[int, ...], strides: tuple[int, ...], order: tuple[int, ...]) -> bool:
    """Whether the axes, taken in `order`, lie one inside the other without gaps (axes of length 1 may lie anywhere)."""
    expected = 1
    for axis in reversed(order):
        if shape[axis] != 1 and strides[axis] != expected:
            return False
        expected *= shape[axis]
    return True


class Product(msgspec.Struct, frozen=True):
    """`count` independent matrix products of (m x k) by (k x n): 2 * count * m * n * k FLOPs.

    A convolution is one product a group: m output positions, n output channels, k input channels times the kernel's
    taps. `grows` says what the batch multiplies: the rows ("m"), the products ("count") or nothing ("").
    """

    count: int
    m: int
    n: int
    k: int
    grows: Literal["m", "count", ""] = "m"

    @property
    def macs(self) -> int:
        """Multiply-accumulates, unpadded."""
        return self.count * self.m * self.n * self.k


class Window(msgspec.Struct, frozen=True):
    """The sliding window of a convolution or pooling: kernel, stride and dilation a spatial axis, groups."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False


class Operator(msgspec.Struct, frozen=True):
    """One operator, in the order of execution.

    Attributes:
        name: unique within the workload: the layer and the operator.
        kind: what sort of work it is.
        target: the operator in ATen's words without overload ("conv2d").
        layer: path of the module that called it ("blocks.0.conv").
        inputs, outputs: positions in `Workload.tensors`.
        products: the matrix products inside; empty for vector work.
        window: for convolutions and pooling.
        causal: only the lower triangle of the scores is needed (attention).
        in_place: the output takes the place of the first input.
    """

    name: str
    kind: Kind
    target: str
    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    products: tuple[Product, ...] = ()
    window: Window | None = None
    causal: bool = False
    in_place: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates of its matrix products."""
        return sum(product.macs for product in self.products)


class Workload(msgspec.Struct, frozen=True):
    """A network as work, at the batch it was traced with.

    Attributes:
        name: the architecture's, or the address of what built it.
        batch: the batch of the example inputs.
        tensors: all tensors; operators name them by position.
        operators: in the order of execution.
        outputs: positions of the network's results.
        parameters: how many trainable numbers the module holds, used or not.
        unknown: targets that no rule describes; they are costed by their bytes alone.
    """

    name: str
    batch: int
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    outputs: tuple[int, ...]
    parameters: int
    unknown: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all matrix products for one batch as traced."""
        return sum(operator.macs for operator in self.operators)
