"""What all detectors have in common: a frozen configuration, and what fitting makes of it."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from modelwright.errors import SettingError, ShapeError
from modelwright.guard.rows import Array, Floats, Head, Rows, rows_of
from modelwright.records import Value

Numbers = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


class Detector(ABC):
    """A way to score how unfamiliar an input is; its fields are its settings, all of them plain values."""

    NEEDS_HEAD: ClassVar[bool] = False
    """Whether it computes logits of its own, for which it needs the classifier's last layer."""

    @final
    def fit(self, features: Array, logits: Array, labels: np.ndarray[Any, Any], head: Head | None = None) -> "Fitted":
        """What is learned from rows that are familiar.

        Args:
            features: (n, d).
            logits: (n, k).
            labels: (n,) true classes, from 0; every class has rows.
            head: the classifier's last layer, for those that need it.

        Raises:
            ShapeError: the arrays, or the head, do not fit one another.
            SettingError: a number is not finite, a class has no row, or the head is missing.
        """
        return self.fit_rows(rows_of(features, logits, labels), head)

    @final
    def fit_rows(self, rows: Rows, head: Head | None = None) -> "Fitted":
        """The same from rows that were looked at."""
        if head is not None and head.weight.shape != (rows.classes, rows.width):
            rule = f"the head must make {rows.classes} logits of {rows.width} features"
            raise ShapeError(rule, where="head", value=head.weight.shape)
        return Fitted(self, rows.width, rows.classes, self.learn(rows, head))

    @abstractmethod
    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """The arrays that scoring needs."""

    @abstractmethod
    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """(n,) scores of finite rows, higher for less familiar, from what was learned."""


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A detector and what it learned.

    Attributes:
        detector: the configuration.
        width: of the features.
        classes: how many the logits tell apart.
        numbers: what was learned, by name.
    """

    detector: Detector
    width: int
    classes: int
    numbers: Numbers

    def score(self, features: Array, logits: Array) -> Floats:
        """(n,) scores, higher for less familiar; NaN for rows with a number that is not finite.

        Raises:
            ShapeError: features are not (n, width) or logits not (n, classes).
        """
        wide, found = checked(features, logits, self.width, self.classes)
        sound = np.isfinite(wide).all(1) & np.isfinite(found).all(1)
        scores = np.full(len(wide), np.nan)
        if sound.all():
            scores = self._measured(wide, found)
        elif sound.any():
            scores[sound] = self._measured(wide[sound], found[sound])
        return scores

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What was learned, for a file; `Fitted(detector, width, classes, arrays)` is the same again."""
        return {name: np.ascontiguousarray(value) for name, value in self.numbers.items()}

    def _measured(self, features: Floats, logits: Floats) -> Floats:
        if not len(features):
            return np.empty(0)
        with np.errstate(all="ignore"):  # what overflows has no score
            scores = np.asarray(self.detector.measure(self.numbers, features, logits), np.float64)
        return np.where(np.isfinite(scores), scores, np.nan)


def checked(features: Array, logits: Array, width: int, classes: int) -> tuple[Floats, Floats]:
    """Features (n, width) and logits (n, classes) in float64.

    Raises:
        ShapeError: they have another shape, or are no numbers; names both.
    """
    try:
        wide, found = np.asarray(features, np.float64), np.asarray(logits, np.float64)
    except (TypeError, ValueError) as failure:
        raise ShapeError(f"features and logits must be tables of numbers ({failure})") from failure
    if wide.ndim != 2 or wide.shape[1] != width:
        raise ShapeError(f"features must be (n, {width})", where="features", value=wide.shape)
    if found.shape != (len(wide), classes):
        raise ShapeError(f"logits must be ({len(wide)}, {classes})", where="logits", value=found.shape)
    return wide, found


def needed(head: Head | None) -> Head:
    """The head, for a detector that does not work without one.

    Raises:
        SettingError: there is none.
    """
    if head is None:
        way_out = "Give the weight (k, d) and bias (k,) of the layer that makes logits of features."
        raise SettingError("this detector needs the classifier's last layer", where="head", value=None, way_out=way_out)
    return head


def settings_of(detector: Detector) -> dict[str, Value]:
    """A detector's fields; `type(detector)(**settings)` is the same again."""
    return dataclasses.asdict(detector)  # type: ignore[call-overload, no-any-return]  # every detector is a dataclass
