"""Scaled activations: the energy of the logits of x exp(s1 / s2).

s1 is the sum of a row's features, s2 that of its greatest (100 - percentile) %. Nothing is pruned, so the prediction
stays. Source: Xu, Chen, Franchi, Yao, 2023, "Scaling for Training Time and Post-hoc Out-of-distribution Detection
Enhancement", arXiv 2310.00227; percentile 85 is theirs.

It is made for activations behind a ReLU, none of which is negative: then s1 >= s2 > 0, and the factor, e or more,
tells how few units carry a row. Of features of either sign s1 is what signs happen to leave; where it is about 0 the
factor is about 1, and the score about the energy. Where the formula gives no number, as for a row of zeros, or where
s2 is so small that the exponential overflows, there is no score.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from modelwright.guard.detectors.ash import greatest
from modelwright.guard.detectors.detector import Detector, Numbers, needed
from modelwright.guard.detectors.energy import energy
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class Scale(Detector):
    """How little the logits say altogether, once rows with a few strong units are made to speak up.

    Attributes:
        percentile: of a row's activations, above which they are among the greatest, 0 to 100.
    """

    NEEDS_HEAD: ClassVar[bool] = True
    percentile: float = 85.0

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """The head."""
        return {"weight": needed(head).weight, "bias": needed(head).bias}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The energy of the logits of the scaled features."""
        whole = features.sum(1, keepdims=True)
        left = np.where(greatest(features, self.percentile), features, 0.0).sum(1, keepdims=True)
        return energy(features * np.exp(whole / left) @ numbers["weight"].T + numbers["bias"])
