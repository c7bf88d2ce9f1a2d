"""mixup: each image and its label are mixed with another's (Zhang et al., 2017, arXiv 1710.09412).

x = l x_i + (1 - l) x_j, y = l y_i + (1 - l) y_j, l ~ Beta(alpha, alpha); one l for the batch, as in the authors' code.
"""

import numpy as np
import torch
from torch.nn import functional


def mixup(
    images: torch.Tensor, labels: torch.Tensor, classes: int, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixed images, (N, C, H, W), and soft labels, (N, classes).

    Args:
        images: of a floating type.
        labels: int64 of (N,).
        classes: how many there are.
        alpha: of the Beta distribution, above 0.
        generator: of the partners and the share, on the CPU.
    """
    partner = torch.randperm(len(images), generator=generator).to(images.device)
    seed = int(torch.randint(1 << 62, (), generator=generator))  # torch draws no Beta from a generator; numpy does
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    return mixed(images, partner, share), mixed(functional.one_hot(labels, classes).to(images.dtype), partner, share)


def mixed(values: torch.Tensor, partner: torch.Tensor, share: float) -> torch.Tensor:
    """share of each row, and 1 - share of its partner's."""
    return torch.lerp(values[partner], values, share)
