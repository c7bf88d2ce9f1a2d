"""A sequence of operators written once for many networks: every extent is a number, or a column with one a network.

A `Draft` is to columns what a traced workload is to numbers. `workload` gives the one that its first column describes;
what the planner makes of that holds for every column, as long as all of them have the same structure.
"""

import math
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from modelwright.hardware.arithmetic import instructions
from modelwright.hardware.table import Array, Index
from modelwright.records import Kind, Operator, Product, Role, Tensor, Window, Workload
from modelwright.records.architecture import Activation, Gate

Extent = int | Index
Part = Literal["before", "own", "after"]

TRACED = 2
"""Samples in a draft: as in a trace, more than one, so that no axis of length one is taken for the batch."""

TARGETS: dict[Activation | Gate, str] = {
    "relu": "relu", "swish": "silu", "hard-swish": "hardswish", "gelu": "gelu", "gelu-tanh": "gelu",
    "sigmoid": "sigmoid", "hard-sigmoid": "hardsigmoid",
}  # fmt: skip
CODES: dict[str, int] = {name: code for code, name in enumerate(TARGETS)}
"""Activation or gate -> its number in columns."""

_COSTS = np.array(
    [instructions(Operator("", "activation", target, "", (), ())) for target in TARGETS.values()], dtype=float
)


@dataclass(frozen=True)
class Slot:
    """A tensor of every network: `memory` are its axes' ranks in memory, outermost first; row-major where empty."""

    shape: tuple[Extent, ...]
    part: Part
    role: Role = "activation"
    dtype: str = "float32"
    memory: tuple[int, ...] = ()

    @property
    def size(self) -> Array:
        """Elements, a number a network (or one for all)."""
        total: Array = np.ones(1)
        for extent in self.shape:
            total = total * extent
        return total


@dataclass(frozen=True)
class Step:
    """An operator of every network.

    Attributes:
        kind, target, inputs: as in `Operator`; tensors by position.
        part: whose it is.
        output: its only result.
        product: (count, rows, columns, depth), empty for vector work.
        kernel: side of the window, 0 for none.
        costs: instructions and special results an element, where they differ between networks.
    """

    kind: Kind
    target: str
    part: Part
    inputs: tuple[int, ...]
    output: int
    product: tuple[Extent, ...] = ()
    kernel: Extent = 0
    costs: Array | None = None


@final
class Draft:
    """Collects tensors and operators; `part` says whose the next ones are.

    Attributes:
        tensors, steps: in the order of execution; steps name tensors by position.
        part: "own", or a neighbour's: "before" or "after".
        entry, exit: what arrives and what leaves, and what the neighbour's or the next one's first copy makes of it.
    """

    def __init__(self) -> None:
        self.tensors: list[Slot] = []
        self.steps: list[Step] = []
        self.part: Part = "own"
        self.entry: list[int] = []
        self.exit: list[int] = []

    def tensor(
        self, shape: tuple[Extent, ...], role: Role = "activation", dtype: str = "float32", memory: tuple[int, ...] = ()
    ) -> int:
        """A tensor that no operator has made; returns its position."""
        self.tensors.append(Slot(shape, self.part, role, dtype, memory))
        return len(self.tensors) - 1

    def shape(self, position: int) -> tuple[Extent, ...]:
        """The shape of a tensor."""
        return self.tensors[position].shape

    def convolution(
        self,
        x: int,
        channels: Extent,
        kernel: Extent = 1,
        stride: Extent = 1,
        *,
        groups: Extent = 1,
        bias: bool = False,
    ) -> int:
        """Convolution of (N, C, H, W), padded by half the kernel where that is odd, not at all where it is even."""
        n, width, *sides = self.shape(x)
        inner = width // groups
        inputs = [x, self.tensor((channels, inner, kernel, kernel), "weight")]
        if bias:
            inputs.append(self.tensor((channels,), "weight"))
        even = _first(kernel) % 2 == 0
        height, length = ((side - (kernel if even else 1)) // stride + 1 for side in sides)
        product = (groups, n * height * length, channels // groups, inner * kernel * kernel)
        output = self.tensor((n, channels, height, length))
        return self._add(Step("convolution", "conv2d", self.part, tuple(inputs), output, product, kernel))

    def linear(self, x: int, channels: Extent) -> int:
        """Linear layer with a bias on (N, C)."""
        rows, width = self.shape(x)
        inputs = (x, self.tensor((channels, width), "weight"), self.tensor((channels,), "weight"))
        output = self.tensor((rows, channels))
        return self._add(Step("product", "linear", self.part, inputs, output, (1, rows, channels, width)))

    def norm(self, x: int) -> int:
        """Batch normalisation by its running averages."""
        channels = (self.shape(x)[1],)
        scale, shift = self.tensor(channels, "weight"), self.tensor(channels, "weight")
        mean, variance = self.tensor(channels, "buffer"), self.tensor(channels, "buffer")
        self.tensor((), "buffer", "int64")  # how many batches the averages have seen
        inputs = (x, scale, shift, mean, variance)
        return self._add(Step("norm", "batch_norm", self.part, inputs, self.tensor(self.shape(x))))

    def activation(self, x: int, codes: Index) -> int:
        """An activation or gate a network, by `CODES`."""
        target = list(TARGETS.values())[_first(codes)]
        output = self.tensor(self.shape(x))
        return self._add(Step("activation", target, self.part, (x,), output, costs=_COSTS[codes].T))

    def pointwise(self, target: str, x: int, y: int) -> int:
        """An element-by-element operator of two tensors, shaped like the first."""
        return self._add(Step("elementwise", target, self.part, (x, y), self.tensor(self.shape(x))))

    def reduction(self, x: int, shape: tuple[Extent, ...]) -> int:
        """The mean over some axes."""
        return self._add(Step("reduction", "mean", self.part, (x,), self.tensor(shape)))

    def pool(self, x: int, target: str, shape: tuple[Extent, ...], kernel: int = 0) -> int:
        """Pooling; without a kernel, over the whole image."""
        return self._add(Step("pool", target, self.part, (x,), self.tensor(shape), kernel=kernel))

    def copy(self, x: int, target: str, shape: tuple[Extent, ...]) -> int:
        """The same values in another shape or order."""
        return self._add(Step("copy", target, self.part, (x,), self.tensor(shape)))

    def view(self, x: int, target: str, shape: tuple[Extent, ...], memory: tuple[int, ...] = ()) -> int:
        """The same memory under another shape."""
        return self._add(Step("view", target, self.part, (x,), self.tensor(shape, memory=memory)))

    def _add(self, step: Step) -> int:
        self.steps.append(step)
        return step.output

    def workload(self) -> Workload:
        """The first network; an operator's name is its position."""
        parameters = sum(math.prod(_shape(slot)) for slot in self.tensors if slot.role == "weight")
        return Workload(
            name="draft",
            batch=TRACED,
            tensors=tuple(_tensor(slot) for slot in self.tensors),
            operators=tuple(_operator(number, step) for number, step in enumerate(self.steps)),
            outputs=(self.steps[-1].output,),
            parameters=parameters,
        )


def _first(extent: Extent) -> int:
    """The first network's number."""
    return extent if isinstance(extent, int) else int(extent[0])


def _shape(slot: Slot) -> tuple[int, ...]:
    return tuple(_first(extent) for extent in slot.shape)


def _tensor(slot: Slot) -> Tensor:
    shape = _shape(slot)
    memory = slot.memory or tuple(range(len(shape)))
    steps = [0] * len(shape)
    step = 1
    for axis in sorted(range(len(shape)), key=lambda a: -memory[a]):
        steps[axis] = step
        step *= shape[axis]
    return Tensor(shape, slot.dtype, slot.role, slot.role in ("activation", "input"), tuple(steps))


def _operator(number: int, step: Step) -> Operator:
    products: tuple[Product, ...] = ()
    window = None
    if step.product:
        count, rows, columns, depth = (_first(extent) for extent in step.product)
        products = (Product(count, rows, columns, depth),)
    if _first(step.kernel):
        kernel = (_first(step.kernel),) * 2
        window = Window(kernel, (1, 1))
    return Operator(str(number), step.kind, step.target, "", step.inputs, (step.output,), products, window)
