"""Nearest neighbours: the Euclidean distance to the k-th nearest familiar row, all of them scaled to length 1.

    score = sqrt(2 - 2 s_k),

s_k is the k-th greatest cosine. Source: Sun, Ming, Zhu, Li, 2022, arXiv 2204.06507. Theirs is k = 50 for small data; it
is 10 here, as rows of a class of fewer than k look far away. Cosines are products of float32 matrices, in blocks of
rows. Of them few are ordered: the k-th greatest of the maxima of groups is a bound from below, and only what reaches it
can be among the k greatest.

To read all rows for a single decision takes as long as the memory takes, 9 ms for 50,000 rows of 512 numbers. Where
there are more than `exact` numbers, rows are kept in lists, of which the nearest `probes` are searched (see `lists`).
That can only miss neighbours: the distance is never too small, and who errs, errs on the side of deferring. It is one
score, the same in batches and one by one, and in calibration as in use.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.detectors.lists import Lists, Singles, kth_found, lists_of
from modelwright.guard.rows import Floats, Head, Rows

BLOCK = 16_000_000
"""Cosines that are held at a time, about; 64 MB."""


@final
@dataclass(frozen=True)
class Knn(Detector):
    """How far the features point away from those of the nearest familiar rows.

    Attributes:
        k: which neighbour counts; with fewer rows, the farthest.
        rows: of those given so many are kept, drawn by chance; 0 for all.
        seed: of the draw, and of the lists.
        exact: numbers, rows times width, up to which every row is looked at; 10 MB, which take about 1 ms.
        probes: lists that are searched where there are more; 0 for all, which is exact again.
    """

    k: int = 10
    rows: int = 0
    seed: int = 0
    exact: int = 2_500_000
    probes: int = 8

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """The rows themselves, in float32; with more than `exact` numbers in their lists."""
        kept = rows.features
        if 0 < self.rows < len(kept):
            kept = kept[np.sort(np.random.default_rng(self.seed).choice(len(kept), self.rows, replace=False))]
        references = unit(kept)
        if not self.probes or references.size <= self.exact:
            return {"references": references}
        lists = lists_of(references, self.seed)
        return {"references": lists.rows, "centroids": lists.centroids, "starts": lists.starts}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The distances."""
        references: Singles = numbers["references"]
        k, queries = min(self.k, len(references)), unit(features)
        if "centroids" in numbers:
            lists = Lists(references, numbers["centroids"], numbers["starts"])
            cosines = np.array([kth_found(lists, query, k, self.probes) for query in queries])
        else:
            block = max(BLOCK // len(references), 1)
            starts = range(0, len(queries), block)
            cosines = np.concatenate([kth_greatest(queries[at : at + block] @ references.T, k) for at in starts])
        found: Floats = np.sqrt(np.maximum(2.0 - 2.0 * cosines.astype(np.float64), 0.0))
        return found


def unit(features: NDArray[Any]) -> Singles:
    """The rows, each scaled to length 1, in float32; a row of zeros stays."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.ascontiguousarray(features / np.maximum(lengths, np.finfo(np.float64).tiny), np.float32)


def kth_greatest(values: Singles, k: int) -> Singles:
    """(b,) k-th greatest of each row of (b, n), 1 <= k <= n."""
    count = values.shape[1]
    groups = 8 * k
    size = count // groups
    if size < 2:
        return np.asarray(np.partition(values, count - k, axis=1)[:, count - k], np.float32)
    maxima = values[:, : groups * size].reshape(len(values), groups, size).max(2)
    bounds = np.partition(maxima, groups - k, axis=1)[:, groups - k]
    found = np.empty(len(values), np.float32)
    for place, (row, bound) in enumerate(zip(values, bounds, strict=True)):
        reached = row[row >= bound]
        found[place] = np.partition(reached, len(reached) - k)[len(reached) - k]
    return found
