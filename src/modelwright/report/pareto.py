"""The Pareto front of (cost, gain) points, where less cost and more gain are better, and how much it dominates.

Hypervolume and coverage: Zitzler and Thiele, Multiobjective evolutionary algorithms, IEEE Transactions on Evolutionary
Computation 3 (4), 1999.
"""

from collections.abc import Sequence

import numpy as np

from modelwright.search import pareto

Pair = tuple[float, float]


def front(points: Sequence[Pair]) -> list[int]:
    """Positions of the points that no other dominates, cheapest first; of equal points the first.

    Args:
        points: (cost, gain) of each.
    """
    found: list[int] = pareto.non_dominated(_losses(points)).tolist()
    return found


def covered(points: Sequence[Pair], by: Sequence[Pair]) -> float:
    """The share of the points that are dominated: some other of `by` is at least as good in both, better in one."""
    beaten = [
        any(cost <= point[0] and gain >= point[1] and (cost, gain) != point for cost, gain in by) for point in points
    ]
    return sum(beaten) / len(points) if points else 0.0


def box(studies: Sequence[Sequence[Pair]]) -> tuple[Pair, Pair]:
    """The corners between which all points lie: (least cost, most gain), (most cost, least gain).

    Args:
        studies: (cost, gain) points of each; at least one point in all.
    """
    costs, gains = zip(*(point for points in studies for point in points), strict=True)
    return (min(costs), max(gains)), (max(costs), min(gains))


def dominated(points: Sequence[Pair], corners: tuple[Pair, Pair]) -> float:
    """The share of a box that points dominate: their hypervolume against its far corner, over its area."""
    (least, most), (dearest, worst) = corners
    area = (dearest - least) * (most - worst)
    return pareto.hypervolume(_losses(points), _losses([(dearest, worst)])[0]) / area if area else 0.0


def _losses(points: Sequence[Pair]) -> pareto.Numbers:
    return np.array(points, dtype=np.float64).reshape(-1, 2) * (1.0, -1.0)
