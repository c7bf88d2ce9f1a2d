"""Cross-entropy and nothing else: what every other method is held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from modelwright.guard.training.method import ENTROPY, MAXIMUM, Method, Verdict, of_mixture


@final
@dataclass(frozen=True)
class Plain(Method):
    """A classifier of the familiar classes."""

    def verdict(self, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
        """The softmax, its entropy, and how far its maximum is from 1."""
        found = of_mixture(networks[0](inputs).softmax(1)[None])
        return Verdict(found.probabilities, {name: found.scores[name] for name in (MAXIMUM, ENTROPY)})
