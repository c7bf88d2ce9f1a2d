"""Deferred items that lie close together, offered to people as classes that the classifier does not know yet.

Two ways to find them, both of scikit-learn, on vectors of length 1: "hdbscan" (Campello, Moulavi, Sander, 2013), which
asks for nothing but the least size and leaves what lies between as noise, and "agglomerative" (average linkage), which
joins groups as long as their mean cosine is above one that is given. The first finds nothing where all items are one
group, as it looks for places that are denser than what is around them; "auto" then asks the second.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, AgglomerativeClustering

from modelwright.errors import SettingError
from modelwright.guard.betting import Floats
from modelwright.records import ClassOffer, ReviewItem

MOST = 20_000
"""Items that are clustered at once, as time and memory grow with their square."""

STRENGTH = 0.5
"""HDBSCAN's strength of membership below which an item is a stray, not a member."""


def class_offers(
    keys: Sequence[str],
    vectors: NDArray[np.floating[Any]],
    *,
    least: int = 5,
    exemplars: int = 3,
    method: Literal["auto", "hdbscan", "agglomerative"] = "auto",
    likeness: float = 0.5,
) -> tuple[ClassOffer, ...]:
    """Groups of items that resemble one another, the largest first.

    Args:
        keys: the items' names.
        vectors: (n, d) features; rows that are not finite, or zero, belong to no group.
        least: the smallest group that is worth a class, 2 or more.
        exemplars: so many members stand for a group.
        method: how they are found.
        likeness: mean cosine down to which "agglomerative" joins groups.

    Raises:
        SettingError: a key lacks its vector, the least size is below 2, or there are too many items.
    """
    table = np.asarray(vectors, np.float64)
    if table.ndim != 2 or len(table) != len(keys):
        raise SettingError("each item must have one vector", where="vectors", value=table.shape)
    if least < 2 or exemplars < 1:
        rule = "a group must have two members or more, and one exemplar or more"
        raise SettingError(rule, value=(least, exemplars))
    lengths = np.linalg.norm(table, axis=1)
    rows = np.flatnonzero(np.isfinite(lengths) & (lengths > 0))
    if len(rows) > MOST:
        way_out = "Give a sample of them, or the newest."
        raise SettingError(f"{MOST} items can be clustered at once", value=len(rows), way_out=way_out)
    if len(rows) < least:
        return ()
    units = table[rows] / lengths[rows, None]
    labels = _labels(units, least, method, likeness)
    groups = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    groups = [group for group in groups if len(group) >= least]
    middles = [_unit(units[group].mean(0)) for group in groups]
    found = []
    for place, (group, middle) in enumerate(zip(groups, middles, strict=True)):
        cosines = units[group] @ middle
        order = np.argsort(-cosines, kind="stable")
        members = tuple(keys[rows[row]] for row in group[order])
        others = [float(middle @ other) for number, other in enumerate(middles) if number != place]
        found.append(ClassOffer(members, float(cosines.mean()), max(others, default=-1.0), members[:exemplars]))
    return tuple(sorted(found, key=lambda offer: (-offer.size, -offer.cohesion)))


def offers_among(items: Iterable[ReviewItem], *, least: int = 5, exemplars: int = 3) -> tuple[ClassOffer, ...]:
    """The same for items of a review queue; those without a vector are left out.

    Raises:
        SettingError: the least size is below 2, or there are too many items.
    """
    known = [item for item in items if item.vector]
    if not known:
        return ()
    vectors = np.array([item.vector for item in known])
    return class_offers([item.key for item in known], vectors, least=least, exemplars=exemplars)


def _labels(units: Floats, least: int, method: str, likeness: float) -> NDArray[np.int64]:
    """The group of each row, -1 for none."""
    if method != "agglomerative":
        dense = HDBSCAN(min_cluster_size=least, copy=True).fit(units)
        labels = np.where(dense.probabilities_ >= STRENGTH, dense.labels_, -1).astype(np.int64)
        if method == "hdbscan" or labels.max() >= 0:
            return labels
    joined = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=1.0 - likeness)
    return np.asarray(joined.fit_predict(units), np.int64)


def _unit(vector: Floats) -> Floats:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
