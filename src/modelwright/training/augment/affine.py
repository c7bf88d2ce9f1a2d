"""Affine transforms of whole batches, nearest pixel, zeros from outside: what Pillow's Image.transform does.

A transform is six numbers (a, b, c, d, e, f) an image: the output's pixel at (x, y) is the input's at
(a x + b y + c, d x + e y + f), both counted at the centres of pixels.
"""

import torch


def transform(images: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Transform each image by its own numbers.

    Args:
        images: of (N, C, H, W), any type.
        numbers: float64 of (N, 6).
    """
    count, _, height, width = images.shape
    device = images.device
    x = torch.arange(width, dtype=torch.float64, device=device) + 0.5
    y = torch.arange(height, dtype=torch.float64, device=device)[:, None] + 0.5
    a, b, c, d, e, f = (column[:, None, None] for column in numbers.to(device).unbind(1))
    column = torch.floor(a * x + b * y + c).long()
    row = torch.floor(d * x + e * y + f).long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    which = torch.arange(count, device=device)[:, None, None]
    found = images.permute(0, 2, 3, 1)[which, row.clamp(0, height - 1), column.clamp(0, width - 1)]
    return (found * inside[..., None]).permute(0, 3, 1, 2).contiguous()


def rotation(degrees: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Numbers of a turn about the centre, counter-clockwise: (N,) -> (N, 6)."""
    angle = -torch.deg2rad(degrees.double())
    cosine, sine = angle.cos(), angle.sin()
    x, y = width / 2, height / 2
    columns = (cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y)
    return torch.stack(columns, 1)


def shear(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Numbers of a shear: rows move by `across` for each pixel down, columns by `down`: (N,), (N,) -> (N, 6)."""
    one, zero = torch.ones_like(across).double(), torch.zeros_like(across).double()
    return torch.stack((one, across.double(), zero, down.double(), one, zero), 1)


def translation(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Numbers of a move by that many pixels to the left and up: (N,), (N,) -> (N, 6)."""
    one, zero = torch.ones_like(across).double(), torch.zeros_like(across).double()
    return torch.stack((one, zero, across.double(), zero, one, down.double()), 1)
