"""Rectified activations: the energy of the logits of min(x, c).

c is the percentile of all activations of familiar rows; unfamiliar inputs drive a few units far beyond. Source: Sun,
Guo, Li, 2021, arXiv 2111.12797; percentile 90 is theirs.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from modelwright.guard.detectors.detector import Detector, Numbers, needed
from modelwright.guard.detectors.energy import energy
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class React(Detector):
    """How little the logits say altogether, once no unit may speak louder than is usual.

    Attributes:
        percentile: of activations, beyond which they are cut, 0 to 100.
    """

    NEEDS_HEAD: ClassVar[bool] = True
    percentile: float = 90.0

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """The cut, and the head."""
        cut = np.array([np.percentile(rows.features, self.percentile)])
        return {"cut": cut, "weight": needed(head).weight, "bias": needed(head).bias}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The energy of the logits of what is left."""
        return energy(np.minimum(features, numbers["cut"][0]) @ numbers["weight"].T + numbers["bias"])
