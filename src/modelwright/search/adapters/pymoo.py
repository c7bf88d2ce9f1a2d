"""pymoo's NSGA-II (Blank and Deb, 2020, doi 10.1109/ACCESS.2020.2990567) as a search algorithm."""

from typing import Any, final

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from modelwright.records import Point
from modelwright.search.adapters.translation import Translation
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History, Key, key
from modelwright.search.space import Domain

POPULATION = 20
GENERATIONS = 50
"""Generations of nothing but known points, after which the rest is drawn."""


@final
class PymooSearcher(Searcher):
    """Asks a live run of pymoo's NSGA-II over the places of values, generation by generation.

    A proposal that was evaluated before costs nothing: its result is known to the run.

    Args:
        population: its size.
    """

    def __init__(self, population: int = POPULATION) -> None:
        self.population = population
        self._run: Any = None
        self._translation: Translation | None = None
        self._generation: Any = None
        self._seen: list[Key] = []

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` points of the present generation, or of the next one that has new ones; at least one."""
        losses = {key(point): row for point, row in zip(history.points, history.losses, strict=True)}
        keys = list(losses)
        if self._run is None or keys[: len(self._seen)] != self._seen:
            self._begin(domain, history, int(rng.integers(2**31)))
        self._seen = keys
        taken = history.taken
        for _ in range(GENERATIONS):
            new = self._new(history, taken)
            if new:
                return new[:count]
            if any(key(point) not in losses and self._fits(history, point) for point in self._points()):
                return fresh(domain, history, rng, count)
            self._next(losses, history.losses.shape[1])
        return fresh(domain, history, rng, count)

    def _begin(self, domain: Domain, history: History, seed: int) -> None:
        self._translation = Translation(domain)
        top = np.array([len(choice.values) - 1 for choice in self._translation.choices])
        problem = Problem(n_var=len(top), n_obj=history.losses.shape[1], xl=0, xu=top, vtype=int)
        self._run = NSGA2(
            pop_size=self.population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        self._run.setup(problem, seed=seed, termination=("n_gen", 10**9), verbose=False)
        self._generation = self._run.ask()

    def _points(self) -> list[Point]:
        return [self._translation.numbered(row) for row in self._generation.get("X")] if self._translation else []

    def _fits(self, history: History, point: Point) -> bool:
        return bool(history.allowed([point])[0]) and key(point) not in {key(failed) for failed in history.failed}

    def _new(self, history: History, taken: set[Key]) -> list[Point]:
        unique = {key(point): point for point in self._points() if self._fits(history, point)}
        return [point for name, point in unique.items() if name not in taken]

    def _next(self, losses: dict[Key, np.ndarray], objectives: int) -> None:
        """Tell the generation's losses, very bad ones for what may not be, and ask for the next."""
        bad = np.full(objectives, 1e9)
        self._generation.set("F", np.array([losses.get(key(point), bad) for point in self._points()]))
        self._run.tell(infills=self._generation)
        self._generation = self._run.ask()


def nsga2() -> PymooSearcher:
    """NSGA-II with a population of 20, integer crossover and mutation with rounding."""
    return PymooSearcher()
