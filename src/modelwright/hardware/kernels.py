"""What a platform runs: kernels, each with its products, vector work and memory accesses."""

from collections.abc import Sequence

import msgspec

from modelwright.hardware.processor import FRESH, PAGE
from modelwright.records import Platform


class Access(msgspec.Struct, frozen=True):
    """Bytes of one tensor that a kernel reads or writes; what is `fresh` is written to memory of its own."""

    root: int
    bytes: float
    write: bool = False
    fresh: bool = False


class Multiplication(msgspec.Struct, frozen=True):
    """A product as the matrix units see it: `taps` windows of `channels` inner elements, one for plain products."""

    count: float
    m: float
    n: float
    channels: int
    taps: int
    width: int
    grouped: bool = False
    share: float = 1.0


class Kernel(msgspec.Struct, frozen=True):
    """One launch: what it computes and what it touches, for a whole batch.

    `scattered` counts the bytes of the memory sectors that strided access pulls from the nearest level. A `serial`
    kernel does its vector work between its matrix work, not beside it. Starting it takes `host` times the host's pace
    and `extra` seconds of the host, and on the device `regions` starts.
    """

    name: str
    layer: str
    kind: str
    operators: tuple[str, ...]
    precision: str
    multiplications: tuple[Multiplication, ...] = ()
    macs: float = 0.0
    instructions: float = 0.0
    special: float = 0.0
    accesses: tuple[Access, ...] = ()
    scattered: float = 0.0
    serial: bool = False
    host: float = 1.0
    extra: float = 0.0
    regions: float = 1.0


class Plan(msgspec.Struct, frozen=True):
    """All kernels of a workload in order, with what residency needs: roots of weights, of inputs and of results."""

    kernels: tuple[Kernel, ...]
    weights: frozenset[int]
    inputs: frozenset[int]
    results: frozenset[int] = frozenset()


def fresh_s(accesses: Sequence[Access], platform: Platform) -> float:
    """Seconds until the pages of large fresh memory can be written."""
    pages = sum(a.bytes for a in accesses if a.fresh and a.bytes > FRESH) / PAGE
    return pages * platform.launch.page
