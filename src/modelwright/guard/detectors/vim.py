"""Virtual-logit matching: ln sum_c exp(l_c) is held against a logit made of what principal directions leave over.

    score = alpha |R'(x - o)| - ln sum_c exp(l_c).

o = -pinv(W) b is where the head's logits would be 0 (the mean where there is no head), R spans what the `kept` first
eigenvectors of sum (x - o)(x - o)' leave over, and alpha = mean max_c l_c / mean |R'(x - o)| brings both to one
scale. The paper's score, the softmax of the virtual logit, is 1 / (1 + exp(-score)). Source: Wang, Li, Feng, Zhang,
2022, arXiv 2203.10807; `kept` is theirs: 1000 of 2048 features and more, 512 of 768 and more, otherwise half.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.detectors.energy import energy
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class Vim(Detector):
    """How much of the features lies outside of where familiar ones lie, against what the logits say.

    Attributes:
        kept: principal directions; 0 for the paper's number.
    """

    kept: int = 0

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """The origin, the directions left over, and the scale."""
        origin = -np.linalg.pinv(head.weight) @ head.bias if head else rows.features.mean(0)
        centred = rows.features - origin
        _, vectors = np.linalg.eigh(centred.T @ centred)  # in rising order
        rest = vectors[:, : rows.width - min(self.kept or _usual(rows.width), rows.width - 1)]
        residual = float(np.linalg.norm(centred @ rest, axis=1).mean())
        scale = float(rows.logits.max(1).mean()) / max(residual, 1e-9 * float(np.linalg.norm(centred, axis=1).mean()))
        return {"origin": origin, "rest": rest, "scale": np.array([scale])}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The virtual logit less the logarithm of the sum of all others' exponentials."""
        residual = np.linalg.norm((features - numbers["origin"]) @ numbers["rest"], axis=1)
        found: Floats = numbers["scale"][0] * residual + energy(logits)
        return found


def _usual(width: int) -> int:
    return 1000 if width >= 2048 else 512 if width >= 768 else width // 2
