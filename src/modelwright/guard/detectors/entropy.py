"""Entropy of the softmax: -sum_c p_c ln p_c, in nats.

Source: Chan, Rottmann, Gottschalk, 2020, arXiv 2012.06575.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.special import log_softmax

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class Entropy(Detector):
    """How evenly probability is spread over the classes."""

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """Nothing."""
        return {}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The entropy."""
        logs = log_softmax(logits, axis=1)
        found: Floats = -(np.exp(logs) * logs).sum(1)
        return found
