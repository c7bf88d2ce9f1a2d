"""The search that we recommend: Gaussian processes over choices, exact hypervolume improvement, free costs used freely.

What it knows that a general optimiser does not: latency mostly costs nothing to know, so it is not predicted but
looked up for every candidate; it spreads the first evaluations over all latencies, tells the predictor of accuracy
something about size, and rules out what breaks a limit before anything is trained. Each paid loss has a process of
its own, which sees a skewed loss through a logarithm. Losses far behind the front are cut off, so that the processes
spend their detail where the front is; and the reference point lies half an extent beyond the front found so far, so
that its ends go on being looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from modelwright.records import Point
from modelwright.search.algorithms.candidates import around, candidates
from modelwright.search.algorithms.improvement import expected_improvement, gain_below
from modelwright.search.algorithms.searcher import Searcher, fresh
from modelwright.search.history import History, key
from modelwright.search.pareto import non_dominated, reference_point
from modelwright.search.space import Domain, Listed
from modelwright.search.surrogates import GaussianProcess, bound_below, distances, unwarped, warped

Numbers = NDArray[np.float64]

REFITS = 8
"""Scales are fitted anew whenever the history has grown by an eighth."""
FITTED_AT_MOST = 256
"""Scales are fitted to at most so many points, evenly spaced in the history; predictions rest on all of them."""
CLIMBS = 4
DRAWS = 64


@final
@dataclass(frozen=True)
class Auto(Searcher):
    """Bayesian search with Gaussian processes that uses every cost it can get for nothing.

    Attributes:
        first: evaluations before anything is predicted.
        reach: how far beyond the nadir of the front the reference point lies, in extents of the front.
        cut: how far beyond the nadir losses are told apart, in extents of the front.
    """

    first: int = 12
    reach: float = 0.5
    cut: float = 1.0

    def suggest(self, domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
        """Up to `count` points, each expected to add the most to the front once those before it are in."""
        missing = count if len(history.points) < 2 else self.first - len(history.points) - len(history.pending)
        found = _spread_out(domain, history, rng, min(count, missing)) if missing > 0 else []
        if len(history.points) < 2:
            return found
        believed = _Belief.of(domain, history, self.cut)
        while len(found) < count:
            point = self._best(believed, rng, found)
            if point is None:
                break
            found.append(point)
        return found

    def _best(self, belief: "_Belief", rng: np.random.Generator, chosen: Sequence[Point]) -> Point | None:
        """The candidate of the largest expected gain."""
        domain, history = belief.domain, belief.history
        points, losses = belief.with_pending([*history.pending, *chosen])
        kept = belief.within(losses)
        inside = losses[kept] if kept.any() else losses
        front = [points[place] for place in np.flatnonzero(kept if kept.any() else ~kept)[non_dominated(inside)]]
        taken = history.taken | {key(point) for point in chosen}
        pool = _allowed(candidates(domain, front, taken, rng), history)
        if not pool:
            return next(iter(fresh(domain, history, rng, len(chosen) + 1, found=chosen)[len(chosen) :]), None)
        reference = reference_point(inside, self.reach)
        weights = rng.dirichlet(np.ones(losses.shape[1]))
        noise = rng.standard_normal((DRAWS, losses.shape[1]))

        def gains(some: Sequence[Point]) -> Numbers:
            mean, spread = belief.predict(some, points, losses)
            gain = _gains(inside, reference, (mean, spread, belief.bounds), (weights, noise))
            return gain * belief.chance(mean, spread)

        worth = gains(pool)
        for _ in range(0 if isinstance(domain, Listed) else CLIMBS):
            best = [pool[place] for place in np.argsort(-worth)[:4].tolist()]
            new = _allowed(around(domain, best, taken | {key(point) for point in pool}), history)
            if not new:
                break
            top = worth.max()
            pool, worth = [*pool, *new], np.append(worth, gains(new))
            if worth.max() <= top:
                break
        return pool[int(np.argmax(worth))]


@final
@dataclass(frozen=True)
class _Belief:
    """What is thought of a domain after a history.

    Attributes:
        domain, history: as they are.
        free: (objectives,), whether a loss costs nothing to know.
        bounds: (objectives,), above which losses are log-normal; minus infinity for normal ones.
        parameters: of each paid loss's process.
        cut: how far beyond the nadir losses are told apart.
    """

    domain: Domain
    history: History
    free: NDArray[np.bool_]
    bounds: Numbers
    parameters: tuple[Numbers | None, ...]
    cut: float

    @staticmethod
    def of(domain: Domain, history: History, cut: float) -> "_Belief":
        objectives = history.losses.shape[1]
        sample = history.free(history.points[:1])
        free = np.zeros(objectives, dtype=np.bool_) if sample is None else ~np.isnan(sample[0])
        bounds = np.array(
            [
                -np.inf if known else bound_below(column)
                for known, column in zip(free, _cut_off(history.losses, cut).T, strict=True)
            ]
        )
        belief = _Belief(domain, history, free, bounds, (None,) * objectives, cut)
        size = len(history.points)
        step = max(4, size // REFITS)
        seen = max(size // step * step, min(size, 4))
        if seen < 2:
            return belief
        some = np.unique(np.linspace(0, seen - 1, min(seen, FITTED_AT_MOST)).astype(np.intp))
        rows = belief.rows([history.points[place] for place in some.tolist()])
        targets = warped(_cut_off(history.losses[:seen], cut)[some], bounds)
        fitted = tuple(
            None if known else _fitted(rows.tobytes(), rows.shape, belief.columns.tobytes(), column.tobytes())
            for known, column in zip(free, targets.T, strict=True)
        )
        return _Belief(domain, history, free, bounds, fitted, cut)

    @property
    def columns(self) -> NDArray[np.bool_]:
        """Whether each column of `rows` is categorical."""
        named = [not choice.ordered for choice in self.domain.choices]
        return np.array(named + [False] * int(self.free.sum()), dtype=np.bool_)

    def rows(self, points: Sequence[Point]) -> Numbers:
        """The points as the processes see them: their choices, and what is known of them for nothing."""
        numbers = self.domain.encode(points).numbers
        known = self.history.free(points)
        if known is None or not self.free.any():
            return numbers
        early = self.history.free(self.history.points[:12])
        low, high = (early if early is not None else known)[:, self.free].min(axis=0), known[:, self.free].max(axis=0)
        if early is not None:
            high = early[:, self.free].max(axis=0)
        scaled = (known[:, self.free] - low) / np.where(high > low, high - low, 1.0)
        return np.hstack([numbers, np.clip(scaled, 0.0, 1.0)])

    def with_pending(self, pending: Sequence[Point]) -> tuple[list[Point], Numbers]:
        """All points, those that are on their way with the losses that are expected of them."""
        points, losses = list(self.history.points), self.history.losses
        if not pending:
            return points, losses
        mean, _ = self.predict(pending, points, losses)
        return [*points, *pending], np.vstack([losses, unwarped(mean, self.bounds)])

    def predict(self, points: Sequence[Point], seen: Sequence[Point], losses: Numbers) -> tuple[Numbers, Numbers]:
        """Mean and standard deviation of each (warped) loss at points, (points, objectives) each."""
        known = self.history.free(points)
        mean, spread = np.zeros((len(points), len(self.free))), np.zeros((len(points), len(self.free)))
        old, new = self.rows(seen), self.rows(points)
        among, across = distances(old, old, self.columns), distances(new, old, self.columns)
        targets = warped(_cut_off(losses, self.cut), self.bounds)
        for objective, parameters in enumerate(self.parameters):
            if known is not None and self.free[objective]:
                mean[:, objective] = known[:, objective]
                continue
            process = GaussianProcess.fit(among, targets[:, objective], parameters, 0 if parameters is not None else 40)
            mean[:, objective], spread[:, objective] = process.predict(across)
        return mean, spread

    def within(self, losses: Numbers) -> NDArray[np.bool_]:
        """Which losses keep the limits, (points,)."""
        limits = self.history.limits
        return np.array(np.all(losses <= (np.inf if limits is None else limits), axis=1), dtype=np.bool_)

    def chance(self, mean: Numbers, spread: Numbers) -> Numbers:
        """The probability that each point keeps the limits, (points,)."""
        limits = self.history.limits
        chance = np.ones(len(mean))
        for objective in np.flatnonzero(np.isfinite(limits)).tolist() if limits is not None else ():
            limit = warped(limits[None], self.bounds)[0, objective]  # type: ignore[index]  # None has no finite limits
            off = limit - mean[:, objective]
            sure = spread[:, objective] <= 0
            chance *= np.where(sure, off >= 0, ndtr(off / np.where(sure, 1.0, spread[:, objective])))
        return chance


@lru_cache(maxsize=256)
def _fitted(rows: bytes, shape: tuple[int, int], columns: bytes, targets: bytes) -> Numbers:
    """The parameters of the process that explains targets best; a pure function, remembered between suggestions."""
    table = np.frombuffer(rows).reshape(shape)
    apart = distances(table, table, np.frombuffer(columns, dtype=np.bool_))
    return GaussianProcess.fit(apart, np.frombuffer(targets)).parameters


def _cut_off(losses: Numbers, cut: float) -> Numbers:
    """The losses, those more than `cut` extents of the front beyond its nadir brought back to there."""
    found: Numbers = np.minimum(losses, reference_point(losses, cut))
    return found


def _gains(
    losses: Numbers, reference: Numbers, normal: tuple[Numbers, Numbers, Numbers], draws: tuple[Numbers, Numbers]
) -> Numbers:
    """What each point is expected to add: hypervolume for one or two losses, else to one weighted loss (ParEGO).

    ParEGO: Knowles, 2006, doi 10.1109/TEVC.2005.851274: the augmented Chebyshev sum with weights drawn anew each time.
    """
    mean, spread, bounds = normal
    if losses.shape[1] <= 2:
        return expected_improvement(losses, reference, mean, spread, bounds)
    weights, noise = draws
    low = losses.min(axis=0)
    extent = np.where(reference > low, reference - low, 1.0)

    def scalar(values: Numbers) -> Numbers:
        weighted = weights * (values - low) / extent
        summed: Numbers = weighted.max(axis=-1) + 0.05 * weighted.sum(axis=-1)
        return summed

    outcomes = scalar(unwarped(mean[None] + spread[None] * noise[:, None], bounds))
    best = float(scalar(losses).min())
    return gain_below(best, outcomes.mean(axis=0), np.maximum(outcomes.std(axis=0), 1e-12))


def _allowed(points: list[Point], history: History) -> list[Point]:
    return [point for point, kept in zip(points, history.allowed(points), strict=True) if kept]


def _spread_out(domain: Domain, history: History, rng: np.random.Generator, count: int) -> list[Point]:
    """New points from anywhere; where something is known of them for nothing, evenly from the least to the largest."""
    pool = fresh(domain, history, rng, count if history.known is None else 16 * count)
    known = history.free(pool)
    if known is None or len(pool) <= count:
        return pool[:count]
    there = known[:, ~np.isnan(known).all(axis=0)]
    sums = ((there - there.min(axis=0)) / np.maximum(np.ptp(there, axis=0), 1e-12)).sum(axis=1)
    groups = np.array_split(np.argsort(sums, kind="stable"), count)
    return [pool[int(rng.choice(group))] for group in groups]
