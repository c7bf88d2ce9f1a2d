"""Bayesian search with random forests: one a loss, and the expected improvement of the hypervolume.

The forest as a surrogate is SMAC's (Hutter et al., 2011, doi 10.1007/978-3-642-25566-3_40). It treats every loss as
paid for.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.records import Point
from modelwright.search.algorithms.candidates import candidates
from modelwright.search.algorithms.improvement import expected_improvement
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History, key
from modelwright.search.pareto import non_dominated, reference_point
from modelwright.search.space import Domain
from modelwright.search.surrogates.forest import Forest, one_hot


@final
@dataclass(frozen=True)
class Bayesian(Searcher):
    """Suggests where forests expect the most; with three losses or more, for a pair of them drawn anew each time.

    Attributes:
        first: evaluations before anything is predicted.
        reach: how far beyond the nadir of the front the reference point lies, in extents of the front.
    """

    first: int = 12
    reach: float = 0.5

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` points, those of the largest expected improvement."""
        begun = len(history.points) + len(history.pending)
        first = min(count, max(0, self.first - begun))
        if first == count or len(history.points) < 2:
            return fresh(domain, history, rng, count)
        found = fresh(domain, history, rng, first)
        losses = history.ordered()
        pair = rng.permutation(losses.shape[1])[:2] if losses.shape[1] > 2 else np.arange(losses.shape[1])
        losses = losses[:, pair]
        front = [history.points[place] for place in non_dominated(losses).tolist()]
        pool = candidates(domain, front, history.taken | {key(point) for point in found}, rng)
        pool = [point for point, fits in zip(pool, history.allowed(pool), strict=True) if fits]
        if not pool:
            return fresh(domain, history, rng, count, found=found)
        encoding = domain.encode([*history.points, *pool])
        rows = one_hot(encoding.numbers, encoding.categorical)
        size, seed = len(history.points), int(rng.integers(2**31))
        forests = [Forest.fit(rows[:size], column, seed) for column in losses.T]
        mean, spread = np.stack([forest.predict(rows[size:]) for forest in forests], axis=-1)
        worth = expected_improvement(losses, reference_point(losses, self.reach), mean, spread)
        found += [pool[place] for place in np.argsort(-worth, kind="stable")[: count - first].tolist()]
        return fresh(domain, history, rng, count, found=found)
