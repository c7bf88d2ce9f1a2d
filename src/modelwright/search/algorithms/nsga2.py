"""NSGA-II: the best by rank and crowding have children by crossover and mutation.

Source: Deb et al., 2002, doi 10.1109/4235.996017.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.records import Point
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History
from modelwright.search.pareto import crowding, ranks
from modelwright.search.space import Domain


def fitness(losses: NDArray[np.float64]) -> NDArray[np.intp]:
    """The place of each row in the order of rank, then of crowding (lonely ones first); 0 is the fittest."""
    rank = ranks(losses)
    lonely = np.zeros(len(losses))
    for level in range(int(rank.max(initial=-1)) + 1):
        members = np.flatnonzero(rank == level)
        lonely[members] = crowding(losses[members])
    order = np.lexsort((-lonely, rank))
    places = np.empty(len(losses), dtype=np.intp)
    places[order] = np.arange(len(losses))
    return places


@final
@dataclass(frozen=True)
class NSGA2(Searcher):
    """A steady-state form: the population is the fittest of all that was evaluated, renewed with each suggestion.

    Attributes:
        population: how many have children.
        mutation: the chance that a child of two is mutated as well.
    """

    population: int = 20
    mutation: float = 0.8

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` children; drawn from the whole domain until the first population is full."""
        begun = len(history.points) + len(history.pending)
        first = min(count, max(0, self.population - begun))
        if first == count or not history.points:
            return fresh(domain, history, rng, count)
        found = fresh(domain, history, rng, first)
        order = fitness(history.ordered())
        alive = np.argsort(order)[: self.population]

        def parent() -> Point:
            rivals = alive[rng.integers(len(alive), size=2)]
            return history.points[int(rivals[np.argmin(order[rivals])])]

        def child() -> Point:
            made = domain.crossover(parent(), parent(), rng)
            return domain.mutate(made, rng) if rng.random() < self.mutation else made

        return fresh(domain, history, rng, count, child, found)
