"""Local search: the neighbours of what is on the front, one after another (White et al., 2020, arXiv 2005.02960)."""

from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.records import Point
from modelwright.search.algorithms.candidates import around
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History, key
from modelwright.search.pareto import non_dominated
from modelwright.search.space import Domain


@final
@dataclass(frozen=True)
class LocalSearch(Searcher):
    """Tries what lies next to the front.

    Attributes:
        first: points from anywhere before that.
    """

    first: int = 10

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` new neighbours of the front; from anywhere, where all of these are known."""
        begun = len(history.points) + len(history.pending)
        first = min(count, max(0, self.first - begun))
        found = fresh(domain, history, rng, first)
        front = [history.points[place] for place in non_dominated(history.ordered()).tolist()]
        taken = history.taken | {key(point) for point in found}
        near = around(domain, front, taken) if first < count else []
        near = [point for point, fits in zip(near, history.allowed(near), strict=True) if fits]
        found += [near[place] for place in rng.permutation(len(near))[: count - first].tolist()]
        return fresh(domain, history, rng, count, found=found)
