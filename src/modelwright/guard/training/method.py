"""What all methods have in common: a network, a loss, and what they say of inputs once they are trained."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

MASS = "outlier-mass"
MAXIMUM = "one-minus-max"
ENTROPY = "entropy"
INFORMATION = "mutual-information"
VARIANCE = "variance"
DEMPSTER = "dempster-shafer"


class Verdict(NamedTuple):
    """What a trained method says.

    Attributes:
        probabilities: (n, k) of the familiar classes; they add up to less than 1 where some is left to outliers.
        scores: by name (n,), higher for less familiar.
    """

    probabilities: Tensor
    scores: dict[str, Tensor]


class Method(ABC):
    """A way to train; its fields are its settings."""

    NEEDS_OUTLIERS: ClassVar[bool] = False
    """Whether it learns from outliers."""

    @property
    def members(self) -> int:
        """How many networks it trains."""
        return 1

    def network(self, body: nn.Module, width: int, classes: int, groups: int) -> nn.Module:
        """A network from inputs to logits; a linear layer on the body, unless the method says otherwise.

        Args:
            body: from inputs to features.
            width: of the features.
            classes: familiar ones.
            groups: outlier classes to learn from.
        """
        return nn.Sequential(body, nn.Linear(width, self.outputs(classes, groups)))

    def outputs(self, classes: int, groups: int) -> int:
        """How many logits it makes."""
        return classes

    def loss(self, logits: Tensor, labels: Tensor, classes: int) -> Tensor:
        """What is made small: cross-entropy, unless the method says otherwise; labels from `classes` on are outliers'.

        Args:
            logits: (n, outputs).
            labels: (n,).
            classes: familiar ones.
        """
        return nn.functional.cross_entropy(logits, labels)

    def settle(self, networks: Sequence[nn.Module], inputs: Tensor) -> None:  # noqa: B027  # most methods have nothing to do
        """What follows each epoch, on the familiar inputs of training."""

    @abstractmethod
    def verdict(self, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
        """What its networks, which are in the mode of evaluation, say of inputs."""


def of_mixture(parts: Tensor) -> Verdict:
    """The verdict of several opinions (m, n, k), each of which adds up to 1.

    Mutual information is the entropy of the mean less the mean of the entropies: how much the opinions differ.
    Source: Depeweg et al., 2018, arXiv 1710.07283.
    """
    mean = parts.mean(0)
    whole = torch.special.entr(mean).sum(1)
    scores = {
        MAXIMUM: 1.0 - mean.amax(1),
        ENTROPY: whole,
        INFORMATION: whole - torch.special.entr(parts).sum(2).mean(0),
    }
    return Verdict(mean, scores)
