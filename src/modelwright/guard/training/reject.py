"""One reject class: outliers of all classes are one more class.

    loss = -ln p_y,    p = softmax over k + 1 logits, y = k for every outlier.

Two scores: the outlier mass p_k, and 1 - max_(c < k) p_c. Source: the abstention class of Roy et al., 2021, arXiv
2104.03829, as the background class of detectors before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor, nn

from modelwright.guard.training.hierarchical import parted
from modelwright.guard.training.method import Method, Verdict


@final
@dataclass(frozen=True)
class Reject(Method):
    """A classifier with one class for all that is none of the others."""

    NEEDS_OUTLIERS: ClassVar[bool] = True

    def outputs(self, classes: int, groups: int) -> int:
        """One more than there are classes."""
        return classes + 1

    def loss(self, logits: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Cross-entropy, outliers being of one class."""
        return nn.functional.cross_entropy(logits, labels.clamp(max=classes))

    def verdict(self, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
        """Probabilities of the familiar classes, with both scores."""
        return parted(networks[0](inputs), classes)
