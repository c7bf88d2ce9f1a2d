"""Generalized entropy: sum over the `top` greatest probabilities of p^gamma (1 - p)^gamma.

Source: Liu, Lochman, Zach, "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection", CVPR 2023; gamma =
0.1 and top = 100 are theirs.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.special import log_softmax

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class Gen(Detector):
    """How far probabilities are from one being 1 and all others 0; small deviations weigh heavily.

    Attributes:
        gamma: in (0, 1); the smaller, the more small deviations weigh.
        top: so many of the greatest probabilities count; with fewer classes, all.
    """

    gamma: float = 0.1
    top: int = 100

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """Nothing."""
        return {}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The generalized entropy; 1 - p_max is summed up from the others, as it is lost in rounding otherwise."""
        logs = -np.sort(-log_softmax(logits, axis=1), axis=1)
        others = np.exp(logs[:, 1:]).sum(1)
        count = min(self.top, logits.shape[1])
        rest = np.log1p(-np.exp(logs[:, 1:count]))
        with np.errstate(divide="ignore"):  # others may be 0, whose power is 0
            first = np.exp(self.gamma * (logs[:, 0] + np.log(others)))
        found: Floats = first + np.exp(self.gamma * (logs[:, 1:count] + rest)).sum(1)
        return found
