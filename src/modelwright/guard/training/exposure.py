"""Outlier exposure: outliers are to look like no class at all.

    loss = mean over the familiar of -ln p_y  +  weight * mean over outliers of -(1/k) sum_c ln p_c.

Source: Hendrycks, Mazeika, Dietterich, 2018, arXiv 1812.04606; weight = 0.5 is theirs for images, 1 for text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from modelwright.guard.training.method import Method, Verdict
from modelwright.guard.training.plain import Plain


@final
@dataclass(frozen=True)
class OutlierExposure(Method):
    """A classifier of the familiar classes that learned to be unsure of outliers.

    Attributes:
        weight: of the outliers' part.
    """

    NEEDS_OUTLIERS: ClassVar[bool] = True
    weight: float = 0.5

    def loss(self, logits: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Cross-entropy with the labels, and with even chances for outliers."""
        logs = logits.log_softmax(1)
        outlier = labels >= classes
        own = logs.gather(1, labels.clamp(max=classes - 1)[:, None])[:, 0]
        familiar = -torch.where(outlier, 0.0, own).sum() / (~outlier).sum().clamp(min=1)
        even = -torch.where(outlier, logs.mean(1), 0.0).sum() / outlier.sum().clamp(min=1)
        found: Tensor = familiar + self.weight * even
        return found

    def verdict(self, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
        """The softmax with its scores."""
        return Plain().verdict(networks, inputs, classes)
