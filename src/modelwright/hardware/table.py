"""Kernels as columns of numbers, so that one and a million are costed by the same few array operations."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelwright.hardware.kernels import Plan

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

FROM_MAIN = -1
"""Partner of an access whose data can only be in main memory: the network's input and its results."""
FROM_LAST_RUN = -2
"""Partner of an access whose data was last touched in the run before: weights."""


@dataclass(frozen=True)
class Table:
    """Kernels of one or many networks, one after another.

    Attributes:
        starts: position of each network's first kernel (strictly increasing, the first is 0).
        macs, instructions, special, scattered, serial, host, extra, regions: a number a kernel.
        kernel, count, m, n, channels, taps, width, grouped, share: a row a matrix product.
        access_kernel, access_bytes, access_partner, access_write: a row a tensor touched; the partner is the kernel
            that touched the tensor before (a read) or will read it next (a write), or FROM_MAIN or FROM_LAST_RUN.
    """

    starts: Index
    macs: Array
    instructions: Array
    special: Array
    scattered: Array
    serial: npt.NDArray[np.bool_]
    host: Array
    extra: Array
    regions: Array
    kernel: Index
    count: Array
    m: Array
    n: Array
    channels: Array
    taps: Array
    width: Array
    grouped: npt.NDArray[np.bool_]
    share: Array
    access_kernel: Index
    access_bytes: Array
    access_partner: Index
    access_write: npt.NDArray[np.bool_]

    @property
    def networks(self) -> Index:
        """The network that each kernel belongs to."""
        marks = np.zeros(len(self.macs), dtype=np.int64)
        marks[self.starts[1:]] = 1
        return np.cumsum(marks)


def tabulate(plan: Plan) -> Table:
    """One network's kernels as columns."""
    kernels = plan.kernels
    rows = [(i, m) for i, kernel in enumerate(kernels) for m in kernel.multiplications]
    accesses = partners(plan)
    return Table(
        starts=np.zeros(1, dtype=np.int64),
        macs=np.array([k.macs for k in kernels], dtype=float),
        instructions=np.array([k.instructions for k in kernels], dtype=float),
        special=np.array([k.special for k in kernels], dtype=float),
        scattered=np.array([k.scattered for k in kernels], dtype=float),
        serial=np.array([k.serial for k in kernels], dtype=bool),
        host=np.array([k.host for k in kernels], dtype=float),
        extra=np.array([k.extra for k in kernels], dtype=float),
        regions=np.array([k.regions for k in kernels], dtype=float),
        kernel=np.array([i for i, _ in rows], dtype=np.int64),
        count=np.array([m.count for _, m in rows], dtype=float),
        m=np.array([m.m for _, m in rows], dtype=float),
        n=np.array([m.n for _, m in rows], dtype=float),
        channels=np.array([m.channels for _, m in rows], dtype=float),
        taps=np.array([m.taps for _, m in rows], dtype=float),
        width=np.array([m.width for _, m in rows], dtype=float),
        grouped=np.array([m.grouped for _, m in rows], dtype=bool),
        share=np.array([m.share for _, m in rows], dtype=float),
        access_kernel=np.array([row[0] for row in accesses], dtype=np.int64),
        access_bytes=np.array([row[1] for row in accesses], dtype=float),
        access_partner=np.array([row[2] for row in accesses], dtype=np.int64),
        access_write=np.array([row[3] for row in accesses], dtype=bool),
    )


def partners(plan: Plan) -> list[tuple[int, float, int, bool]]:
    """Every access with the kernel it shares its tensor with: a row is (kernel, bytes, partner, write)."""
    rows: list[list[float]] = []
    touched: dict[int, int] = {}
    written: dict[int, int] = {}
    for number, kernel in enumerate(plan.kernels):
        for access in kernel.accesses:
            if access.write:
                written[access.root] = len(rows)
                rows.append([number, access.bytes, FROM_MAIN, True])
                continue
            partner = touched.get(access.root, FROM_LAST_RUN if access.root in plan.weights else FROM_MAIN)
            rows.append([number, access.bytes, partner, False])
            if access.root in written and access.root not in plan.results:
                rows[written.pop(access.root)][2] = number
        for access in kernel.accesses:
            touched[access.root] = number
    return [(int(k), float(b), int(p), bool(w)) for k, b, p, w in rows]


def concatenate(tables: Sequence[Table]) -> Table:
    """Several tables as one, network after network."""
    sizes = [len(table.macs) for table in tables]
    offsets = [0, *itertools.accumulate(sizes)][:-1]

    def joined(name: str, shift: bool = False) -> np.ndarray:
        parts = [getattr(t, name) for t in tables]
        if shift:
            parts = [np.where(part >= 0, part + offset, part) for part, offset in zip(parts, offsets, strict=True)]
        return np.concatenate(parts)

    shifted = {"starts", "kernel", "access_kernel", "access_partner"}
    return Table(**{name: joined(name, name in shifted) for name in Table.__dataclass_fields__})
