"""Distance to the k-th nearest training row, features brought to length 1.

    score = |z - z_(k)|,    z = h / |h|

As |z - r|^2 = 2 - 2 z.r for vectors of length 1, it is found from products, in blocks that fit the cache.

Source: Sun, Ming, Zhu, Li, 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors", arXiv 2204.06507.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.guard.detectors.detector import Detector, Floats, Head, Labels, Numbers

_QUERIES = 256
"""Rows that are compared with the training rows at once: 51 MB of products with 50,000 of them."""


@final
@dataclass(frozen=True)
class KNN(Detector):
    """Distance to the k-th nearest training row.

    Attributes:
        neighbours: k; fewer than the rows that a class may be expected to have, or its own members look far away. Where
            there are fewer training rows, the farthest of them counts.

    Raises:
        SettingError: it is below 1.
    """

    neighbours: int = 10

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise SettingError("there must be a nearest neighbour", where="knn neighbours", value=self.neighbours)

    def _learn(self, features: Floats, logits: Floats, labels: Labels, head: Head | None) -> Numbers:
        return {"reference": _of_length_one(features)}

    def _score(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        reference, rows = numbers["reference"], _of_length_one(features)
        rank = len(reference) - min(self.neighbours, len(reference))
        scores = np.empty(len(rows))
        for first in range(0, len(rows), _QUERIES):
            block = rows[first : first + _QUERIES]
            products = block @ reference.T
            products.partition(rank, axis=1)
            gap = (block**2).sum(axis=1) + 1.0 - 2.0 * products[:, rank]
            scores[first : first + len(block)] = np.sqrt(np.maximum(gap, 0.0))
        return scores


def _of_length_one(features: Floats) -> NDArray[np.float32]:
    """Each row over its length; zero stays zero."""
    lengths: Any = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.where(lengths > 0, lengths, 1.0), np.float32, order="C")
