"""A data set that a line parts, the smallest convolutional network, and a quick recipe."""

import pytest
import torch

from modelwright.records import Architecture, ConvStem, MBConv, PoolHead, Recipe, Stage
from modelwright.training.data.data import Data, assemble
from modelwright.training.data.split import Held


def stripes(count: int, channels: int = 1, seed: int = 0) -> Held:
    """8x8 images, bright on the left (0) or on the right (1), with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, channels, 8, 8), generator=generator, dtype=torch.uint8)
    for label, side in ((0, slice(0, 4)), (1, slice(4, 8))):
        images[labels == label, :, :, side] += 120
    return Held(images, labels)


@pytest.fixture(scope="session")
def toy() -> Data:
    splits = {"train": stripes(96), "validation": stripes(32, seed=1), "test": stripes(32, seed=2)}
    return assemble("toy", ("left", "right"), (1, 8, 8), splits, seed=0)


@pytest.fixture(scope="session")
def tiny() -> Architecture:
    block = MBConv(in_channels=8, hidden=16, out_channels=8, squeeze=4)
    stem, head = ConvStem(channels=(8,), activation="swish"), PoolHead(activation="swish")
    return Architecture("tiny", (1, 8, 8), 2, stem, (Stage(block),), head, dropout=0.1, survival=0.9)


@pytest.fixture(scope="session")
def quick() -> Recipe:
    return Recipe(epochs=4, batch=32, learning_rate=0.01, crop=0.0, ema=0.9)
