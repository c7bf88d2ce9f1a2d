"""What detectors read: features, logits and labels of some rows, and the classifier's last linear layer."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError, ShapeError

Floats = NDArray[np.float64]
Array = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]
Flags = NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class Head:
    """A classifier's last layer, logits = features @ weight.T + bias.

    Attributes:
        weight: (k, d).
        bias: (k,).
    """

    weight: Floats
    bias: Floats

    def __post_init__(self) -> None:
        weight, bias = np.asarray(self.weight, np.float64), np.asarray(self.bias, np.float64)
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or not (finite(weight) and finite(bias)):
            rule = "a head must have a weight (k, d) and a bias (k,), all of them finite"
            raise ShapeError(rule, where="head", value=(weight.shape, bias.shape))
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)

    def logits(self, features: Floats) -> Floats:
        """(n, k) of features (n, d)."""
        found: Floats = features @ self.weight.T + self.bias
        return found

    def only(self, classes: Labels) -> "Head":
        """The head of some of the classes."""
        return Head(self.weight[classes], self.bias[classes])


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of data, as a network sees them.

    Attributes:
        features: (n, d), finite.
        logits: (n, k), finite.
        labels: (n,) true classes, 0 to k - 1.
    """

    features: Floats
    logits: Floats
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many classes the logits tell apart."""
        return int(self.logits.shape[1])

    @property
    def width(self) -> int:
        """Of the features."""
        return int(self.features.shape[1])

    @property
    def wrong(self) -> Flags:
        """(n,) whether the greatest logit is of another class than the true one."""
        found: Flags = self.logits.argmax(1) != self.labels
        return found

    def take(self, which: NDArray[Any]) -> "Rows":
        """Some of the rows, by number or by flag."""
        return Rows(self.features[which], self.logits[which], self.labels[which])

    def only(self, classes: Labels) -> "Rows":
        """The rows of some classes, whose logits are the only ones left; labels count within `classes`."""
        inside = self.take(np.isin(self.labels, classes))
        numbers = np.searchsorted(classes, inside.labels).astype(np.int64)
        return Rows(inside.features, inside.logits[:, classes], numbers)


@final
@dataclass(frozen=True, eq=False)
class Outliers:
    """Inputs of no class, as the classifier sees them.

    Attributes:
        features: (n, d).
        logits: (n, k); None for a trained head, which gives its own.
    """

    features: Array
    logits: Array | None = None


def rows_of(features: Array, logits: Array, labels: NDArray[Any], where: str = "rows") -> Rows:
    """Rows that were looked at: all of one length, finite, and every class among them.

    Raises:
        ShapeError: the arrays do not fit one another.
        SettingError: there are no rows, a number is not finite, a label is out of range, or a class has no row.
    """
    wide, found, truth = np.asarray(features, np.float64), np.asarray(logits, np.float64), np.asarray(labels)
    if wide.ndim != 2 or found.ndim != 2 or truth.ndim != 1 or not len(wide) == len(found) == len(truth):
        rule = "features must be (n, d), logits (n, k) and labels (n,)"
        raise ShapeError(rule, where=where, value=(wide.shape, found.shape, truth.shape))
    if not len(truth) or not wide.shape[1] or found.shape[1] < 2:
        raise SettingError("there must be rows, features and two classes", where=where, value=(wide.shape, found.shape))
    if not (finite(wide) and finite(found)):
        bad = int((~(np.isfinite(wide).all(1) & np.isfinite(found).all(1))).sum())
        way_out = "Leave these rows out, or find out why the network gives them."
        raise SettingError("features and logits must be finite", where=where, value=f"{bad} bad rows", way_out=way_out)
    whole = truth.astype(np.int64)
    if (whole != truth).any() or whole.min() < 0 or whole.max() >= found.shape[1]:
        raise SettingError(
            f"labels must be whole numbers from 0 to {found.shape[1] - 1}",
            where=where,
            value=(truth.min(), truth.max()),
        )
    missing = sorted(set(range(found.shape[1])) - set(np.unique(whole).tolist()))
    if missing:
        way_out = "Give rows of every class, or leave its logit out."
        raise SettingError("every class must have rows", where=where, value=missing[:10], way_out=way_out)
    return Rows(wide, found, whole)


def halves(labels: Labels, share: float, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the rows of two parts, the first with that share of every class, at least one row where it has two."""
    first: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        count = min(max(round(share * len(rows)), 1), max(len(rows) - 1, 1))
        first.append(rows[:count])
    chosen = np.sort(np.concatenate(first))
    return chosen, np.setdiff1d(np.arange(len(labels)), chosen)


def found_head(rows: Rows, tolerance: float = 1e-3) -> Head | None:
    """The linear layer between features and logits, by least squares; None where there is none.

    It is the layer itself where the features span their space. Otherwise it equals the layer on their span, which is
    all that the rows tell.

    Args:
        rows: of which there must be more than features.
        tolerance: largest residual, as a share of the logits' standard deviation.
    """
    if len(rows) <= rows.width + 1:
        return None
    middle, height = rows.features.mean(0), rows.logits.mean(0)
    weight, *_ = np.linalg.lstsq(rows.features - middle, rows.logits - height, rcond=None)
    head = Head(weight.T, height - middle @ weight)
    residual = np.abs(head.logits(rows.features) - rows.logits).max()
    return head if residual <= tolerance * max(float(rows.logits.std()), 1e-12) else None


def finite(values: Floats) -> bool:
    """Whether every number is."""
    return bool(np.isfinite(values).all())
