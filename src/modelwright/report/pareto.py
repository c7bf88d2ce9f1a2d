"""The Pareto front of (cost, gain) points, where less cost and more gain are better, and how much it dominates.

Hypervolume: Zitzler and Thiele, Multiobjective optimization using evolutionary algorithms, PPSN 1998. Coverage: the
same, Multiobjective evolutionary algorithms, IEEE Transactions on Evolutionary Computation 3 (4), 1999.
"""

from collections.abc import Sequence

Pair = tuple[float, float]


def front(points: Sequence[Pair]) -> list[int]:
    """Positions of the points that no other dominates, cheapest first; of equal points the first.

    Args:
        points: (cost, gain) of each.
    """
    found: list[int] = []
    for position in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i)):
        if not found or points[position][1] > points[found[-1]][1]:
            found.append(position)
    return found


def hypervolume(points: Sequence[Pair], reference: Pair) -> float:
    """The area that the points dominate and that dominates the reference, in units of cost times gain.

    Args:
        points: (cost, gain) of each; those that do not dominate the reference add nothing.
        reference: the dearest cost and the least gain that count.
    """
    inside = [point for point in points if point[0] < reference[0] and point[1] > reference[1]]
    corners = [inside[position] for position in front(inside)]
    ends = [*(cost for cost, _ in corners), reference[0]][1:]
    return sum((end - cost) * (gain - reference[1]) for (cost, gain), end in zip(corners, ends, strict=True))


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
    return hypervolume(points, (dearest, worst)) / area if area else 0.0
