"""Samples to train on and to choose by: familiar ones, and outliers whose classes are never shared between parts."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from modelwright.errors import SettingError, ShapeError


@final
@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs with what they are.

    Attributes:
        inputs: (n, ...) float32, features or whole inputs.
        labels: (n,) int64. Of familiar ones the class, from 0; of outliers whatever number tells their classes apart.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.inputs.ndim < 2 or self.labels.shape != self.inputs.shape[:1] or not len(self.labels):
            rule = "there must be inputs (n, ...) and as many labels (n,)"
            raise ShapeError(rule, where="samples", value=(tuple(self.inputs.shape), tuple(self.labels.shape)))
        if not torch.isfinite(self.inputs).all():
            raise SettingError("inputs to train on must be finite", where="samples", value="NaN or infinity")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> frozenset[int]:
        """The labels that occur."""
        return frozenset(self.labels.tolist())

    def only(self, classes: Sequence[int]) -> "Samples":
        """Those of some classes.

        Raises:
            ShapeError: there are none.
        """
        kept = torch.isin(self.labels, torch.tensor(list(classes), dtype=torch.int64))
        return Samples(self.inputs[kept], self.labels[kept])


@final
@dataclass(frozen=True, eq=False)
class Course:
    """All that a method is trained and chosen with.

    Attributes:
        train: familiar samples; their labels are 0 to k - 1, each of them there.
        validation: familiar samples that accuracy and scores are judged on.
        validation_outliers: outliers that epoch and score are chosen on.
        train_outliers: outliers to learn from; None for methods that need none.

    Raises:
        SettingError: a class is missing, or training and validation share an outlier class.
    """

    train: Samples
    validation: Samples
    validation_outliers: Samples
    train_outliers: Samples | None = None

    def __post_init__(self) -> None:
        if self.train.classes != set(range(len(self.train.classes))) or len(self.train.classes) < 2:
            rule = "labels to train on must be 0 to k - 1, each of them there, k > 1"
            raise SettingError(rule, where="train", value=sorted(self.train.classes)[:10])
        if not self.validation.classes <= self.train.classes:
            strange = sorted(self.validation.classes - self.train.classes)
            raise SettingError("validation must be of the classes that are trained", where="validation", value=strange)
        apart(self.outlier_classes, self.validation_outliers.classes, "training", "validation")

    @property
    def classes(self) -> int:
        """How many familiar classes there are."""
        return len(self.train.classes)

    @property
    def outlier_classes(self) -> frozenset[int]:
        """The outlier classes that are learned from."""
        return self.train_outliers.classes if self.train_outliers else frozenset()


def apart(some: frozenset[int], others: frozenset[int], first: str, second: str) -> None:
    """Refuse outlier classes that two parts share.

    Raises:
        SettingError: they share one; a score would be judged on what it has seen.
    """
    if shared := sorted(some & others):
        rule = f"{first} and {second} must share no outlier class"
        raise SettingError(rule, where="outliers", value=shared[:10], way_out="Deal them with `dealt`.")


def dealt(outliers: Samples, shares: Sequence[float], seed: int) -> tuple[Samples, ...]:
    """Outliers in parts that share no class, such as (0.5, 0.25, 0.25) for training, validation and test.

    Args:
        outliers: their labels tell their classes apart.
        shares: of the classes, each above 0; they add up to 1.
        seed: of the deal.

    Raises:
        SettingError: the shares do not add up to 1, or there are fewer classes than parts.
    """
    if any(share <= 0 for share in shares) or abs(sum(shares) - 1.0) > 1e-9:
        raise SettingError("shares must be above 0 and add up to 1", where="shares", value=tuple(shares))
    known = torch.tensor(sorted(outliers.classes))
    if len(known) < len(shares):
        raise SettingError(f"{len(shares)} parts need as many outlier classes", where="outliers", value=len(known))
    order = known[torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))].tolist()
    ends = torch.tensor([0.0, *shares], dtype=torch.float64).cumsum(0).mul(len(order)).round().int().tolist()
    for place in range(1, len(shares)):  # each part gets a class at least
        ends[place] = min(max(ends[place], ends[place - 1] + 1), len(order) - len(shares) + place)
    return tuple(outliers.only(order[start:end]) for start, end in itertools.pairwise(ends))
