"""Hierarchical outlier detection: every outlier class is a class, and a second loss asks only whether it is one.

    loss = -ln p_y - weight * ln P(y's side),    P(outlier) = sum_(c >= k) p_c,    p = softmax over k + m logits.

Two scores: the outlier mass P(outlier), as in the paper, and 1 - max_(c < k) p_c, which often tells new outlier classes
better, as they look like none of the known ones. Source: Roy et al., 2021, "Does Your Dermatology Classifier Know What
It Doesn't Know?", arXiv 2104.03829; weight = 0.1 is theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from modelwright.guard.training.method import MASS, MAXIMUM, Method, Verdict


@final
@dataclass(frozen=True)
class Hierarchical(Method):
    """A classifier with several outlier classes, and a coarse loss over them.

    Attributes:
        weight: of the coarse loss.
    """

    NEEDS_OUTLIERS: ClassVar[bool] = True
    weight: float = 0.1

    def outputs(self, classes: int, groups: int) -> int:
        """Familiar and outlier classes."""
        return classes + groups

    def loss(self, logits: Tensor, labels: Tensor, classes: int) -> Tensor:
        """The fine loss and the coarse one."""
        sides = torch.stack([logits[:, :classes].logsumexp(1), logits[:, classes:].logsumexp(1)], 1)
        fine = nn.functional.cross_entropy(logits, labels)
        return fine + self.weight * nn.functional.cross_entropy(sides, (labels >= classes).long())

    def verdict(self, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
        """Probabilities of the familiar classes, with both scores."""
        return parted(networks[0](inputs), classes)


def parted(logits: Tensor, classes: int) -> Verdict:
    """The verdict of logits of which those from `classes` on are of outliers."""
    chances = logits.softmax(1)
    familiar = chances[:, :classes]
    return Verdict(familiar, {MASS: chances[:, classes:].sum(1), MAXIMUM: 1.0 - familiar.amax(1)})
