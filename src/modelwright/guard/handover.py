"""From what a guard decided to what people look at: deferred predictions, and accepted ones that the audit draws."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.guard.queue import Queue
from modelwright.records import Decision, ReviewItem


@final
@dataclass(frozen=True)
class HandedOver:
    """What came into the queue.

    Attributes:
        deferred: keys of the deferred.
        audited: keys of the accepted ones that were drawn.
        copies: key of a near-duplicate -> key of the item that is looked at in its stead.
    """

    deferred: tuple[str, ...]
    audited: tuple[str, ...]
    copies: dict[str, str]


def hand_over(
    queue: Queue,
    keys: Sequence[str],
    decisions: Iterable[Decision],
    *,
    texts: Sequence[str] | None = None,
    vectors: NDArray[np.floating[Any]] | None = None,
    priority: NDArray[np.floating[Any]] | None = None,
) -> HandedOver:
    """Hand a batch of decisions to people. The same batch again changes nothing.

    Args:
        queue: where they go; its rules name the classes in the classifier's order; without names they are numbers.
        keys: a name for each, unique in the queue.
        decisions: the guard's, one a key.
        texts: what a reviewer is shown.
        vectors: (n, d) features, for near-duplicates and clusters.
        priority: (n,) of a policy; if None, how uncertain the prediction is. What nothing is known of comes first.

    Raises:
        SettingError: something is there for more or fewer than the keys, or a class has no name.
        StoreError: the queue could not be written.
    """
    found = list(decisions)
    counted = {"decisions": found, "texts": texts, "vectors": vectors, "priority": priority}
    for name, given in counted.items():
        if given is not None and len(given) != len(keys):
            raise SettingError(f"there must be one for each of the {len(keys)} keys", where=name, value=len(given))
    deferred: list[ReviewItem] = []
    accepted: list[ReviewItem] = []
    for row, (key, decision) in enumerate(zip(keys, found, strict=True)):
        item = ReviewItem(
            key=key,
            predicted=_name(decision.label, queue.rules.classes),
            text=texts[row] if texts is not None else "",
            vector=tuple(map(float, vectors[row])) if vectors is not None else (),
            reason=decision.reason,
            probability=decision.probability,
            score=decision.score,
            priority=float(priority[row]) if priority is not None else _uncertainty(decision),
        )
        (accepted if decision.accepted else deferred).append(item)
    copies = queue.add(deferred)
    return HandedOver(tuple(item.key for item in deferred), queue.add_accepted(accepted), copies)


def _name(label: int | None, classes: Sequence[str]) -> str:
    if label is None:
        return ""
    if not classes:
        return str(label)
    if label >= len(classes):
        raise SettingError(f"the queue's rules must name each class, and name {len(classes)}", value=label)
    return classes[label]


def _uncertainty(decision: Decision) -> float:
    return float("nan") if decision.probability is None else 1.0 - decision.probability
