"""How far points are apart, choice by choice."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def distances(a: Numbers, b: Numbers, categorical: NDArray[np.bool_]) -> Numbers:
    """Of each pair of rows the distance in each column, 0 to 1: (rows of a, rows of b, columns).

    Ordered columns: the difference. Categorical ones: whether they differ. A choice that only one of the two points has
    is 1 apart.

    Args:
        a: rows of an `Encoding`, in which an inactive choice is below 0.
        b: further ones.
        categorical: (columns,).
    """
    apart = np.empty((a.shape[1], len(a), len(b)))  # column by column: several times as fast
    for found, one, other, named in zip(apart, a.T[:, :, None], b.T[:, None], categorical.tolist(), strict=True):
        if named:
            np.not_equal(one, other, out=found)
            continue
        np.abs(np.subtract(one, other, out=found), out=found)
        if np.any(one < 0) or np.any(other < 0):
            found[(one < 0) != (other < 0)] = 1.0
    return np.moveaxis(apart, 0, -1)
