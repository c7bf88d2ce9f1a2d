"""Regularised evolution: the youngest live on, the best of a random few has a mutated child.

Source: Real et al., 2018, arXiv 1802.01548. With several losses the best is the one of the lowest rank, and of equal
ranks the one in the emptier surroundings, as in NSGA-II.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.records import Point
from modelwright.search.algorithms.nsga2 import fitness
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History
from modelwright.search.space import Domain


@final
@dataclass(frozen=True)
class RegularisedEvolution(Searcher):
    """Mutates the best of a sample of the latest points.

    Attributes:
        population: how many of the latest points are alive.
        sample: how many of these compete to be the parent.
    """

    population: int = 50
    sample: int = 10

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` children; drawn from the whole domain until the first population is full."""
        begun = len(history.points) + len(history.pending)
        first = min(count, max(0, self.population - begun))
        if first == count or not history.points:
            return fresh(domain, history, rng, count)
        found = fresh(domain, history, rng, first)
        alive = history.points[-self.population :]
        order = fitness(history.ordered()[-self.population :])

        def child() -> Point:
            rivals = rng.integers(len(alive), size=self.sample)
            return domain.mutate(alive[int(rivals[np.argmin(order[rivals])])], rng)

        return fresh(domain, history, rng, count, child, found)
