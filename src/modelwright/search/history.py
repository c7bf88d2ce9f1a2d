"""What a search algorithm may know: what was tried, and what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.records import Point, Value

Numbers = NDArray[np.float64]
Known = Callable[[Sequence[Point]], Numbers]
"""Losses of points that cost nothing to know, (points, objectives); nan in the columns that must be paid for."""

Key = tuple[tuple[str, Value], ...]


def key(point: Point) -> Key:
    """A point as something that can be looked up."""
    return tuple(point.items())


@final
@dataclass(frozen=True)
class History:
    """A search so far, as every algorithm sees it. A search that is resumed is one with a longer history.

    Attributes:
        points: those that were evaluated, in the order in which they ended.
        losses: (points, objectives), theirs; each is the better the smaller.
        pending: points that are being evaluated.
        failed: points whose evaluation failed, and those that are never to be tried.
        known: what can be known of any point for nothing; None where nothing can.
        rewards: (points,), where one number a point is to be made as large as can be; None where the losses say all.
        limits: (objectives,), the largest loss that may be; infinite where there is no limit; None for no limits.
    """

    points: tuple[Point, ...] = ()
    losses: Numbers = field(default_factory=lambda: np.empty((0, 2)))
    pending: tuple[Point, ...] = ()
    failed: tuple[Point, ...] = ()
    known: Known | None = None
    rewards: Numbers | None = None
    limits: Numbers | None = None

    @property
    def taken(self) -> set[Key]:
        """Every point that need not be suggested again."""
        return {key(point) for group in (self.points, self.pending, self.failed) for point in group}

    def free(self, points: Sequence[Point]) -> Numbers | None:
        """The losses of points that cost nothing to know; None where there are none."""
        return None if self.known is None or not points else self.known(points)

    def allowed(self, points: Sequence[Point]) -> NDArray[np.bool_]:
        """Which points can be had and keep the limits, as far as that can be known for nothing, (points,)."""
        losses = self.free(points)
        if losses is None:
            return np.ones(len(points), dtype=np.bool_)
        beyond = np.isposinf(losses) if self.limits is None else np.isposinf(losses) | (losses > self.limits)
        return np.array(~np.any(beyond, axis=1), dtype=np.bool_)

    def ordered(self) -> Numbers:
        """The losses, those of points beyond a limit moved behind all that keep theirs, (points, objectives)."""
        if self.limits is None or not len(self.losses):
            return self.losses
        finite = np.isfinite(self.limits)
        excess = np.where(finite, np.maximum(self.losses - np.where(finite, self.limits, 0.0), 0.0), 0.0).sum(axis=1)
        worst, extent = self.losses.max(axis=0), np.ptp(self.losses, axis=0)
        behind = worst + (1.0 + excess[:, None]) * np.where(extent > 0, extent, 1.0)
        moved: Numbers = np.where(excess[:, None] > 0, behind, self.losses)
        return moved
