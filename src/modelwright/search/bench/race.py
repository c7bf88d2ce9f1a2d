"""A search algorithm run on a table, from several seeds."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import final

import numpy as np
from threadpoolctl import threadpool_limits

from modelwright.errors import SettingError
from modelwright.records import Point
from modelwright.registry import load
from modelwright.search.algorithms import searchers
from modelwright.search.bench.table import Table

MARKS = (50, 100, 200, 400)
"""Evaluations after which the hypervolume is told, as far as a race goes; and at its end."""


@final
@dataclass(frozen=True)
class Outcome:
    """One seed's race.

    Attributes:
        seed: of all that was drawn.
        ratios: evaluations -> share of the true front's hypervolume that was found by then.
        found: places of the candidates, in the order of evaluation.
    """

    seed: int
    ratios: dict[int, float]
    found: tuple[int, ...]


@final
@dataclass(frozen=True)
class Race:
    """What is run: a method on a table.

    Attributes:
        table: the problem.
        method: name of the search algorithm, or module:attribute of one.
        evaluations: how many candidates it may evaluate, fewer where the table has fewer.
        at_once: how many it suggests at a time.
    """

    table: Table
    method: str
    evaluations: int = 200
    at_once: int = 1

    def run(self, seed: int) -> Outcome:
        """The race from one seed."""
        searcher = (load(self.method) if ":" in self.method else searchers[self.method])()
        rng, points = np.random.default_rng(seed), list[Point]()
        budget = min(self.evaluations, self.table.domain.size)
        while len(points) < budget:
            asked = min(self.at_once, budget - len(points))
            new = searcher.suggest(self.table.domain, self.table.history(points), rng, asked)
            if not new:
                raise SettingError("a search must suggest points while any are left", where=self.method)
            points += new
        places = [self.table.domain.place(point) for point in points]
        marks = sorted({*(mark for mark in MARKS if mark < budget), budget})
        ratios = {mark: self.table.ratio(self.table.losses[places[:mark]]) for mark in marks}
        return Outcome(seed, ratios, tuple(places))

    def run_all(self, seeds: int, workers: int = 1, report: Callable[[int], None] | None = None) -> list[Outcome]:
        """The races from seeds 0 to `seeds` - 1, in that order.

        Args:
            seeds: how many.
            workers: processes that share them, each with one thread.
            report: is told how many have ended.
        """
        outcomes: dict[int, Outcome] = {}
        for outcome in self._each(range(seeds), workers):
            outcomes[outcome.seed] = outcome
            if report:
                report(len(outcomes))
        return [outcomes[seed] for seed in sorted(outcomes)]

    def _each(self, seeds: range, workers: int) -> Iterator[Outcome]:
        if workers <= 1 or len(seeds) == 1:
            with threadpool_limits(1):
                yield from map(self.run, seeds)
            return
        with ProcessPoolExecutor(min(workers, len(seeds)), get_context("spawn"), _one_thread) as pool:
            try:
                yield from (future.result() for future in as_completed([pool.submit(self.run, seed) for seed in seeds]))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _one_thread() -> None:
    threadpool_limits(1)
