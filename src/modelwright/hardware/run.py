"""A run: an estimate with the columns that it was made from, so that one can ask what became of each second."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from modelwright.errors import SettingError
from modelwright.hardware.kernels import Kernel
from modelwright.hardware.model import schedule
from modelwright.hardware.physics import Seconds, products, seconds
from modelwright.hardware.plan import plan
from modelwright.hardware.precision import matrix_precision
from modelwright.hardware.table import Array, Index, Table, tabulate
from modelwright.records import Estimate, Operator, Platform, Workload

MATRIX, VECTOR = 0, 1
"""Rows of a run's seconds; the memory levels follow, nearest first."""


@dataclass(frozen=True)
class Run:
    """An estimate and what stands behind it.

    Attributes:
        workload, platform, estimate: of the run.
        kernels: as planned, in the estimate's order.
        weights: the tensors that do not depend on the input, by position.
        operators: by name.
        table: the kernels' columns.
        rows: seconds that each resource alone needs for each kernel.
        direct: of the vector row, the part that multiplies what the matrix units leave to it.
    """

    workload: Workload
    platform: Platform
    estimate: Estimate
    kernels: tuple[Kernel, ...]
    weights: frozenset[int]
    operators: Mapping[str, Operator]
    table: Table
    rows: Array
    direct: Array

    @property
    def work(self) -> Array:
        """Seconds that each kernel computes, whatever starting it takes."""
        longest: Array = self.rows.max(axis=0)
        return longest

    @property
    def bound(self) -> Index:
        """The row that decides each kernel; where vector work follows matrix work, the longer of the two."""
        found = self.rows.argmax(axis=0)
        longer = self.table.serial & (found == MATRIX) & (self.rows[VECTOR] * 2 > self.rows[MATRIX])
        return np.where(longer, VECTOR, found)

    def without(self, chosen: Index, row: int) -> float:
        """Seconds of the whole run if one resource took no time for the chosen kernels."""
        rows = self.rows[:, chosen]
        after_matrix = np.where(self.table.serial[chosen], rows[VECTOR], 0.0)
        if row == MATRIX:
            rows[MATRIX] = after_matrix
        else:
            rows[row] = 0.0
        if row == VECTOR:
            rows[MATRIX] -= after_matrix
        work = self.work.copy()
        work[chosen] = rows.max(axis=0, initial=0.0)
        return self.lasting(work)

    def lasting(self, work: Array) -> float:
        """Seconds of the whole run if its kernels computed for so long: the host still starts them at its own pace."""
        nothing = np.zeros_like(work)
        needs = Seconds(work, nothing, np.zeros((1, len(work))), nothing)
        return float(schedule(self.table, needs, self.platform, self.estimate.execution).latency.sum())


def run_of(workload: Workload, platform: Platform, estimate: Estimate) -> Run:
    """What stands behind an estimate.

    Args:
        workload: that was estimated.
        platform: for which it was.
        estimate: with its kernels.

    Raises:
        SettingError: the estimate is not one of this workload on this platform.
    """
    steps = plan(workload, platform, estimate.batch, estimate.precision, estimate.execution)
    same = [kernel.name for kernel in steps.kernels] == [kernel.name for kernel in estimate.kernels]
    if platform.name != estimate.platform or not same:
        raise SettingError(
            "the estimate must be of this workload on this platform",
            where=f"{workload.name} on {platform.name}",
            value=f"{estimate.architecture} on {estimate.platform}",
            way_out="Estimate it anew.",
        )
    table, precision = tabulate(steps), matrix_precision(estimate.precision)
    needs = seconds(table, platform, precision)
    _, _, issued, loads = products(table, platform, precision)
    direct = np.maximum(issued / platform.vector.issue, loads / platform.vector.loads)
    return Run(
        workload=workload,
        platform=platform,
        estimate=estimate,
        kernels=steps.kernels,
        weights=steps.weights,
        operators={operator.name: operator for operator in workload.operators},
        table=table,
        rows=np.vstack([needs.matrix, needs.vector, needs.memory]),
        direct=np.bincount(table.kernel, direct, len(steps.kernels)).astype(np.float64),
    )
