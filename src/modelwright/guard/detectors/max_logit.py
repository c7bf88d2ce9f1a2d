"""Maximum logit: -max_c l_c.

Source: Hendrycks et al., 2019, "Scaling Out-of-Distribution Detection for Real-World Settings", arXiv 1911.11132.
"""

from dataclasses import dataclass
from typing import final

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class MaxLogit(Detector):
    """How weak the strongest class is; unlike a probability it keeps the logits' height."""

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """Nothing."""
        return {}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The negative of the greatest logit."""
        found: Floats = -logits.max(1)
        return found
