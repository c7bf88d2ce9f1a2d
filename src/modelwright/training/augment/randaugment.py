"""RandAugment: a few operations an image, drawn from 14, all of one magnitude (Cubuk et al., 2019, arXiv 1909.13719).

At magnitude 10 an operation is as strong as torchvision makes it at most: 30 degrees of rotation, 0.3 of shear,
150 / 331 of a side moved, colours changed by 0.9, 4 bits kept, everything inverted. Each image draws a sign where an
operation has two directions. Auto-contrast and equalisation know no magnitude.
"""

from collections.abc import Callable

import torch

from modelwright.training.augment import affine, colour

Operation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From images, uint8 of (N, C, H, W), and signed strengths from -1 to 1, (N,), to images."""


def randaugment(images: torch.Tensor, operations: int, magnitude: float, generator: torch.Generator) -> torch.Tensor:
    """Apply that many operations to each image, one after the other, each drawn anew.

    Args:
        images: uint8 of (N, C, H, W).
        operations: how many an image, 0 for no change.
        magnitude: 0 to 10.
        generator: of the operations and signs, on the CPU.
    """
    out = images.clone() if operations else images
    for _ in range(operations):
        drawn = torch.randint(len(OPERATIONS), (len(images),), generator=generator)
        signs = torch.randint(2, (len(images),), generator=generator) * 2 - 1
        strengths = signs * (magnitude / 10)
        for number, operation in enumerate(OPERATIONS.values()):
            rows = (drawn == number).nonzero().flatten()
            if len(rows):
                there = rows.to(images.device)
                out[there] = operation(out[there], strengths[rows])
    return out


def _turned(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    return affine.transform(images, affine.rotation(30 * strengths, images.shape[2], images.shape[3]))


def _sheared(images: torch.Tensor, strengths: torch.Tensor, across: float, down: float) -> torch.Tensor:
    return affine.transform(images, affine.shear(across * strengths, down * strengths))


def _moved(images: torch.Tensor, strengths: torch.Tensor, across: float, down: float) -> torch.Tensor:
    height, width = images.shape[2:]
    steps = strengths.double() * (150 / 331)
    numbers = affine.translation((across * width * steps).trunc(), (down * height * steps).trunc())
    return affine.transform(images, numbers)


def _strength(strengths: torch.Tensor) -> float:
    """The size that all of a batch share, without the sign."""
    return float(strengths[0].abs())


OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, strengths: images,
    "auto-contrast": lambda images, strengths: colour.auto_contrast(images),
    "equalize": lambda images, strengths: colour.equalize(images),
    "rotate": _turned,
    "solarize": lambda images, strengths: colour.solarize(images, 256 * (1 - _strength(strengths))),
    "color": lambda images, strengths: colour.color(images, 1 + 0.9 * strengths),
    "posterize": lambda images, strengths: colour.posterize(images, 8 - round(4 * _strength(strengths))),
    "contrast": lambda images, strengths: colour.contrast(images, 1 + 0.9 * strengths),
    "brightness": lambda images, strengths: colour.brightness(images, 1 + 0.9 * strengths),
    "sharpness": lambda images, strengths: colour.sharpness(images, 1 + 0.9 * strengths),
    "shear-x": lambda images, strengths: _sheared(images, strengths, 0.3, 0.0),
    "shear-y": lambda images, strengths: _sheared(images, strengths, 0.0, 0.3),
    "translate-x": lambda images, strengths: _moved(images, strengths, 1.0, 0.0),
    "translate-y": lambda images, strengths: _moved(images, strengths, 0.0, 1.0),
}
"""The paper's operations, in its order."""
