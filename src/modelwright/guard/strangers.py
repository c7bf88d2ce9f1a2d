"""Outliers made of one's own rows, unlike any class: between the classes, and beyond what goes together.

Held-out classes are clusters of rows, like the familiar ones; what comes may be otherwise. Two kinds can be made
wherever the classifier's last layer is known, which gives their logits:

    between     the middle of two rows of different classes. Source: Zhan, Liang, Liu, Fan, Wu, Lam, 2021, "Out-of-scope
                intent detection with self-supervision and discriminative training", arXiv 2106.08616, whose networks
                learn from convex combinations; the middle is as far from either row as can be.
    shuffled    each feature taken from another row, drawn by chance: every number is usual, only together they are not.
                Source: the reference sample of Hastie, Tibshirani, Friedman, 2009, "The elements of statistical
                    learning", 14.2.4.

Both are scaled to the length of a familiar row, as length alone would give them away.
"""

import numpy as np

from modelwright.guard.rows import Floats, Head, Rows

HELD_OUT = "held-out"
"""The kind that needs no making: rows of held-out classes."""


def strangers(familiar: Rows, head: Head | None, random: np.random.Generator) -> dict[str, Rows]:
    """Kind -> as many outliers as there are rows; none where the last layer is not known. Their labels mean nothing.

    Args:
        familiar: rows of two classes or more.
        head: of these classes.
        random: draws pairs and features.
    """
    if head is None:
        return {}
    features = {"between": between(familiar, random), "shuffled": shuffled(familiar.features, random)}
    return {kind: Rows(made, head.logits(made), familiar.labels) for kind, made in features.items()}


def between(familiar: Rows, random: np.random.Generator) -> Floats:
    """(n, d) each the middle of a row and one of another class, of a length between theirs."""
    order = np.argsort(familiar.labels, kind="stable")
    sizes = np.bincount(familiar.labels, minlength=familiar.classes)
    own = sizes[familiar.labels]
    # rows in the order of classes are a circle: behind the last of a row's class come those of all others
    steps = random.integers(0, len(familiar) - own)
    partner = order[(np.cumsum(sizes)[familiar.labels] + steps) % len(familiar)]
    lengths = np.linalg.norm(familiar.features, axis=1)
    return of_length(familiar.features + familiar.features[partner], (lengths + lengths[partner]) / 2.0)


def shuffled(features: Floats, random: np.random.Generator) -> Floats:
    """(n, d) rows whose every feature is another row's, of the lengths of these rows."""
    return of_length(random.permuted(features, axis=0), np.linalg.norm(features, axis=1))


def of_length(features: Floats, lengths: Floats) -> Floats:
    """Rows (n, d) scaled to lengths (n,); a row of zeros stays."""
    now = np.linalg.norm(features, axis=1)
    found: Floats = features * (lengths / np.where(now > 0, now, 1.0))[:, None]
    return found
