"""Fronts and hypervolumes; every loss is the better the smaller."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]

MARGIN = 0.1
"""How far beyond the nadir of a front a reference point lies, as a share of the front's extent."""


def non_dominated(losses: Numbers) -> Places:
    """The places of the rows that no other row is better than, rising by the first loss; of equal rows the first.

    Args:
        losses: (points, objectives).
    """
    if not len(losses):
        return np.empty(0, dtype=np.intp)
    order = np.lexsort(losses.T[::-1])
    if losses.shape[1] == 2:
        second = losses[order, 1]
        least = np.minimum.accumulate(np.append(np.inf, second[:-1]))
        kept: Places = order[second < least]
        return kept
    front: list[int] = []
    for place in order.tolist():
        if not front or not (losses[front] <= losses[place]).all(axis=1).any():
            front.append(place)
    return np.array(front, dtype=np.intp)


def ranks(losses: Numbers) -> Places:
    """Of each row the number of the front it is in: 0 for the best, 1 for the best without those, and so on.

    Source: non-dominated sorting (NSGA-II, Deb et al., 2002, doi 10.1109/4235.996017).
    """
    rank = np.zeros(len(losses), dtype=np.intp)
    left, level = np.arange(len(losses)), 0
    while len(left):
        rest = losses[left]
        no_worse = np.all(rest[None] <= rest[:, None], axis=2)
        better = np.any(rest[None] < rest[:, None], axis=2)
        beaten = np.any(np.logical_and(no_worse, better), axis=1)
        rank[left[~beaten]] = level
        left, level = left[beaten], level + 1
    return rank


def crowding(losses: Numbers) -> Numbers:
    """How far each row of one front is from its neighbours, summed over objectives; infinite at the ends.

    Source: NSGA-II's crowding distance (Deb et al., 2002, doi 10.1109/4235.996017).
    """
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0 and len(order) > 2:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def reference_point(losses: Numbers, margin: float = MARGIN) -> Numbers:
    """Beyond the nadir of the rows' front by `margin` of its extent in each objective, (objectives,).

    Where a front is one point, its extent is taken to be 1.
    """
    front = losses[non_dominated(losses)]
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    extent = nadir - ideal
    beyond: Numbers = nadir + margin * np.where(extent > 0, extent, 1.0)
    return beyond


def hypervolume(losses: Numbers, reference: Numbers) -> float:
    """The volume that the rows dominate up to the reference point, exactly.

    By slices along the last objective, which is quick for two and three objectives (HSO: While et al., 2006, doi
    10.1109/TEVC.2005.851275).

    Args:
        losses: (points, objectives).
        reference: (objectives,).
    """
    inside = losses[(losses < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    front = inside[non_dominated(inside)]
    if front.shape[1] == 1:
        return float(reference[0] - front[0, 0])
    if front.shape[1] == 2:
        widths = np.append(front[1:, 0], reference[0]) - front[:, 0]
        return float((widths * (reference[1] - front[:, 1])).sum())
    order = np.argsort(front[:, -1], kind="stable")
    depths = np.append(front[order[1:], -1], reference[-1]) - front[order, -1]
    return sum(
        float(depth) * hypervolume(front[order[: end + 1], :-1], reference[:-1])
        for end, depth in enumerate(depths)
        if depth > 0
    )
