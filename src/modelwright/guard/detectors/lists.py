"""An inverted file: rows of length 1 in lists, one a centroid; of a query's neighbours the nearest lists are searched.

The lists are Voronoi cells of spherical k-means: centroids of length 1, each row in the list of the greatest cosine.
Of n rows there are sqrt(n) lists, so that finding the nearest lists, and searching one of them, read about as much.
What is found is among all rows, so that the k-th greatest cosine found is at most the k-th greatest of all: a
distance can come out too large, never too small. Sources: Sivic, Zisserman, 2003, "Video Google: a text retrieval
approach to object matching in videos"; Jegou, Douze, Schmid, 2011, "Product quantization for nearest neighbor search"
(section IV); Dhillon, Modha, 2001, "Concept decompositions for large sparse text data using clustering".
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Singles = NDArray[np.float32]

_LEARNED = 64
"""Rows a centroid that k-means looks at, at most."""
_TURNS = 8
"""Of k-means; cells need not be perfect."""
_BLOCK = 4096


class Lists(NamedTuple):
    """Rows by their lists.

    Attributes:
        rows: (n, d), list after list.
        centroids: (l, d).
        starts: (l + 1,) where each list starts, and the last ends.
    """

    rows: Singles
    centroids: Singles
    starts: NDArray[np.int64]


def lists_of(rows: Singles, seed: int) -> Lists:
    """The lists of rows (n, d) of length 1.

    Args:
        rows: one at least.
        seed: of the centroids that k-means starts from, and of the rows that it looks at.
    """
    random, count = np.random.default_rng(seed), max(round(len(rows) ** 0.5), 1)
    sample = rows[random.choice(len(rows), min(len(rows), _LEARNED * count), replace=False)]
    centroids = sample[:count]
    for _ in range(_TURNS):
        nearest = _nearest(sample, centroids)
        ones = np.ones(len(sample), np.float32)
        sums = csr_array((ones, (nearest, np.arange(len(sample)))), (count, len(sample))) @ sample
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids = np.where(lengths > 0, sums / np.maximum(lengths, np.finfo(np.float32).tiny), centroids)
    nearest = _nearest(rows, centroids)
    order = np.argsort(nearest, kind="stable")
    starts = np.searchsorted(nearest[order], np.arange(count + 1))
    return Lists(rows[order], centroids, starts.astype(np.int64))


def kth_found(lists: Lists, query: NDArray[Any], k: int, probes: int) -> float:
    """The k-th greatest cosine of a query with the rows of the nearest lists.

    Args:
        lists: of n rows.
        query: (d,).
        k: 1 to n.
        probes: lists to search; more where these hold fewer than k rows.
    """
    order = np.argsort(-(lists.centroids @ query), kind="stable")
    first, last = lists.starts[order], lists.starts[order + 1]
    enough = int(np.searchsorted(np.cumsum(last - first), k)) + 1
    searched = range(min(max(probes, enough), len(order)))
    cosines = np.concatenate([lists.rows[first[one] : last[one]] @ query for one in searched])
    return float(np.partition(cosines, len(cosines) - k)[len(cosines) - k])


def _nearest(rows: Singles, centroids: Singles) -> NDArray[np.int64]:
    """(n,) number of the centroid of the greatest cosine, in blocks of rows."""
    starts = range(0, len(rows), _BLOCK)
    return np.concatenate([(rows[start : start + _BLOCK] @ centroids.T).argmax(1) for start in starts])
