"""Activation shaping: the energy of the logits of features of which only the greatest are left.

All but the greatest (100 - percentile) % of a row become 0. Then the "p" variant leaves the others as they are, "b"
gives them all the same value so that the row's sum s1 is kept, and "s" multiplies them by exp(s1 / s2), s2 being their
sum. Source: Djurisic, Bozanic, Ashok, Liu, 2022, arXiv 2209.09858; "s" at 90 is theirs for large images.

It is made for activations behind a ReLU, none of which is negative: then s1 >= s2 > 0, and exp(s1 / s2) tells how few
units carry a row. Of features of either sign "greatest" leaves out the large negative ones, of which half the logits
are made, and s1 is what signs happen to leave: the formula gives a number, which tells little. Where it gives none, as
for a row of zeros, or where s2 is so small that the exponential overflows, there is no score.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from modelwright.guard.detectors.detector import Detector, Numbers, needed
from modelwright.guard.detectors.energy import energy
from modelwright.guard.rows import Flags, Floats, Head, Rows


@final
@dataclass(frozen=True)
class Ash(Detector):
    """How little the logits say altogether, once only the strongest units speak.

    Attributes:
        percentile: of a row's activations, up to which they are cut, 0 to 100.
        variant: what becomes of the others.
    """

    NEEDS_HEAD: ClassVar[bool] = True
    percentile: float = 90.0
    variant: Literal["p", "b", "s"] = "s"

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """The head."""
        return {"weight": needed(head).weight, "bias": needed(head).bias}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The energy of the logits of what is left."""
        return energy(self.shaped(features) @ numbers["weight"].T + numbers["bias"])

    def shaped(self, features: Floats) -> Floats:
        """The features (n, d) as the logits see them; not finite where the formula gives no number."""
        kept = greatest(features, self.percentile)
        pruned = np.where(kept, features, 0.0)
        if self.variant == "p":
            return pruned
        whole, left = features.sum(1, keepdims=True), pruned.sum(1, keepdims=True)
        if self.variant == "b":
            found: Floats = kept * whole / kept.sum(1, keepdims=True)
            return found
        return np.asarray(pruned * np.exp(whole / left), np.float64)


def greatest(features: Floats, percentile: float) -> Flags:
    """(n, d) whether a value is among the (100 - percentile) % greatest of its row; at least one is."""
    width = features.shape[1]
    count = max(width - round(width * percentile / 100.0), 1)
    places = np.argpartition(features, width - count, axis=1)[:, width - count :]
    kept = np.zeros(features.shape, bool)
    np.put_along_axis(kept, places, True, axis=1)
    return kept
