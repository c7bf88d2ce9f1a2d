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
    apart = np.abs(a[:, None] - b[None])
    apart[..., categorical] = apart[..., categorical] > 0
    one_sided = (a < 0)[:, None] != (b < 0)[None]
    apart[one_sided] = 1.0
    return apart
