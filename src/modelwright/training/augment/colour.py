"""Pillow's operations on colours, for whole batches of uint8 images of (N, C, H, W), C = 1 or 3.

Each gives what Pillow's ImageOps and ImageEnhance give, rounding included.
"""

import torch
from torch.nn import functional


def auto_contrast(images: torch.Tensor) -> torch.Tensor:
    """Spread each channel of each image over 0 to 255, as ImageOps.autocontrast."""
    low = images.amin((2, 3), keepdim=True).double()
    high = images.amax((2, 3), keepdim=True).double()
    scale = torch.full_like(low, 255.0) / (high - low)  # 255.0 / tensor would round twice: torch takes the reciprocal
    spread = (images.double() * scale - low * scale).clamp(0, 255).to(torch.uint8)
    return torch.where(high > low, spread, images)


def equalize(images: torch.Tensor) -> torch.Tensor:
    """Flatten the histogram of each channel of each image, as ImageOps.equalize."""
    flat = images.flatten(2).long()
    counts = torch.zeros(*flat.shape[:2], 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    brightest = counts.gather(2, flat.amax(2, keepdim=True))
    step = (flat.shape[2] - brightest) // 255
    table = ((step // 2 + counts.cumsum(2) - counts) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table.gather(2, flat), flat).to(torch.uint8).reshape(images.shape)


def posterize(images: torch.Tensor, bits: int) -> torch.Tensor:
    """Keep the highest bits of each value, as ImageOps.posterize; 8 keeps all."""
    return images & (256 - (1 << (8 - bits)))


def solarize(images: torch.Tensor, threshold: float) -> torch.Tensor:
    """Invert the values that are not below the threshold, as ImageOps.solarize; 256 keeps all."""
    return torch.where(images.short() < threshold, images, 255 - images)


def color(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Saturation, as ImageEnhance.Color: 0 is grey, 1 no change; a factor an image, (N,)."""
    return _blend(grey(images).expand_as(images), images, factor)


def contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """As ImageEnhance.Contrast: 0 is the image's mean grey, 1 no change; a factor an image, (N,)."""
    mean = (grey(images).double().mean((1, 2, 3), keepdim=True) + 0.5).to(torch.uint8)
    return _blend(mean.expand_as(images), images, factor)


def brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """As ImageEnhance.Brightness: 0 is black, 1 no change; a factor an image, (N,)."""
    return _blend(torch.zeros_like(images), images, factor)


def sharpness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """As ImageEnhance.Sharpness: 0 is smoothed, 1 no change; a factor an image, (N,)."""
    return _blend(smooth(images), images, factor)


def smooth(images: torch.Tensor) -> torch.Tensor:
    """As ImageFilter.SMOOTH: a pixel weighs 5, each of its eight neighbours 1; the border stays."""
    if min(images.shape[2:]) < 3:
        return images
    kernel = torch.full((1, 1, 3, 3), 1.0, dtype=torch.float64, device=images.device)
    kernel[0, 0, 1, 1] = 5.0
    sums = functional.conv2d(images.flatten(0, 1)[:, None].double(), kernel)
    inner = torch.floor(sums / 13 + 0.5).clamp(0, 255).to(torch.uint8)
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = inner.reshape(*images.shape[:2], *inner.shape[2:])
    return out


def grey(images: torch.Tensor) -> torch.Tensor:
    """Luma by ITU-R 601-2, as Pillow's convert("L"): (N, C, H, W) -> (N, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor([19595, 38470, 7471], device=images.device)[None, :, None, None]
    return (((images.int() * weights).sum(1, keepdim=True) + 0x8000) >> 16).to(torch.uint8)


def _blend(first: torch.Tensor, second: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """first + factor (second - first), cut off to whole numbers from 0 to 255, as Image.blend."""
    share = factor.float().to(first.device)[:, None, None, None]
    start = first.float()
    return (start + share * (second.float() - start)).clamp(0, 255).to(torch.uint8)
