"""All that is known of a review queue, as a fold of its journal: pure, frozen, the same for everyone who reads it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import final

from modelwright.guard.queue.entries import Added, Claimed, Decided, Opened, Released, Renewed, Written, written
from modelwright.records import ReviewCounts, ReviewItem, ReviewRules, Verdict
from modelwright.store import Entry


@final
@dataclass(frozen=True)
class Lease:
    """Who holds an item, and until when (ISO 8601 in UTC)."""

    reviewer: str
    until: str

    def runs(self, now: datetime) -> bool:
        """Whether it has not run out."""
        return now < datetime.fromisoformat(self.until)


@final
@dataclass(frozen=True)
class State:
    """A queue up to one entry of its journal.

    Attributes:
        last: number of that entry.
        rules: with which it was made; None where it was cut off before that.
        items: key -> item, in order of arrival.
        copies: key -> the item that is looked at in its stead.
        twins: key of an item that is looked at -> those that it stands for.
        undecided: keys of items that are looked at and have no verdict, in order of arrival, as keys of a dictionary.
        leases: key of an undecided item -> who claimed it last and did not give it back.
        decided: key of an item that was looked at -> (verdict, when), in order of their first verdicts.
        claims: how many items were claimed, ever, and how many of these were audits.
    """

    last: int = 0
    rules: ReviewRules | None = None
    items: Mapping[str, ReviewItem] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    twins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    undecided: Mapping[str, None] = field(default_factory=dict)
    leases: Mapping[str, Lease] = field(default_factory=dict)
    decided: Mapping[str, tuple[Decided, str]] = field(default_factory=dict)
    claims: tuple[int, int] = (0, 0)

    def and_then(self, entries: Iterable[Entry], where: str = "the journal") -> "State":
        """The state after further entries.

        Raises:
            RecordError: an entry is none of a queue.
        """
        draft: _Draft | None = None
        for entry in entries:
            draft = draft or _Draft(self)
            draft.take(written(entry, where), entry)
        return draft.state() if draft else self

    def free(self, now: datetime) -> Iterator[ReviewItem]:
        """The items that wait for a reviewer, in order of arrival."""
        for key in self.undecided:
            lease = self.leases.get(key)
            if lease is None or not lease.runs(now):
                yield self.items[key]

    def verdicts(self) -> Iterator[Verdict]:
        """All verdicts, each followed by those that are copied from it."""
        for key in self.decided:
            yield self.verdict(key)
            yield from (self.verdict(twin) for twin in self.twins.get(key, ()))

    def verdict(self, key: str) -> Verdict:
        """Of an item that was decided, or that is a copy of such a one."""
        looked_at = self.copies.get(key, key)
        found, at = self.decided[looked_at]
        item = self.items[key]
        return Verdict(
            key=key,
            label=found.label,
            predicted=item.predicted,
            reviewer=found.reviewer,
            at=at,
            reason=item.reason,
            score=item.score,
            propensity=item.propensity,
            copied_from=self.copies.get(key, ""),
        )

    def counts(self, now: datetime) -> ReviewCounts:
        """How the queue stands."""
        held = [key for key, lease in self.leases.items() if lease.runs(now)]
        audits = [key for key, item in self.items.items() if item.audit]
        decided = sum(1 + len(self.twins.get(key, ())) for key in self.decided)
        holding = sum(1 + len(self.twins.get(key, ())) for key in held)
        return ReviewCounts(
            items=len(self.items),
            waiting=len(self.items) - decided - holding,
            held=holding,
            decided=decided,
            copies=len(self.copies),
            audits=len(audits),
            audits_decided=sum(key in self.decided for key in audits),
        )


class _Draft:
    """A state on its way from entry to entry."""

    def __init__(self, state: State) -> None:
        self.last, self.rules, self.claims = state.last, state.rules, state.claims
        self.items, self.copies, self.twins = dict(state.items), dict(state.copies), dict(state.twins)
        self.undecided, self.leases, self.decided = dict(state.undecided), dict(state.leases), dict(state.decided)

    def state(self) -> State:
        return State(**vars(self))

    def take(self, record: Written, entry: Entry) -> None:
        self.last = entry.number
        match record:
            case Opened(rules=rules):
                self.rules = self.rules or rules
            case Added():
                self.add(record)
            case Claimed(keys=keys, reviewer=reviewer, until=until):
                self.leases |= dict.fromkeys(keys, Lease(reviewer, until))
                audits = sum(self.items[key].audit for key in keys)
                self.claims = (self.claims[0] + len(keys), self.claims[1] + audits)
            case Renewed(keys=keys, reviewer=reviewer, until=until):
                self.leases |= dict.fromkeys(keys, Lease(reviewer, until))
            case Released(keys=keys):
                for key in keys:
                    self.leases.pop(key, None)
            case Decided(key=key):
                self.decided[key] = (record, entry.at)
                self.leases.pop(key, None)
                self.undecided.pop(key, None)

    def add(self, record: Added) -> None:
        for item in record.items:
            self.items[item.key] = item
            if looked_at := record.copies.get(item.key):
                self.copies[item.key] = looked_at
                self.twins[looked_at] = (*self.twins.get(looked_at, ()), item.key)
            else:
                self.undecided[item.key] = None
