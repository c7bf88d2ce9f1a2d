"""Whole networks that the guard's methods of training make for a deal of images, and what they make of the test.

Each method trains a small network of residual bottlenecks from the images on, with the same recipe, without
augmentation. What a method says of all images of the test is kept in a folder, so that a run that was stopped goes on
where it was.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from guard_vision_data import Deal
from numpy.typing import NDArray
from torch import Tensor, nn

from modelwright.guard import extract
from modelwright.guard.training import METHODS
from modelwright.guard.training.body import Body
from modelwright.guard.training.method import Method
from modelwright.guard.training.samples import Course, Samples
from modelwright.guard.training.train import Trained, train
from modelwright.networks.build import build
from modelwright.records import Architecture, Bottleneck, ConvStem, PoolHead, Recipe, Stage
from modelwright.registry import Registry
from modelwright.training import Data, adapt, preprocess

BATCH = 512
TEST = "familiar"
"""The name of the test's familiar images."""


class Said(NamedTuple):
    """What a trained method says.

    Attributes:
        scores: by (name of the score, name of the images).
        accuracy: among the familiar images of the test.
        score, epoch: that were chosen.
        rows: of the plain network, features, logits and labels of its training and of the test; of others nothing.
    """

    scores: dict[tuple[str, str], NDArray[Any]]
    accuracy: float
    score: str
    epoch: int
    rows: dict[str, NDArray[Any]]


def network() -> Architecture:
    """Three bottlenecks, from 16 x 16 to 4 x 4."""
    return Architecture(
        name="small",
        input=(3, 32, 32),
        classes=10,
        stem=ConvStem(channels=(32,)),
        stages=(
            Stage(Bottleneck(in_channels=32, hidden=32, out_channels=64, stride=2)),
            Stage(Bottleneck(in_channels=64, hidden=64, out_channels=128)),
            Stage(Bottleneck(in_channels=128, hidden=64, out_channels=128, stride=2)),
        ),
        head=PoolHead(),
    )


class School:
    """A deal as methods are trained on it.

    Attributes:
        deal: the classes.
        train: training images of each class that is learned from.
        recipe: of all methods.
        folder: for what was found.
        far: makes images that are far.
        data: the familiar classes.
    """

    def __init__(
        self, deal: Deal, train: int, recipe: Recipe, folder: Path, far: Callable[[], dict[str, Tensor]]
    ) -> None:
        self.deal, self.images, self.recipe, self.folder, self.far = deal, train, recipe, folder, far
        self.data = deal.known(deal.familiar, train)
        self.architecture = adapt(network(), self.data, self.data.shape[1])
        self.see = preprocess(self.architecture, self.data)

    def said(self, name: str) -> Said:
        """What a method says, from the folder where it is there."""
        start = f"{self.deal.name}-{self.deal.seed}-{name}-{self.images}x{self.recipe.epochs}"
        file = self.folder / f"{start}.npz"
        if not file.exists():
            methods: Registry[type[Method]] = Registry("method", METHODS)
            found = train(methods[name](), self.course(), self.recipe, self.body())
            self.folder.mkdir(parents=True, exist_ok=True)
            with (part := file.with_suffix(".part")).open("wb") as stream:
                np.savez_compressed(stream, **self._kept(name, found))
            part.rename(file)
        with np.load(file) as kept:
            about = json.loads(str(kept["about"]))
            scores = {(one, of): kept[f"{one}|{of}"] for one, of in about["scores"]}
            rows = {key: kept[key] for key in kept.files if key.startswith("rows|")}
        return Said(scores, about["accuracy"], about["score"], about["epoch"], rows)

    def course(self) -> Course:
        """All that a method may see."""
        deal = self.deal
        return Course(
            self._samples(*held(self.data, "train")),
            self._samples(*held(self.data, "validation")),
            self._samples(*deal.outliers("validation", deal.chosen_by)),
            self._samples(*deal.outliers("train", deal.learned, self.images)),
        )

    def body(self) -> Body:
        """The network without its classifier."""

        def make() -> nn.Module:
            made = build(self.architecture)
            made.head.classifier = nn.Identity()
            return made.to(memory_format=torch.channels_last)

        return make

    def sets(self) -> Iterator[tuple[str, Tensor]]:
        """All images of the test by name, bytes."""
        yield TEST, held(self.data, "test")[0]
        yield "held-out classes", self.deal.outliers("test", self.deal.held)[0]
        yield from self.far().items()

    def _samples(self, images: Tensor, labels: Tensor) -> Samples:
        return Samples(self.see(images), labels)

    def _kept(self, name: str, found: Trained) -> dict[str, Any]:
        arrays: dict[str, Any] = {}
        accuracy = 0.0
        for of, images in self.sets():
            parts = [found.verdict(self.see(part)) for part in torch.split(images, BATCH)]
            for score in parts[0].scores:
                arrays[f"{score}|{of}"] = np.concatenate([part.scores[score].double().numpy() for part in parts])
            if of == TEST:
                guessed = torch.cat([part.probabilities.argmax(1) for part in parts])
                accuracy = float((guessed == held(self.data, "test")[1]).double().mean())
        about = {
            "scores": [key.split("|") for key in arrays],
            "accuracy": accuracy,
            "score": found.score,
            "epoch": found.epoch,
        }
        if name == "plain":
            arrays |= self._rows(found.networks[0])
        return {**arrays, "about": json.dumps(about)}

    def _rows(self, plain: nn.Module) -> dict[str, NDArray[Any]]:
        """Features and logits of the plain network, for detectors."""
        arrays: dict[str, NDArray[Any]] = {}
        for of, images in (("train", held(self.data, "train")[0]), *self.sets()):
            seen = extract(plain, (self.see(part) for part in torch.split(images, BATCH)))
            arrays |= {f"rows|{of}|features": seen.features, f"rows|{of}|logits": seen.logits}
            arrays |= {"rows|weight": seen.head.weight, "rows|bias": seen.head.bias}
        labels = {
            f"rows|{of}|labels": held(self.data, key)[1].numpy() for of, key in (("train", "train"), (TEST, "test"))
        }
        return arrays | labels


def held(data: Data, split: str) -> tuple[Tensor, Tensor]:
    """All images of a split, bytes, and their labels."""
    found = getattr(data, split)
    images, labels = found.batch(torch.arange(len(found)))
    return images, labels
