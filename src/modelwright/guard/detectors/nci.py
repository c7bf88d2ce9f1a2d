"""Neural collapse inspired: nearness to the predicted class's weights, and size.

    score = -(w_c . z) / |z|_2 - alpha |x|_1,    z = x - m,

c is the predicted class, m the mean of all features. As training goes on, features collapse towards their class's
weights, and unfamiliar ones stay near the origin. Source: Liu, Qin, 2023, "Detecting Out-of-Distribution through the
Lens of Neural Collapse", arXiv 2311.01479; alpha = 0.001 is among theirs.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from modelwright.guard.detectors.detector import Detector, Numbers, needed
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class Nci(Detector):
    """How far the features point away from the weights of the predicted class, and how small they are.

    Attributes:
        alpha: what their size counts.
    """

    NEEDS_HEAD: ClassVar[bool] = True
    alpha: float = 0.001

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """The mean, and the classes' weights."""
        return {"middle": rows.features.mean(0), "weight": needed(head).weight}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The negative of the paper's score."""
        centred = features - numbers["middle"]
        length = np.linalg.norm(centred, axis=1)
        along = np.einsum("nd,nd->n", centred, numbers["weight"][logits.argmax(1)])
        nearness = along / np.maximum(length, np.finfo(np.float64).tiny)
        found: Floats = -nearness - self.alpha * np.abs(features).sum(1)
        return found
