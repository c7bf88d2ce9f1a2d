"""Mahalanobis distance to the nearest class: min_c (x - m_c)' S^-1 (x - m_c).

m_c are the classes' means, S is the covariance that they share, S = (1/n) sum_c sum_(x of c) (x - m_c)(x - m_c)'. S^-1
is the pseudoinverse: directions in which no class varies do not count. Source: Lee, Lee, Lee, Shin, 2018, arXiv
1807.03888 (the distance on the last features alone).
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.guard.detectors.detector import Detector, Numbers
from modelwright.guard.rows import Floats, Head, Rows


@final
@dataclass(frozen=True)
class Mahalanobis(Detector):
    """How far the features are from the nearest class, in units of the classes' own spread."""

    def learn(self, rows: Rows, head: Head | None) -> Numbers:
        """The middle of all, the directions of unit variance within classes, and the classes' means along them."""
        middle = rows.features.mean(0)
        means = class_means(rows)
        whitening = whitening_of(rows.features - means[rows.labels])
        return {"middle": middle, "whitening": whitening, "means": (means - middle) @ whitening}

    def measure(self, numbers: Numbers, features: Floats, logits: Floats) -> Floats:
        """The least squared distance, of the whitened features."""
        return nearest(numbers, features)


def class_means(rows: Rows) -> Floats:
    """(k, d) means of the classes."""
    sums = np.zeros((rows.classes, rows.width))
    np.add.at(sums, rows.labels, rows.features)
    found: Floats = sums / np.bincount(rows.labels, minlength=rows.classes)[:, None]
    return found


def whitening_of(centred: Floats) -> Floats:
    """(d, r) W with W W' the pseudoinverse of the covariance of rows (n, d) whose mean is 0; r is its rank."""
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = values > max(float(values[-1]), 0.0) * len(values) * np.finfo(np.float64).eps
    found: Floats = vectors[:, kept] / np.sqrt(values[kept])
    return found


def nearest(numbers: Numbers, features: Floats) -> Floats:
    """(n,) least squared distance to one of the `means`, along `whitening` and from `middle`."""
    white = (features - numbers["middle"]) @ numbers["whitening"]
    means = numbers["means"]
    cross = (means**2).sum(1) - 2.0 * white @ means.T
    found: Floats = np.maximum((white**2).sum(1) + cross.min(1), 0.0)
    return found
