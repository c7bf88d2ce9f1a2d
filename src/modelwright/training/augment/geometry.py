"""Random crops with padding, and mirroring; each image of a batch draws for itself."""

import torch
from torch.nn import functional


def crop(images: torch.Tensor, padding: int, generator: torch.Generator) -> torch.Tensor:
    """Pad every side with zeros, then cut each image's own size out of it at random: (N, C, H, W) -> the same.

    Args:
        images: of any type.
        padding: pixels on each side, 0 for no change.
        generator: of the places, on the CPU.
    """
    if not padding:
        return images
    count, _, height, width = images.shape
    rows, columns = torch.randint(2 * padding + 1, (2, count), generator=generator).to(images.device)
    places = functional.pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    return places[torch.arange(count, device=images.device), :, rows, columns]


def mirror(images: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """Left for right where `mirrored`, a boolean of (N,), is true: (N, C, H, W) -> the same."""
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)


def flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image with probability 1/2: (N, C, H, W) -> the same."""
    return mirror(images, torch.rand(len(images), generator=generator) < 0.5)
