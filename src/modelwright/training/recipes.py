"""Recipes that are sensible to begin with, by data set."""

from typing import Any

import msgspec

from modelwright.records import Recipe
from modelwright.training.data.data import Data

_SMALL = 10_000

_KNOWN: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 12, "batch": 64, "learning_rate": 5e-3, "crop": 0.0, "flip": False},
    "fashion-mnist": {"epochs": 12, "batch": 128, "learning_rate": 5e-3, "crop": 0.0, "flip": True},
}
"""Data set -> what is known of it that its shape and size do not tell."""


def recipe_for(data: Data) -> Recipe:
    """A recipe to begin with, for small convolutional networks: AdamW, cosine, label smoothing 0.1, clipping at 1.

    - digits: no flip, for a mirrored 2 is no digit; no crop, for one of 8 pixels is too much to lose. 12 epochs of 21
      steps suffice, at a high rate.
    - fashion-mnist: flip, for clothes have no right and left; no crop, for they are centred and a short run learns
      slower with it (EfficientNet-B0 of a quarter's width, 5 epochs on 8,000 images: 84.1 % without, 78.6 % with).
    - else, coloured images are taken for photographs: flip, and a crop of an eighth, as is usual for CIFAR-10 (4 of 32
      pixels; 2015, arXiv 1512.03385). Grey ones may be signs or scans, which a mirror changes: no flip, half the crop.
    - fewer than 10,000 training images are dealt into batches of 64, so that an epoch has steps enough.

    Args:
        data: its name, channels and number of training images count.
    """
    coloured, small = data.shape[0] == 3, len(data.train) < _SMALL
    guess: dict[str, Any] = {"flip": coloured, "crop": 0.125 if coloured else 0.0625, "batch": 64 if small else 128}
    return msgspec.structs.replace(Recipe(), **_KNOWN.get(data.name, guess))
