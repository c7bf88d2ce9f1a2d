"""From bytes to what a network reads: augmented in training, resized, normalised; all on the images' device."""

from dataclasses import dataclass
from typing import final

import msgspec
import torch
from torch.nn import functional

from modelwright.errors import SettingError, ShapeError
from modelwright.records import Architecture, Recipe
from modelwright.training.augment.geometry import crop, flip
from modelwright.training.augment.mixup import mixup
from modelwright.training.augment.randaugment import randaugment
from modelwright.training.data.data import Data


@final
@dataclass(frozen=True)
class Preprocess:
    """What is done to the images of one data set for networks of one input shape; called, it does it.

    Attributes:
        size: height and width that the network reads.
        classes: how many there are.
        mean, std: of each channel, pixels from 0 to 1.
    """

    size: tuple[int, int]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Resize and normalise: uint8 of (N, C, h, w) -> float32 of (N, C, *size).

        Bilinear; with antialiasing (a filter as wide as the shrinking) where a side shrinks.
        """
        given = tuple(images.shape[2:])
        pixels = images.float()
        if given != self.size:
            shrinks = self.size[0] < given[0] or self.size[1] < given[1]
            pixels = functional.interpolate(pixels, self.size, mode="bilinear", antialias=shrinks)
        mean, std = (pixels.new_tensor(value)[:, None, None] * 255 for value in (self.mean, self.std))
        return (pixels - mean) / std

    def train(
        self, images: torch.Tensor, labels: torch.Tensor, recipe: Recipe, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Augment as the recipe says, then resize and normalise.

        Crop, flip and RandAugment work on bytes, before the resizing; mixup comes last.

        Args:
            images: uint8 of (N, C, h, w).
            labels: int64 of (N,).
            recipe: how.
            generator: of all that is drawn, on the CPU.

        Returns:
            float32 of (N, C, *size); and int64 labels of (N,), or under mixup soft ones of (N, classes).
        """
        images = crop(images, round(recipe.crop * min(images.shape[2:])), generator)
        if recipe.flip:
            images = flip(images, generator)
        pixels = self(randaugment(images, recipe.randaugment, recipe.magnitude, generator))
        return mixup(pixels, labels, self.classes, recipe.mixup, generator) if recipe.mixup else (pixels, labels)


def preprocess(architecture: Architecture, data: Data) -> Preprocess:
    """What makes the data's images into the architecture's input.

    Raises:
        ShapeError: the architecture reads no images, or images of another number of channels.
        SettingError: its classifier has another number of classes.
    """
    name, channels = architecture.name, data.shape[0]
    way_out = "Use adapt(architecture, data), which sets input and classes to the data's."
    if len(architecture.input) != 3 or architecture.input[0] != channels:
        rule = f"the network must read images of {channels} channel{'s' if channels > 1 else ''}, as {data.name} has"
        raise ShapeError(rule, where=f"{name}, input", value=architecture.input, way_out=way_out)
    if architecture.classes != len(data.classes):
        rule = f"the classifier must have the {len(data.classes)} classes of {data.name}"
        raise SettingError(rule, where=f"{name}, classes", value=architecture.classes, way_out=way_out)
    return Preprocess((architecture.input[1], architecture.input[2]), architecture.classes, data.mean, data.std)


def adapt(architecture: Architecture, data: Data, side: int | None = None) -> Architecture:
    """The architecture with the data's channels and classes, and images of that side (its own if None).

    Raises:
        ShapeError: the architecture reads no images.
    """
    if len(architecture.input) != 3:
        rule, way_out = "the network must read images", "Choose an architecture for images."
        raise ShapeError(rule, where=f"{architecture.name}, input", value=architecture.input, way_out=way_out)
    size = architecture.input[1:] if side is None else (side, side)
    return msgspec.structs.replace(architecture, input=(data.shape[0], *size), classes=len(data.classes))
