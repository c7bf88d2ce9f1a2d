"""An artifact that a search or a quantization handed over, as a guard reads it: its features, logits and digest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from modelwright.cli.guard_arrays import Given, arrays, given_rows, is_file_of_arrays, named, texts
from modelwright.cli.subject import as_trained
from modelwright.endpoint import Classifier, classifier
from modelwright.errors import SettingError, ShapeError
from modelwright.guard.folds import Fold
from modelwright.guard.training.retraining import retrained
from modelwright.records import Architecture, GuardPlan, from_json
from modelwright.search.handover.manifest import FILES
from modelwright.training import Data, Split, dataset, recipe_for

_BATCH = 256


@final
@dataclass(frozen=True, eq=False)
class Artifact(Classifier):
    """A classifier with the rows that a guard is made and judged by."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, as far as known."""
        return self.card.classes if self.card else ()

    def data(self, word: str, seed: int) -> Data:
        """A data set by name or folder; "" for the one that it was trained on.

        Raises:
            SettingError: there is none, its images have another shape, or its splits are not those of the training.
            UnknownNameError: no data set has that name, and no folder either.
        """
        if not word and not self.card:
            raise SettingError("the data must be named", where="--data", way_out="Nobody described the artifact's own.")
        held = dataset(word or (self.card.name if self.card else ""), seed=seed)
        if self.card and tuple(held.shape) != tuple(self.card.shape):
            rule = f"images must be of shape {self.card.shape}, like those that the network was trained on"
            raise ShapeError(rule, where=held.name, value=held.shape)
        return as_trained(held, self.card) if self.card else held

    def split(self, split: Split, most: int, seed: int) -> Given:
        """Rows of a split, of which `most` are drawn where there are more."""
        return self._given(drawn(split, most, seed), {})

    def given(self, word: str, split: str, most: int, seed: int, groups: str = "") -> Given:
        """Rows of a file of arrays, whose column `groups` names subgroups, or of one split of a data set.

        Raises:
            SettingError: the file holds neither inputs nor features, or a data set is refused.
            ShapeError: the inputs have another shape than the training's.
        """
        if not is_file_of_arrays(word):
            return self.split(getattr(self.data(word, seed), split), most, seed)
        found = arrays(Path(word), groups)
        if "inputs" not in found:
            return given_rows(found, word)
        inputs = torch.from_numpy(np.ascontiguousarray(found["inputs"]))
        if not len(inputs) or (self.card and tuple(inputs.shape[1:]) != tuple(self.card.shape)):
            rule = f"inputs must be (n, {', '.join(map(str, self.card.shape if self.card else ('...',)))}), one or more"
            raise ShapeError(rule, where=word, value=tuple(inputs.shape))
        kind = torch.uint8 if inputs.ndim == 4 else torch.int64
        if inputs.dtype != kind:
            raise ShapeError(f"inputs must be {kind}, as the data has them", where=word, value=str(inputs.dtype))
        return self._given(torch.split(inputs, _BATCH), found)

    def _given(self, batches: Iterable[Any], found: dict[str, NDArray[Any]]) -> Given:
        seen = self.see(batches)
        known = found if seen.labels is None else {**found, "labels": seen.labels}
        return Given(named(seen.features, seen.logits, known), seen.head, texts(found))


def drawn(split: Split, most: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of a split's rows, of which `most` are drawn where there are more; rising."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:most]
    return split.batches(torch.split(order.sort().values, _BATCH))


def retrain(folder: Path, data: Data, epochs: int, most: int, plan: GuardPlan) -> list[Fold]:
    """An artifact's network trained again without some of the classes, in so many epochs of the usual recipe.

    Args:
        folder: of the artifact.
        data: that it was trained on.
        epochs: of each network.
        most: rows of a split that the guard is fitted on.
        plan: rotations and seed count.

    Raises:
        SettingError: the artifact is a program, which cannot be trained, or there are fewer than three classes.
        RecordError: a file is damaged.
    """
    file = folder / FILES["architecture"]
    if not file.is_file():
        way_out = "Give outliers, or retrain the network that it was made from."
        raise SettingError("only a network that search handed over can be trained again", where="--retrain",
                           value=str(folder), way_out=way_out)  # fmt: skip
    known = from_json(file.read_bytes(), Architecture, where=str(file))
    recipe = msgspec.structs.replace(recipe_for(data), epochs=epochs)

    def images() -> Iterator[torch.Tensor]:
        for split in (data.train, data.validation):
            yield from (batch for batch, _ in drawn(split, most, plan.seed))

    return list(retrained(known, data, images, recipe, plan=plan))


def artifact(folder: Path) -> Artifact:
    """The classifier of a folder, after every file was held against its manifest.

    Raises:
        SettingError: the folder is no artifact, or cannot run here.
        RecordError: a file is missing, damaged, or belongs to another network.
    """
    found = classifier(folder)
    if found:
        return Artifact(found.name, found.digest, found.card, found.see)
    way_out = f"Or a file of arrays, which ends in {', '.join(('.npz', '.safetensors'))}; or, once fitted, its guard."
    rule = "it must be a folder that modelwright search or modelwright quantize handed over"
    raise SettingError(rule, where="MODEL", value=str(folder), way_out=way_out)
