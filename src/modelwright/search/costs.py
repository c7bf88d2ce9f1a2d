"""What candidates cost, by the performance model; corrected where a calibration says how far it is off here."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.hardware import estimate, estimate_many
from modelwright.networks.assemble import Pieces
from modelwright.records import Architecture, ConvStem, MBConv, Plan, Platform, Point, Policy, PoolHead
from modelwright.search.calibration import Calibration
from modelwright.search.failures import FAILURES, told
from modelwright.search.history import Key, key
from modelwright.search.objectives import losses
from modelwright.search.space import make, precision_of

Numbers = NDArray[np.float64]

METRICS = ("latency_s", "throughput_per_s", "peak_memory_bytes", "energy_j", "flops", "params")
FREE = ("estimate", "calibrated")


@final
class Costs:
    """Estimated costs of points, each computed once.

    Args:
        plan: its space and setting.
        platform: for which.
        calibrations: precision -> what corrects latencies in it; without, they are taken as they are estimated.
    """

    def __init__(
        self, plan: Plan, platform: Platform, calibrations: Mapping[Policy, Calibration] | None = None
    ) -> None:
        self.plan = plan
        self.platform = platform
        self.calibrations = dict(calibrations or {})
        self._held: dict[Key, dict[str, float]] = {}
        self._pieces = Pieces()
        self.problems: dict[str, int] = {}
        """Why points have no network or no cost, and how many."""

    def architecture(self, point: Point, name: str = "") -> Architecture:
        """The network that a point stands for."""
        return make(self.plan.space, point, name or f"{self.plan.space.name}-candidate")

    def values(self, points: Sequence[Point]) -> list[dict[str, float]]:
        """Metric -> value of each point, as the search counts it; nothing of a point that no network can be made of."""
        new = {key(point): point for point in points if key(point) not in self._held}
        if new:
            self._held |= dict(zip(new, self._rows(list(new.values())), strict=True))
        return [self._held[key(point)] for point in points]

    def of(
        self, architectures: Sequence[Architecture], precisions: Sequence[Policy] | None = None
    ) -> list[dict[str, float]]:
        """The same of architectures, whether or not they are of the space.

        Args:
            architectures: any.
            precisions: that each computes in; the plan's if None.
        """
        rows, wanted = self.raw(architectures, precisions), self._wanted(architectures, precisions)
        for precision, calibration in self.calibrations.items():
            places = [place for place, one in enumerate(wanted) if one == precision]
            some = [architectures[place] for place in places], [rows[place] for place in places]
            for place, seconds in zip(places, calibration.latency_s(*some) if places else (), strict=True):
                rows[place] |= {"latency_s": float(seconds), "throughput_per_s": self.plan.batch / float(seconds)}
        return rows

    def raw(
        self, architectures: Sequence[Architecture], precisions: Sequence[Policy] | None = None
    ) -> list[dict[str, float]]:
        """The performance model's own numbers; arguments as of `of`."""
        wanted = self._wanted(architectures, precisions)
        rows: list[dict[str, float]] = [{}] * len(wanted)
        for precision in dict.fromkeys(wanted):
            places = [place for place, one in enumerate(wanted) if one == precision]
            for place, row in zip(places, self._raw([architectures[p] for p in places], precision), strict=True):
                rows[place] = {metric: value for metric, value in row.items() if np.isfinite(value)}
        return rows

    def known(self, points: Sequence[Point]) -> Numbers:
        """Losses that cost nothing to know, (points, objectives); nan for those that are trained or measured for.

        They are infinite for a point that no network can be made of.
        """
        rows = self.values(points)
        found = losses(self.plan.objectives, rows)
        found[[not row for row in rows]] = np.inf
        found[:, [objective.source not in FREE for objective in self.plan.objectives]] = np.nan
        return found

    def _rows(self, points: Sequence[Point]) -> list[dict[str, float]]:
        try:
            made = [self.architecture(point) for point in points]
            return self.of(made, [precision_of(self.plan, point) for point in points])
        except FAILURES as failure:
            if len(points) > 1:
                return [row for point in points for row in self._rows([point])]
            self.problems[told(failure)] = self.problems.get(told(failure), 0) + 1
            return [{}]

    def _wanted(self, architectures: Sequence[Architecture], precisions: Sequence[Policy] | None) -> Sequence[Policy]:
        return [self.plan.precision] * len(architectures) if precisions is None else precisions

    def _raw(self, architectures: Sequence[Architecture], precision: Policy) -> list[dict[str, float]]:
        plan = self.plan
        if not all(_plain(found) for found in architectures):
            return [self._traced(found, precision) for found in architectures]
        costs = estimate_many(
            architectures, self.platform, batch=plan.batch, precision=precision, execution=plan.execution
        )
        columns = {metric: getattr(costs, metric) for metric in METRICS}
        return [{m: float(column[place]) for m, column in columns.items()} for place in range(len(architectures))]

    def _traced(self, architecture: Architecture, precision: Policy) -> dict[str, float]:
        plan = self.plan
        found = estimate(
            self._pieces.assemble(architecture),
            self.platform,
            batch=plan.batch,
            precision=precision,
            execution=plan.execution,
            strict=False,
        )
        values = {metric: getattr(found, metric) for metric in METRICS}
        return {metric: float(value) for metric, value in values.items() if value is not None}


def _plain(architecture: Architecture) -> bool:
    """Whether `estimate_many` knows all of its parts."""
    return (
        isinstance(architecture.stem, ConvStem)
        and isinstance(architecture.head, PoolHead)
        and all(isinstance(stage.block, MBConv) for stage in architecture.stages)
    )
