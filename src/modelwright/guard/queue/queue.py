"""A review queue's driver: it reads what is new, lets pure functions decide, and appends what was decided."""

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import final

import msgspec

from modelwright.clock import Clock, SystemClock
from modelwright.errors import ConflictError, RecordError, SettingError
from modelwright.guard.audit import drawn
from modelwright.guard.near_duplicates import NearDuplicates, Sketch, sketch
from modelwright.guard.queue.decisions import addition, check_item, decision, next_keys, storable
from modelwright.guard.queue.entries import Claimed, Decided, Opened, Released, Renewed, Written, body, kind
from modelwright.guard.queue.state import State
from modelwright.records import ReviewCounts, ReviewItem, ReviewRules, Verdict, to_json, write_whole
from modelwright.store import Journal


@final
@dataclass(frozen=True)
class Ticket:
    """An item that a reviewer holds.

    Attributes:
        item: what to look at.
        until: the end of the lease, ISO 8601 in UTC.
        twins: keys of the near-duplicates that the verdict will be copied to.
    """

    item: ReviewItem
    until: str
    twins: tuple[str, ...]


@final
class Queue:
    """Items that wait for people, in one file that many reviewers' processes share: each of them holds one of these.

    No item is held by two reviewers at a time. What a method has returned for is on the disk and stays there, when the
    process is killed or the power fails. Leases are told by the wall clock: reviewers on several machines need clocks
    that agree to within seconds. Threads may share one of these.

    Args:
        journal: where all is kept.
        clock: tells when leases run out.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._state = State()
        self._near: NearDuplicates | None = None
        self._near_to = 0
        self._sketches: dict[str, tuple[ReviewItem, Sketch]] = {}
        self._adding = threading.Lock()

    @classmethod
    def create(cls, path: Path, rules: ReviewRules | None = None, clock: Clock | None = None) -> "Queue":
        """A new queue in a new file.

        Args:
            path: the file.
            rules: the usual ones if None.
            clock: the machine's own if None.

        Raises:
            StoreError: something is there already, or nothing can be written there.
        """
        clock = clock or SystemClock()
        queue = cls(Journal.create(path, clock), clock)
        queue._write(lambda state: None if state.rules else Opened(rules or ReviewRules()))
        return queue

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None) -> "Queue":
        """The queue in a file.

        Raises:
            StoreError: there is no file, it is no journal, or it is damaged.
            RecordError: the journal is none of a queue.
        """
        clock = clock or SystemClock()
        queue = cls(Journal.open(path, clock), clock)
        _ = queue.rules
        return queue

    @property
    def path(self) -> Path:
        """The file."""
        return self._journal.path

    @property
    def rules(self) -> ReviewRules:
        """With which the queue was made.

        Raises:
            RecordError: making it was cut off before they were written.
        """
        rules = (self._state if self._state.rules else self.state()).rules
        if rules is None:
            way_out = "Remove the file, which holds nothing, and create the queue again."
            raise RecordError("a queue's journal must hold its rules", where=str(self.path), way_out=way_out)
        return rules

    def state(self) -> State:
        """All that is known by now; only what is new is read.

        Raises:
            StoreError: the file is damaged or cannot be read.
            RecordError: it is the journal of something else.
        """
        self._state = self._state.and_then(self._journal.read(after=self._state.last), str(self.path))
        return self._state

    def add(self, items: Iterable[ReviewItem]) -> dict[str, str]:
        """Let deferred items in, all or none of them; those whose keys are there already stay as they are.

        Returns:
            Key -> key of the item that is looked at in its stead, for those that are near-duplicates. Where that one
            has its verdict already, they have it, too.

        Raises:
            StoreError: they could not be written.
            SettingError: the vectors differ in their widths.
            RecordError: an item breaks a rule, such as one without a key.
        """
        batch, rules = [storable(item) for item in items], self.rules
        self._check_widths(batch)

        def adding(state: State) -> Written | None:
            added = addition(state, batch, self._near_duplicates(state), rules, self._sketch)
            return added if added.items else None

        with self._adding:
            state = self._write(adding)
        return {item.key: state.copies[item.key] for item in batch if item.key in state.copies}

    def add_accepted(self, items: Iterable[ReviewItem]) -> tuple[str, ...]:
        """Show the queue accepted items, of which it keeps those that are drawn for the audit.

        Each is drawn with the probability `rules.audit`, by the hash of its key.

        Returns:
            Keys of those drawn.

        Raises:
            StoreError: they could not be written.
            SettingError: the vectors differ in their widths.
            RecordError: an item breaks a rule, such as one without a key.
        """
        accepted, rules = list(items), self.rules
        chosen = drawn([storable(item).key for item in accepted], rules.audit, rules.seed)
        audits = [
            msgspec.structs.replace(item, reason="audit", propensity=rules.audit)
            for item, kept in zip(accepted, chosen, strict=True)
            if kept
        ]
        self.add(audits)
        return tuple(item.key for item in audits)

    def claim(self, reviewer: str, count: int = 1, *, without: Collection[str] = ()) -> list[Ticket]:
        """Give a reviewer the next items to look at, held for `rules.lease_s` seconds; none if none is free.

        Args:
            reviewer: who looks.
            count: so many at most.
            without: keys of items that are not wanted, such as what this reviewer has skipped.

        Raises:
            StoreError: the claim could not be written; nothing was claimed.
            SettingError: the reviewer has no name, or the count is below one.
        """
        if not reviewer.strip():
            raise SettingError("a reviewer must have a name", value=reviewer)
        if count < 1:
            raise SettingError("a claim is of one item or more", value=count)
        rules, until = self.rules, ""
        keys: tuple[str, ...] = ()

        def claiming(state: State) -> Written | None:
            nonlocal keys, until
            now = self._clock.now()
            keys = next_keys(state, rules, now, count, without)
            until = (now + timedelta(seconds=rules.lease_s)).isoformat()
            return Claimed(keys, reviewer, until) if keys else None

        state = self._write(claiming)
        return [Ticket(state.items[key], until, state.twins.get(key, ())) for key in keys]

    def renew(self, reviewer: str, keys: Iterable[str]) -> tuple[str, ...]:
        """Hold items for another `rules.lease_s` seconds, even after that, as long as nobody else has claimed them.

        Returns:
            Keys of those renewed; one that this reviewer does not hold is passed over.

        Raises:
            StoreError: it could not be written.
        """
        rules, wanted = self.rules, list(keys)
        mine: tuple[str, ...] = ()

        def renewing(state: State) -> Written | None:
            nonlocal mine
            mine = tuple(key for key in wanted if key in state.leases and state.leases[key].reviewer == reviewer)
            until = (self._clock.now() + timedelta(seconds=rules.lease_s)).isoformat()
            return Renewed(mine, reviewer, until) if mine else None

        self._write(renewing)
        return mine

    def held(self, reviewer: str) -> list[Ticket]:
        """What a reviewer holds at the moment, such as after the page was reloaded."""
        state, now = self.state(), self._clock.now()
        leases = {key: lease for key, lease in state.leases.items() if lease.reviewer == reviewer and lease.runs(now)}
        return [Ticket(state.items[key], lease.until, state.twins.get(key, ())) for key, lease in leases.items()]

    def decide(self, key: str, label: str | None, reviewer: str, *, amend: bool = False) -> Verdict:
        """Give an item that a reviewer holds its class, and its near-duplicates too. The same again changes nothing.

        A verdict is taken after the lease has run out, too, as long as nobody else has claimed the item.

        Args:
            key: of the item; of a near-duplicate it means the one that is looked at.
            label: its class; None for none of the known ones.
            reviewer: who says so.
            amend: replace this reviewer's earlier verdict, which stays in the journal but does not count.

        Raises:
            UnknownNameError: the class is none of the queue's.
            RecordError: there is no such item, or the class is no text.
            ConflictError: another reviewer has the item, or it has another verdict.
            StoreError: it could not be written.
        """
        rules, where = self.rules, str(self.path)

        def deciding(state: State) -> Written | None:
            given = Decided(state.copies.get(key, key), label, reviewer)
            return decision(state, rules, given, amend=amend, where=where)

        state = self._write(deciding)
        return state.verdict(state.copies.get(key, key))

    def release(self, reviewer: str, keys: Iterable[str] | None = None) -> tuple[str, ...]:
        """Give back what a reviewer holds: all, or these items. Others may claim them at once.

        Returns:
            Keys of those given back; one that this reviewer does not hold is passed over.

        Raises:
            RecordError: there is no such item.
            StoreError: it could not be written.
        """
        wanted = None if keys is None else set(keys)
        given: tuple[str, ...] = ()

        def releasing(state: State) -> Written | None:
            nonlocal given
            for key in wanted or ():
                check_item(state, key, str(self.path))
            mine = (key for key, lease in state.leases.items() if lease.reviewer == reviewer)
            given = tuple(key for key in mine if wanted is None or key in wanted)
            return Released(given) if given else None

        self._write(releasing)
        return given

    def counts(self) -> ReviewCounts:
        """How the queue stands."""
        return self.state().counts(self._clock.now())

    def verdicts(self) -> tuple[Verdict, ...]:
        """All verdicts, each followed by those that are copied from it."""
        return tuple(self.state().verdicts())

    def export(self, path: Path) -> int:
        """Write all verdicts as labels, JSON lines, whole or not at all; returns how many.

        Raises:
            OSError: the place cannot be written.
        """
        verdicts = self.verdicts()
        write_whole(path, b"".join(to_json(verdict) + b"\n" for verdict in verdicts))
        return len(verdicts)

    def _write(self, decide: Callable[[State], Written | None]) -> State:
        """Append what is decided on the state as it is at the moment of writing; the state after that."""
        while True:
            state = self.state()
            record = decide(state)
            if record is None:
                return state
            try:
                self._journal.append(kind(record), body(record, str(self.path)), after=state.last)
            except ConflictError:
                continue  # another process was faster: decide again
            return self.state()

    def _near_duplicates(self, state: State) -> NearDuplicates:
        """The deferred items of a state that are looked at, as others are held against them."""
        near = self._near = self._near or NearDuplicates(self.rules)
        for key in list(state.items)[self._near_to :]:
            if key not in state.copies and not state.items[key].audit:
                near.add(key, self._sketch(state.items[key]))
        self._near_to = len(state.items)
        self._sketches.clear()
        return near

    def _sketch(self, item: ReviewItem) -> Sketch:
        """An item's sketch, made once on its way from a batch into the journal and to those that are held against."""
        kept = self._sketches.get(item.key)
        if kept is None or kept[0] != item:
            kept = self._sketches[item.key] = (item, sketch(item, self.rules))
        return kept[1]

    def _check_widths(self, batch: list[ReviewItem]) -> None:
        """Refuse vectors of several widths.

        Raises:
            SettingError: there are such.
        """
        there = next((len(item.vector) for item in self.state().items.values() if item.vector), 0)
        for item in batch:
            there = there or len(item.vector)
            if item.vector and len(item.vector) != there:
                rule = f"all vectors of a queue must be of one width, which is {there}"
                raise SettingError(rule, where=f"item {item.key!r}", value=len(item.vector))
