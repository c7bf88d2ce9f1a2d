"""A split: labelled images that are read by number, from one tensor where they fit, else decoded when asked for."""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

Read = Callable[[int], NDArray[np.uint8]]
"""From an image's number to its pixels, (H, W, C)."""

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images, uint8 of (N, C, H, W), and their labels, int64 of (N,)."""

MEMORY = 2 << 30
"""Bytes of pixels above which a split is not held in memory."""


class Split(ABC):
    """Labelled images of one size."""

    labels: torch.Tensor

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.labels)

    @abstractmethod
    def batch(self, indices: torch.Tensor) -> Batch:
        """The images of those numbers, in that order, and their labels."""

    @abstractmethod
    def take(self, indices: torch.Tensor) -> "Split":
        """A split of those images only."""

    @abstractmethod
    def on(self, device: torch.device) -> "Split":
        """The same, as near to the device as it can be."""

    def batches(self, parts: Iterable[torch.Tensor]) -> Iterator[Batch]:
        """The batch of each part, in order."""
        return map(self.batch, parts)


@final
@dataclass(frozen=True, eq=False)
class Held(Split):
    """A split in memory.

    Attributes:
        images: uint8 of (N, C, H, W).
        labels: int64 of (N,).
    """

    images: torch.Tensor
    labels: torch.Tensor

    def batch(self, indices: torch.Tensor) -> Batch:
        """The images of those numbers, in that order, and their labels."""
        indices = indices.to(self.images.device)
        return self.images[indices], self.labels[indices]

    def take(self, indices: torch.Tensor) -> "Held":
        """A split of those images only."""
        return Held(*self.batch(indices))

    def on(self, device: torch.device) -> "Held":
        """The same, on the device."""
        return Held(self.images.to(device), self.labels.to(device))


@final
@dataclass(frozen=True, eq=False)
class Lazy(Split):
    """A split whose images are decoded when they are asked for, by threads, one batch ahead.

    Attributes:
        read: gives the pixels of an image; is called from several threads.
        labels: int64 of (N,).
        places: for each image, its number to `read`.
    """

    read: Read
    labels: torch.Tensor
    places: torch.Tensor

    def batch(self, indices: torch.Tensor) -> Batch:
        """The images of those numbers, in that order, and their labels."""
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            pixels = np.stack(list(threads.map(self.read, self.places[indices].tolist())))
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), self.labels[indices]

    def take(self, indices: torch.Tensor) -> "Lazy":
        """A split of those images only."""
        return Lazy(self.read, self.labels[indices], self.places[indices])

    def on(self, device: torch.device) -> "Lazy":
        """The same: what is decoded here is moved batch by batch."""
        return self

    def batches(self, parts: Iterable[torch.Tensor]) -> Iterator[Batch]:
        """The batch of each part, in order; the next one is decoded while the caller works on this one."""
        with ThreadPoolExecutor(1) as ahead:
            waiting = None
            for part in parts:
                following = ahead.submit(self.batch, part)
                if waiting:
                    yield waiting.result()
                waiting = following
            if waiting:
                yield waiting.result()


def split_of(read: Read, labels: torch.Tensor, shape: tuple[int, int, int], memory: int = MEMORY) -> Split:
    """The images that `read` gives, held where they fit.

    Args:
        read: from an image's number, 0 to len(labels) - 1, to its pixels.
        labels: int64 of (N,).
        shape: channels, height and width of every image.
        memory: bytes that the split may take.
    """
    every = torch.arange(len(labels))
    lazy = Lazy(read, labels, every)
    if len(labels) == 0 or len(labels) * math.prod(shape) > memory:
        return lazy
    images = torch.empty((len(labels), *shape), dtype=torch.uint8)
    for part in torch.split(every, 1000):
        images[part] = lazy.batch(part)[0]
    return Held(images, labels)
