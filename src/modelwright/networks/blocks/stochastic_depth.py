"""Stochastic depth: in training, whole residual branches are left out (Huang et al., 2016, arXiv 1603.09382)."""

from typing import final

import torch
from torch import nn


@final
class StochasticDepth(nn.Module):
    """Keeps a branch with probability `survival`, sample by sample, and divides it by that; nothing in evaluation."""

    def __init__(self, survival: float) -> None:
        super().__init__()
        self.survival = survival

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The branch, whole or zero for each sample of axis 0."""
        if not self.training or self.survival == 1.0:
            return x
        kept = x.new_empty(x.shape[:1] + (1,) * (x.ndim - 1)).bernoulli_(self.survival)
        return x * kept / self.survival

    def extra_repr(self) -> str:
        """The probability, for the module's printed form."""
        return f"survival={self.survival}"
