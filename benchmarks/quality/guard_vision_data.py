"""Images for the guard's benchmarks: ten classes dealt out, and images of another kind that no class is near to.

A deal puts the ten classes of a data set in an order drawn from its seed. The first two are held out for the test and
seen by nothing else. Where methods learn from outliers, the next is what they are chosen on, and two more are what they
learn from; the others are familiar.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from modelwright.training import Data, Split
from modelwright.training.data.data import assemble
from modelwright.training.data.split import Held
from modelwright.training.data.strata import stratified

NAMES = {
    "fashion_mnist": ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
"""Data set, by its folder's name -> what its classes are."""
HELD, CHOSEN_BY, LEARNED = 2, 1, 2
FAR = 2000
"""Images of each kind that is far."""


@final
@dataclass(frozen=True, eq=False)
class Deal:
    """A data set whose classes are dealt out.

    Attributes:
        data: with all ten.
        seed: of the order.
    """

    data: Data
    seed: int

    @property
    def name(self) -> str:
        """Of the data set's folder."""
        return Path(self.data.name).name

    @property
    def order(self) -> tuple[int, ...]:
        """All classes, the held-out ones first."""
        return tuple(np.random.default_rng(self.seed).permutation(len(self.data.classes)).tolist())

    @property
    def held(self) -> tuple[int, ...]:
        """Classes of the test that nothing else sees."""
        return self.order[:HELD]

    @property
    def chosen_by(self) -> tuple[int, ...]:
        """Outlier classes that epoch and score are chosen on."""
        return self.order[HELD : HELD + CHOSEN_BY]

    @property
    def learned(self) -> tuple[int, ...]:
        """Outlier classes that methods learn from."""
        return self.order[HELD + CHOSEN_BY : HELD + CHOSEN_BY + LEARNED]

    @property
    def others(self) -> tuple[int, ...]:
        """All but those held out, in rising order."""
        return tuple(sorted(self.order[HELD:]))

    @property
    def familiar(self) -> tuple[int, ...]:
        """What is left for the methods, in rising order."""
        return tuple(sorted(self.order[HELD + CHOSEN_BY + LEARNED :]))

    def words(self, classes: tuple[int, ...]) -> str:
        """What classes are."""
        return " + ".join(NAMES[self.name][label] for label in classes)

    def known(self, classes: tuple[int, ...], train: int) -> Data:
        """The data set of some classes alone, numbered anew, with so many training images of each."""
        splits = {name: only(getattr(self.data, name), classes) for name in ("train", "validation", "test")}
        kept, _ = stratified(splits["train"].labels, train * len(classes), self.seed)
        splits["train"] = splits["train"].take(kept)
        names = tuple(NAMES[self.name][label] for label in classes)
        return assemble(f"{self.name}-{self.seed}", names, self.data.shape, splits, self.seed)

    def outliers(self, split: str, classes: tuple[int, ...], most: int | None = None) -> tuple[Tensor, Tensor]:
        """Images (n, C, H, W) of some classes with their numbers among the ten; of each class so many at most."""
        found = only(getattr(self.data, split), classes)
        if most is not None:
            found = found.take(stratified(found.labels, most * len(classes), self.seed)[0])
        return found.images, torch.tensor(classes)[found.labels]


def only(split: Split, classes: tuple[int, ...]) -> Held:
    """The images of some classes, numbered by their place among these."""
    places = torch.isin(split.labels, torch.tensor(classes)).nonzero().flatten()
    images, labels = split.batch(places)
    return Held(images, torch.tensor([classes.index(label) for label in labels.tolist()]))


def far(deal: Deal, other: Data) -> dict[str, Tensor]:
    """Images of another kind, (n, C, H, W) as the deal's data has them: another data set's, noise, and textures."""
    shape = deal.data.shape
    strange = other.test.batch(torch.arange(len(other.test))[:FAR])[0]
    return {
        "other images": alike(strange, shape),
        "noise": noise(deal.data, deal.seed),
        "textures": textures(shape, deal.seed),
    }


def alike(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Images of another data set, resized, and made grey or given three equal channels."""
    pixels = images.float()
    if shape[0] == 1 and images.shape[1] == 3:
        pixels = (pixels * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    pixels = pixels.expand(-1, shape[0], -1, -1)
    shrinks = shape[1] < images.shape[2]
    pixels = functional.interpolate(pixels, shape[1:], mode="bilinear", antialias=shrinks)
    return pixels.round().clamp(0, 255).to(torch.uint8)


def noise(data: Data, seed: int) -> Tensor:
    """One half of even bytes, the other normal ones with the data's mean and deviation, each pixel by itself."""
    draw = torch.Generator().manual_seed(seed)
    half = (FAR // 2, *data.shape)
    mean, std = (torch.tensor(values)[:, None, None] * 255 for values in (data.mean, data.std))
    normal = torch.randn(half, generator=draw) * std + mean
    even = torch.randint(256, half, generator=draw)
    return torch.cat([even, normal.round().clamp(0, 255)]).to(torch.uint8)


def textures(shape: tuple[int, int, int], seed: int) -> Tensor:
    """Waves in some direction, checks, and blobs, between two random colours; a third each, shuffled."""
    draw = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")

    def drawn(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(FAR, 1, 1, generator=draw)

    angle, length, phase = drawn(0, torch.pi), drawn(3, 16), drawn(0, 2 * torch.pi)
    along = rows * angle.sin() + columns * angle.cos()
    waves = 0.5 + 0.5 * (2 * torch.pi * along / length + phase).sin()
    side, across, down = (drawn(*ends).floor() for ends in ((2, 9), (0, 8), (0, 8)))
    checks = (((rows + down) // side + (columns + across) // side) % 2).float()
    coarse = torch.randn(FAR, 1, 7, 7, generator=draw)
    blobs = (functional.interpolate(coarse, (height, width), mode="bicubic")[:, 0] > 0).float()
    kind = torch.randint(3, (FAR, 1, 1), generator=draw)
    mask = torch.where(kind == 0, waves, torch.where(kind == 1, checks, blobs))[:, None]
    first, second = (torch.rand(FAR, channels, 1, 1, generator=draw) for _ in range(2))
    return ((first * mask + second * (1 - mask)) * 255).round().to(torch.uint8)
