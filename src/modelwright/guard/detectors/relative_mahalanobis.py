"""Relative Mahalanobis distance: min_c M_c(x) - M_0(x).

M_c is the Mahalanobis distance to class c (see `mahalanobis`), M_0 that to the mean of all rows in units of their whole
covariance: what is merely unusual in every way cancels. Source: Ren et al., 2021, arXiv 2106.09022.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.detectors.mahalanobis import Mahalanobis, nearest, whitening_of
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class RelativeMahalanobis(Detector):
    """How much farther the features are from the nearest class than from the data as a whole."""

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """What Mahalanobis learns, and the directions of unit variance of all rows."""
        numbers = Mahalanobis().learn(rows, head)
        return {**numbers, "background": whitening_of(rows.features - numbers["middle"])}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The difference of the two squared distances."""
        whole = (features - numbers["middle"]) @ numbers["background"]
        found: Floats = nearest(numbers, features) - np.square(whole).sum(1)
        return found
