"""Maximum softmax probability: 1 - max_c p_c, p = softmax(logits).

Source: Hendrycks, Gimpel, 2016, arXiv 1610.02136.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class Msp(Detector):
    """How far the predicted class is from being certain."""

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """Nothing."""
        return {}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """1 - p_max = 1 / (1 + 1/r), r = the sum over the others of exp(l - l_max): exact where p_max is nearly 1."""
        ordered = np.sort(logits, axis=1)
        others = np.exp(ordered[:, :-1] - ordered[:, -1:]).sum(1)
        found: Floats = others / (1.0 + others)
        return found
