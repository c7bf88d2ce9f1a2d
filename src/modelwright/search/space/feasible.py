"""Whether a space holds anything within a budget, told before the search starts."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.records import Point
from modelwright.search.space.domain import Domain

Numbers = NDArray[np.float64]
Cost = Callable[[Sequence[Point]], Numbers]
"""Of each point, (points,), or several costs of each, (points, costs); what cannot be had is infinite or NaN."""

STARTS = 3
"""How many of the drawn points the walks start from."""


def feasible(
    domain: Domain, cost: Cost, limits: float | Sequence[float], rng: np.random.Generator, tries: int = 256
) -> Point:
    """A point whose cost keeps the limit, or each of several.

    Points are drawn; where none of them will do, the best few walk to the best of their neighbours while that is
    better. Less must be better; of several costs, the shares by which they are above their limits add up, and among
    equals room below the limits counts. A walk can end where no neighbour is better though a point far away is, so that
    failure is evidence and not proof.

    Args:
        domain: where to look.
        cost: called with all points of a step at once.
        limits: of the cost, or of each.
        rng: draws the points.
        tries: how many are drawn.

    Raises:
        SettingError: none was found; names the least cost that was, and the limit.
    """
    most = np.atleast_1d(np.asarray(limits, dtype=np.float64))
    points = domain.sample(rng, max(tries, 1))
    costs = _costs(cost, points)
    order = sorted(range(len(points)), key=lambda place: _excess(costs[place], most))
    ends = []
    for start in order[:STARTS]:
        point, paid = _walk(domain, cost, most, points[start], costs[start])
        if _kept(paid, most):
            return point
        ends.append(paid)
    least = min(ends, key=lambda paid: _excess(paid, most))
    raise SettingError(
        f"the space must hold a point within the limit of {_shown(most)}",
        where="limit",
        value=float(least[0]) if len(least) == 1 else least.tolist(),
        way_out="That is the least that was found: raise the limit, or widen the space.",
    )


def _walk(domain: Domain, cost: Cost, most: Numbers, point: Point, paid: Numbers) -> tuple[Point, Numbers]:
    """Where the walk downhill from a point ends, and what that costs: where the limits are kept, or at a bottom."""
    while not _kept(paid, most):
        near = domain.neighbours(point)
        costs = _costs(cost, near)
        ranks = [_excess(one, most) for one in costs]
        if not near or min(ranks) >= _excess(paid, most):
            break
        best = ranks.index(min(ranks))
        point, paid = near[best], costs[best]
    return point, paid


def _costs(cost: Cost, points: Sequence[Point]) -> Numbers:
    if not points:
        return np.empty((0, 1))
    found = np.asarray(cost(points), dtype=np.float64).reshape(len(points), -1)
    return np.where(np.isnan(found), np.inf, found)


def _kept(paid: Numbers, most: Numbers) -> bool:
    return bool((paid <= most).all())


def _excess(paid: Numbers, most: Numbers) -> tuple[float, float]:
    """By what share of its limit costs are above it, summed over those that are; then summed over all of them."""
    shares = (paid - most) / np.where(most == 0, 1.0, np.abs(most))
    return float(np.maximum(shares, 0.0).sum()), float(shares.sum())


def _shown(numbers: Numbers) -> str:
    return " and ".join(f"{number:.6g}" for number in numbers.tolist())
