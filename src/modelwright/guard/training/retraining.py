"""The guarded network trained again without some of its classes, to which these are then new.

Each class is left out of one network. In all else, architecture, recipe and seed, training is that of the guarded one;
what normalises images stays, too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from modelwright.guard.extraction import extract
from modelwright.guard.folds import Fold
from modelwright.guard.rotation import turns
from modelwright.guard.rows import Labels
from modelwright.records import Architecture, GuardPlan, Recipe
from modelwright.training import Data, Run, Split, adapt, preprocess, train


@final
@dataclass(frozen=True, eq=False)
class Renumbered(Split):
    """A split whose labels are others.

    Attributes:
        split: whose images these are.
        labels: int64 of (N,).
    """

    split: Split
    labels: Tensor

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The images of those numbers, in that order, and their labels."""
        return self.split.batch(indices)[0], self.labels[indices.to(self.labels.device)]

    def take(self, indices: Tensor) -> "Renumbered":
        """A split of those images only."""
        return Renumbered(self.split.take(indices), self.labels[indices])

    def on(self, device: torch.device) -> "Renumbered":
        """The same, on the device."""
        return Renumbered(self.split.on(device), self.labels.to(device))


def retrained(
    architecture: Architecture,
    data: Data,
    images: Callable[[], Iterable[Tensor]],
    recipe: Recipe,
    *,
    plan: GuardPlan,
    run: Run | None = None,
) -> Iterator[Fold]:
    """Networks without some classes, and what they make of the rows that a guard is fitted on.

    Args:
        architecture: of the guarded network.
        data: that it was trained on.
        images: gives batches, as the data has them, of all rows of the reference, then of the calibration.
        recipe: by which it was trained.
        plan: rotations and seed count.
        run: where; on this CPU if None. A checkpoint is not for several networks.

    Raises:
        SettingError: there are fewer than three classes.
        ShapeError, TrainingError, CapacityError: as in training.
    """
    for turn in turns(len(data.classes), plan.rotations, plan.seed):
        part = only(data, turn.kept)
        made = adapt(architecture, part)
        network = train(made, part, recipe, run).network
        see = preprocess(made, part)
        found = extract(network, (see(batch) for batch in images()))
        yield Fold(tuple(turn.held.tolist()), found.features, found.logits, found.head)


def only(data: Data, kept: Labels) -> Data:
    """The data set of some classes, numbered by their place among these; its mean and deviation stay.

    Args:
        data: with all classes.
        kept: numbers of two classes or more, in rising order.
    """
    classes = torch.from_numpy(kept)

    def part(split: Split) -> Split:
        labels = split.labels.cpu()
        places = torch.isin(labels, classes).nonzero().flatten()
        return Renumbered(split.take(places), torch.searchsorted(classes, labels[places]))

    names = tuple(data.classes[label] for label in kept.tolist())
    splits = {name: part(getattr(data, name)) for name in ("train", "validation", "test")}
    return replace(data, classes=names, **splits)  # type: ignore[arg-type]  # the stub takes no mapping
