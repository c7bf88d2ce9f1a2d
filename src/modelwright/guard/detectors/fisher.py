"""Fisher's combination: three detectors that read different things, brought to one scale by empirical p-values.

    score = -sum_i ln p_i,    p_i = (1 + number of n familiar rows that score as high or higher) / (n + 1).

The three read what the logits say (entropy), where the nearest familiar rows are (KNN), and how features spread about
their class (Mahalanobis), so that what is unfamiliar to any of them is unfamiliar, and what is a little so to all is,
too. They are fitted on one half of the reference, class by class; the other half gives the p-values. Dependent as they
are, the sum does not have Fisher's distribution; nor need it, as a guard finds its threshold on rows of its own.

Sources: Haroush, Frostig, Heller, Soudry, 2021, arXiv 2102.12967, who combine the layers of a network so; Magesh,
Veeravalli, Roy, Jha, 2022, arXiv 2206.09522, several detectors; Fisher, 1925,
"Statistical methods for research workers".
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.detectors.entropy import Entropy
from modelwright.guard.detectors.knn import Knn
from modelwright.guard.detectors.mahalanobis import Mahalanobis
from modelwright.guard.rows import Floats, Head, Rows, halves

_SCALE = "scale"


@final
@dataclass(frozen=True)
class Fisher(Detector):
    """How unlikely three scores together are among familiar rows.

    Attributes:
        seed: of the halves.
    """

    seed: int = 0

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """What the three learn, each with its scores of the other half in rising order."""
        first, second = halves(rows.labels, 0.5, np.random.default_rng(self.seed))
        second = second if len(second) else first  # a row a class: there is no other half
        known, others = rows.take(first), rows.take(second)
        found: dict[str, np.ndarray[Any, np.dtype[Any]]] = {}
        for name, one in _members().items():
            numbers = one.learn(known, head)
            found |= {f"{name}.{key}": value for key, value in numbers.items()}
            found[f"{name}.{_SCALE}"] = np.sort(one.measure(numbers, others.features, others.logits))
        return found

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The sum of the negative logarithms of the p-values."""
        total = np.zeros(len(features))
        for name, one in _members().items():
            own = {key.removeprefix(f"{name}."): numbers[key] for key in numbers if key.startswith(f"{name}.")}
            scores = one.measure(own, features, logits)
            total += np.where(np.isfinite(scores), -np.log(p_values(own[_SCALE], scores)), np.nan)
        return total


def p_values(familiar: Floats, scores: Floats) -> Floats:
    """(n,) how likely a familiar row is to score as high, or higher.

    Args:
        familiar: scores of familiar rows, in rising order.
        scores: (n,).
    """
    higher = len(familiar) - np.searchsorted(familiar, scores, side="left")
    found: Floats = np.asarray((1.0 + higher) / (len(familiar) + 1.0), np.float64)
    return found


def _members() -> dict[str, Detector]:
    return {"entropy": Entropy(), "knn": Knn(), "mahalanobis": Mahalanobis()}
