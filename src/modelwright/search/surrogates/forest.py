"""A random forest as a surrogate: the spread of its trees says how sure it is (SMAC: Hutter et al., 2011)."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

Numbers = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Forest:
    """A fitted forest.

    Attributes:
        trees: scikit-learn's regressor.
    """

    trees: Any

    @staticmethod
    def fit(rows: Numbers, targets: Numbers, seed: int, trees: int = 64) -> "Forest":
        """Grow trees on resampled points, each split among a third of the columns.

        Args:
            rows: (points, columns).
            targets: (points,).
            seed: of the resampling.
            trees: how many.
        """
        grown = RandomForestRegressor(trees, max_features=1 / 3, min_samples_leaf=1, random_state=seed, n_jobs=1)
        return Forest(grown.fit(rows, targets))

    def predict(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Mean and standard deviation over the trees, (rows,) each."""
        votes = np.array([tree.predict(rows) for tree in self.trees.estimators_])
        return votes.mean(axis=0), votes.std(axis=0)


def one_hot(numbers: Numbers, categorical: NDArray[np.bool_]) -> Numbers:
    """Rows of an encoding with each categorical column replaced by one column a value, (points, more columns)."""
    columns: list[Numbers] = []
    for column, named in zip(numbers.T, categorical.tolist(), strict=True):
        if named:
            columns += [(column == value).astype(np.float64) for value in range(int(max(column.max(), 0)) + 1)]
        else:
            columns.append(column)
    return np.column_stack(columns)
