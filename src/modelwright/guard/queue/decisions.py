"""What a review queue does next, decided by pure functions of its state."""

import heapq
import math
import sys
from collections.abc import Callable, Collection, Iterable
from datetime import datetime

import msgspec

from modelwright.errors import ConflictError, RecordError, UnknownNameError
from modelwright.guard.near_duplicates import NearDuplicates, Sketch
from modelwright.guard.queue.entries import Added, Decided
from modelwright.guard.queue.state import State
from modelwright.records import ReviewItem, ReviewRules

Sketched = Callable[[ReviewItem], Sketch]
"""What two items are compared by, of one."""


def next_keys(
    state: State, rules: ReviewRules, now: datetime, count: int, without: Collection[str] = ()
) -> tuple[str, ...]:
    """The items that a reviewer is given: the most urgent first, with audits taking their turns; none of `without`."""
    free = [item for item in state.free(now) if item.key not in without]
    others = heapq.nsmallest(count, (item for item in free if not item.audit), key=lambda item: -item.priority)
    audits = heapq.nsmallest(count, (item for item in free if item.audit), key=lambda item: -item.priority)
    given: list[str] = []
    claimed, audited = state.claims
    while len(given) < count and (others or audits):
        due = audited < rules.audit_turns * (claimed + 1)
        turn = bool(audits) and (due or not others)
        given.append((audits if turn else others).pop(0).key)
        claimed, audited = claimed + 1, audited + turn
    return tuple(given)


def addition(
    state: State, items: Iterable[ReviewItem], there: NearDuplicates, rules: ReviewRules, sketched: Sketched
) -> Added:
    """What comes in: those whose keys are new, and of near-duplicates which item is looked at in their stead.

    Audits are looked at by themselves always, so that each of them counts.
    """
    new: dict[str, ReviewItem] = {}
    copies: dict[str, str] = {}
    here = NearDuplicates(rules)
    for item in items:
        if item.key in state.items or item.key in new:
            continue
        new[item.key] = item
        if item.audit:
            continue
        one = sketched(item)
        if looked_at := there.find(one) or here.find(one):
            copies[item.key] = looked_at
        else:
            here.add(item.key, one)
    return Added(tuple(new.values()), copies)


def storable(item: ReviewItem) -> ReviewItem:
    """An item as JSON can hold it: numbers that are not finite are unavailable, in a priority most urgent."""
    vector = tuple(map(float, item.vector))
    return msgspec.structs.replace(
        item,
        predicted=_text(item.predicted),
        text=_text(item.text),
        vector=vector if all(map(math.isfinite, vector)) else (),
        reason=_text(item.reason),
        probability=_number(item.probability),
        score=_number(item.score),
        priority=_priority(float(item.priority)),
        propensity=float(item.propensity),
        details={_text(name): _text(text) for name, text in item.details.items()},
    )


def decision(state: State, rules: ReviewRules, given: Decided, *, amend: bool, where: str) -> Decided | None:
    """What is to be written for a verdict; None where it stands there already.

    Raises:
        UnknownNameError: the class is none of the queue's.
        RecordError: there is no such item.
        ConflictError: another reviewer has or had the item, or the verdict differs from an earlier one and is not said
            to amend it.
    """
    if given.label is not None and rules.classes and given.label not in rules.classes:
        raise UnknownNameError("class", given.label, rules.classes)
    check_item(state, given.key, where)
    place = f"{where}, item {given.key!r}"
    if given.key in state.decided:
        before, _ = state.decided[given.key]
        if (before.label, before.reviewer) == (given.label, given.reviewer):
            return None
        if amend and before.reviewer == given.reviewer:
            return given
        rule = "an item that has a verdict keeps it, until its reviewer amends it"
        raise ConflictError(rule, where=place, value=given.label, way_out="Claim another item.")
    lease = state.leases.get(given.key)
    if lease is None or lease.reviewer != given.reviewer:
        rule = f"a verdict must come from who holds the item, which is {lease.reviewer if lease else 'nobody'}"
        way_out = "Claim an item before deciding it; after its lease has run out another reviewer may have it."
        raise ConflictError(rule, where=place, value=given.reviewer, way_out=way_out)
    return given


def check_item(state: State, key: str, where: str) -> None:
    """Refuse a key of no item.

    Raises:
        RecordError: it is none.
    """
    if key not in state.items:
        raise RecordError("the item must be in the queue", where=where, value=key)


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _number(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None


def _priority(priority: float) -> float:
    most = sys.float_info.max
    return most if math.isnan(priority) else max(-most, min(most, priority))
