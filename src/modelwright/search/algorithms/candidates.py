"""The points among which an acquisition function is asked for its best: near the front, and from anywhere."""

from collections.abc import Sequence

import numpy as np

from modelwright.records import Point
from modelwright.search.history import Key, key
from modelwright.search.space import Domain, Listed
from modelwright.search.surrogates import distances

FAR, NEAR = 1500, 900
"""How many are drawn from anywhere, and how many near the front."""
PARENTS = 24
"""Of the front's points, so many are varied."""


def candidates(domain: Domain, front: Sequence[Point], taken: set[Key], rng: np.random.Generator) -> list[Point]:
    """Points that are not taken, each once; a table's are its own, near ones first found by distance.

    Args:
        domain: where to look.
        front: good points, whose surroundings are looked at more closely.
        taken: points that are out of the question.
        rng: draws.
    """
    if isinstance(domain, Listed):
        found = _rows(domain, front, rng)
    else:
        found = [*domain.sample(rng, FAR), *_varied(domain, front, rng)]
    unique = {key(point): point for point in found}
    return [point for name, point in unique.items() if name not in taken]


def around(domain: Domain, points: Sequence[Point], taken: set[Key]) -> list[Point]:
    """The neighbours of points that are not taken, each once."""
    unique = {key(near): near for point in points for near in domain.neighbours(point)}
    return [point for name, point in unique.items() if name not in taken]


def _rows(domain: Listed, front: Sequence[Point], rng: np.random.Generator) -> list[Point]:
    encoding = domain.encoding
    places = set(rng.permutation(domain.size)[:FAR].tolist())
    if front:
        picked = [front[place] for place in rng.permutation(len(front))[:PARENTS].tolist()]
        best = domain.encode(picked).numbers
        nearest = np.full(domain.size, np.inf)
        for row in best:
            away = distances(row[None], encoding.numbers, encoding.categorical)[0].sum(axis=-1)
            np.minimum(nearest, away, out=nearest)
        places |= set(np.argsort(nearest + 0.01 * rng.random(domain.size))[:NEAR].tolist())
    return [domain.points[place] for place in sorted(places)]


def _varied(domain: Domain, front: Sequence[Point], rng: np.random.Generator) -> list[Point]:
    if not front:
        return []
    parents = [front[place] for place in rng.permutation(len(front))[:PARENTS].tolist()]
    near = around(domain, parents, set())
    found = [near[place] for place in rng.permutation(len(near))[: NEAR // 2].tolist()]
    for turn in range(NEAR // 4):
        parent = parents[turn % len(parents)]
        found.append(domain.mutate(parent, rng, 2 + turn % 3))
        found.append(domain.crossover(parent, parents[int(rng.integers(len(parents)))], rng))
    return found
