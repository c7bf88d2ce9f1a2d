"""A data set: three splits of labelled images, and what normalises them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import torch

from modelwright.errors import RecordError, SettingError
from modelwright.training.data.split import Held, Split
from modelwright.training.data.strata import stratified

_SMALL = 10_000
_SAMPLE = 10_000
_ADVICE = "Correct the labels, or take the class out of all splits."


@final
@dataclass(frozen=True, eq=False)
class Data:
    """A data set for image classification.

    Attributes:
        name: the word or the folder that it was asked for by.
        classes: their names; label 0 is the first.
        shape: channels, height and width of every image.
        train, validation, test: the splits.
        mean, std: of each channel over `train`, pixels from 0 to 1; over 10,000 of its images where it is not held in
            memory.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def subset(self, train: int | None = None, validation: int | None = None, seed: int = 0) -> "Data":
        """A stratified part, for cheap evidence; what normalises images, and the test split, stay.

        Args:
            train: images to keep of the training split, None for all.
            validation: the same of the validation split.
            seed: of the draw.

        Raises:
            SettingError: there are not that many.
        """
        wanted = {"train": (self.train, train), "validation": (self.validation, validation)}
        kept = {key: _part(split, count, seed, key) for key, (split, count) in wanted.items() if count is not None}
        return replace(self, **kept)  # type: ignore[arg-type]  # the stub takes no mapping

    @property
    def fingerprint(self) -> str:
        """A digest by which a checkpoint knows its data: names, shape, mean, deviation, and labels in order."""
        told = json.dumps([self.name, self.classes, self.shape, self.mean, self.std]).encode()
        labels = (split.labels.numpy().tobytes() for split in (self.train, self.validation))
        return hashlib.sha256(b"".join((told, *labels))).hexdigest()[:16]


def assemble(
    name: str, classes: tuple[str, ...], shape: tuple[int, int, int], splits: Mapping[str, Split], seed: int
) -> Data:
    """The data set of some splits; what is not there of validation and test is drawn from train, stratified.

    A split that is drawn takes 15 % of the training images, 10 % where these are 10,000 or more.

    Args:
        name: what to call it; errors name it as the place.
        classes: their names.
        shape: of every image.
        splits: "train", and any of "validation" and "test".
        seed: of the draw.

    Raises:
        RecordError: a split is empty, a label is out of range, or a class has no training image.
    """
    found = dict(splits)
    if len(classes) < 2:
        rule, way_out = "there must be two classes at least", "Add images of a second class."
        raise RecordError(rule, where=name, value=classes, way_out=way_out)
    for key, split in found.items():
        _check(split, classes, f"{name}, {key}")
    for key in ("test", "validation"):
        if key not in found:
            train = found["train"]
            share = 0.1 if len(train) >= _SMALL else 0.15
            kept, drawn = stratified(train.labels, len(train) - round(share * len(train)), seed)
            found |= {"train": train.take(kept), key: train.take(drawn)}
    for key, split in found.items():
        _check(split, classes, f"{name}, {key}")
    _check_classes(found["train"], classes, f"{name}, train")
    mean, std = moments(found["train"])
    return Data(name, classes, shape, found["train"], found["validation"], found["test"], mean, std)


def numbered(labels: torch.Tensor, where: str) -> tuple[str, ...]:
    """Names for classes that have none: "0" to the largest label.

    Args:
        labels: of the training images.
        where: what errors call them by.

    Raises:
        RecordError: a label is so large that some class can have no image.
    """
    largest = int(labels.max()) if len(labels) else 0
    if largest >= max(1, len(labels)):
        rule = f"the labels of {len(labels)} images must be 0, 1, 2 and so on, without gaps"
        raise RecordError(rule, where=where, value=largest, way_out="Number the classes from 0.")
    return tuple(map(str, range(largest + 1)))


def moments(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, pixels from 0 to 1; a channel that never changes has deviation 1."""
    every = torch.arange(len(split))
    if not isinstance(split, Held) and len(split) > _SAMPLE:
        every = torch.linspace(0, len(split) - 1, _SAMPLE).long()
    counts: torch.Tensor | int = 0
    for images, _ in split.batches(torch.split(every, 1000)):
        planes = images.transpose(0, 1).flatten(1)
        counts = counts + torch.stack([torch.bincount(plane, minlength=256) for plane in planes])
    shares = torch.as_tensor(counts).double()
    shares /= shares.sum(1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = shares @ levels
    std = (shares @ levels**2 - mean**2).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(value if value > 1e-9 else 1.0 for value in std.tolist())


def _part(split: Split, count: int, seed: int, name: str) -> Split:
    if not 1 <= count <= len(split):
        rule = f"a subset must have 1 to {len(split)} images"
        raise SettingError(rule, where=name, value=count, way_out="Ask for fewer, or leave it out for all.")
    return split.take(stratified(split.labels, count, seed)[0])


def _check(split: Split, classes: tuple[str, ...], where: str) -> None:
    if not len(split):
        raise RecordError("a split must hold images", where=where, value=0, way_out="Add some, or take the split out.")
    bad = ((split.labels < 0) | (split.labels >= len(classes))).nonzero().flatten()
    if len(bad):
        position = int(bad[0])
        rule = f"a label must be from 0 to {len(classes) - 1}"
        value = int(split.labels[position])
        raise RecordError(rule, where=f"{where}, image {position}", value=value, way_out=_ADVICE)


def _check_classes(train: Split, classes: tuple[str, ...], where: str) -> None:
    counts = torch.bincount(train.labels, minlength=len(classes))
    if int(counts.min()) == 0:
        missing = classes[int(counts.argmin())]
        rule = f"each of the {len(classes)} classes must have a training image"
        raise RecordError(rule, where=where, value=f"none of class {missing}", way_out=_ADVICE)
