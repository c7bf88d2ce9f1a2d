"""Free energy: -T ln sum_c exp(l_c / T).

Source: Liu, Wang, Owens, Li, 2020, arXiv 2010.03759; T = 1 is theirs.
"""

from dataclasses import dataclass
from typing import final

from scipy.special import logsumexp

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class Energy(Detector):
    """How little the logits say altogether.

    Attributes:
        temperature: T; towards 0 it becomes the maximum logit.
    """

    temperature: float = 1.0

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """Nothing."""
        return {}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The energy."""
        return energy(logits, self.temperature)


def energy(logits: Floats, temperature: float = 1.0) -> Floats:
    """(n,) free energies of logits (n, k)."""
    found: Floats = -temperature * logsumexp(logits / temperature, axis=1)
    return found
