"""Random search: every new point with equal chance (Bergstra and Bengio, 2012)."""

from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.records import Point
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History
from modelwright.search.space import Domain


@final
@dataclass(frozen=True)
class Random(Searcher):
    """Draws from the whole domain."""

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` points that are new."""
        return fresh(domain, history, rng, count)
