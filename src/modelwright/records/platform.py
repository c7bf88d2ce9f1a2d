"""An accelerator as facts: units, memory levels, overheads, and where each number comes from."""

from typing import Annotated, Literal

import msgspec

Precision = Literal["fp32", "tf32", "fp16", "bf16", "int8", "fp8"]
Policy = Literal["fp32", "tf32", "fp16", "bf16", "int8", "fp8", "amp", "amp-bf16", "amp-fast-norm"]
Execution = Literal["eager", "compiled", "graph", "engine"]

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Fraction = Annotated[float, msgspec.Meta(gt=0, le=1)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]*$")]


class MatrixUnits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The units that multiply matrices.

    Attributes:
        units: how many work independently (MXUs, streaming multiprocessors, cores).
        tiles: output tiles (rows, columns) that one unit works on at a time; a product is padded to the best of them.
        depth: the inner dimension is padded to a multiple of this.
        peak: dense FLOP/s of the whole chip a precision, accumulating in fp32 (int32 for int8).
        fill: inner elements' worth of time that a tile spends on filling and draining its pipeline.
        channels: input channels of a convolution are padded to a multiple of this before its taps multiply them.
        achievable: share of the peak that large products reach, as published or measured.
    """

    units: Count
    tiles: Annotated[tuple[tuple[Count, Count], ...], msgspec.Meta(min_length=1)]
    depth: Count
    peak: dict[Precision, Positive]
    fill: Annotated[int, msgspec.Meta(ge=0)] = 0
    channels: Count = 1
    achievable: Fraction = 1.0


class VectorUnits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The units that do everything else.

    Attributes:
        peak: FLOP/s of the whole chip a precision, a fused multiply-add counted as two.
        special: transcendental results (exp, reciprocal ...) per second.
        loads: single values that all lanes together can fetch from their nearest memory per second.
        tap: instructions that a direct convolution issues for a tap of its window, where no value is used twice.
        output: instructions that it issues besides for an output.
        fma: a multiply-add is one instruction; otherwise it is two, and the peak counts single operations.
    """

    peak: dict[Precision, Positive]
    special: Positive
    loads: Positive
    tap: Positive
    output: NotNegative = 0.0
    fma: bool = True

    @property
    def issue(self) -> float:
        """Instructions per second, all lanes together."""
        return self.peak["fp32"] / 2 if self.fma else self.peak["fp32"]


class MemoryLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One level of memory: capacity in bytes, bandwidth in bytes per second.

    Attributes:
        keeps: data stays there from one kernel to the next (hardware caches do; scratchpads where the compiler plans
            so).
        achievable: share of the bandwidth that a plain copy reaches, as published or measured.
    """

    name: Name
    capacity: Positive
    bandwidth: Positive
    keeps: bool = True
    achievable: Fraction = 1.0


class Launch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds spent on starting work.

    Attributes:
        eager: host time an operator, run one by one from Python.
        compiled: host time a kernel, run from compiled code.
        graph: host time a kernel inside a captured graph or an engine (a program compiled and loaded whole).
        kernel: time on the device itself to start and drain one kernel.
        program: host time to start a captured graph or a compiled program once.
        library: on a processor, time that a call of the convolution library takes besides.
        reorder: on a processor, time that the library takes to start one change of a tensor's memory order.
        page: on a processor, time until a page of fresh memory can be written, whatever the number of threads.
    """

    eager: NotNegative
    compiled: NotNegative
    graph: NotNegative
    kernel: NotNegative
    program: NotNegative = 0.0
    library: NotNegative = 0.0
    reorder: NotNegative = 0.0
    page: NotNegative = 0.0


class Energy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Joules a FLOP of the matrix units by precision, joules a byte of main memory, watts when idle and at most."""

    matrix: dict[Precision, NotNegative] = {}
    vector: NotNegative = 0.0
    byte: NotNegative = 0.0
    idle: NotNegative = 0.0
    limit: Positive | None = None


class Platform(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One accelerator (one chip, or one processor).

    Attributes:
        name: the word for it on the command line.
        title: the vendor's name.
        kind: what family of rules applies.
        precision: the precision people run on it by default.
        execution: how programs run on it by default.
        memory: levels, nearest to the units first; the last is main memory.
        sources: dotted key -> where the number was published or how it was measured.
        aliases: other names for it.
        notes: what a reader should know, such as sources that differ.
    """

    name: Name
    title: str
    kind: Literal["tpu", "gpu", "cpu"]
    precision: Policy
    execution: Execution
    matrix: MatrixUnits
    vector: VectorUnits
    memory: Annotated[tuple[MemoryLevel, ...], msgspec.Meta(min_length=1)]
    launch: Launch
    sources: dict[str, str]
    energy: Energy | None = None
    aliases: tuple[Name, ...] = ()
    notes: str = ""

    @property
    def main_memory(self) -> MemoryLevel:
        """The level that holds everything."""
        return self.memory[-1]
