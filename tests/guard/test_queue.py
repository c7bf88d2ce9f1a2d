"""The review queue against a model of it: many hands, leases that run out, near-duplicates, audits, reopening."""

import json
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from modelwright.clock import ManualClock
from modelwright.errors import ConflictError, RecordError, SettingError, UnknownNameError
from modelwright.guard.audit import drawn
from modelwright.guard.queue import Queue
from modelwright.records import ReviewItem, ReviewRules, Verdict, from_json

CLASSES = ("cat", "dog")
RULES = ReviewRules(classes=CLASSES, lease_s=100.0, audit=0.5, audit_turns=0.3)
REVIEWERS = st.sampled_from(["ann", "bob", "cleo"])
NUMBERS = st.integers(0, 11)
TEXTS = ("the quick brown fox jumps", "pack my box with five dozen jugs", "sphinx of black quartz, judge my vow", "")


def item(number: int, text: str = "", priority: float = 0.0, predicted: str = "cat") -> ReviewItem:
    return ReviewItem(f"item {number}", predicted, text, priority=priority, score=float(number))


class ManyHandsOnOneQueue(RuleBasedStateMachine):
    """Two that hold the same file, against dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "queue.db")
        self.clock = ManualClock()
        self.queues = [Queue.create(self.path, RULES, self.clock), Queue.open(self.path, self.clock)]
        self.items: dict[str, ReviewItem] = {}
        self.copies: dict[str, str] = {}
        self.leases: dict[str, tuple[str, datetime]] = {}
        self.labels: dict[str, tuple[str | None, str]] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    def holder(self, key: str) -> str | None:
        reviewer, until = self.leases.get(key, ("", self.clock.now()))
        return reviewer if self.clock.now() < until else None

    def free(self) -> list[ReviewItem]:
        undecided = [one for key, one in self.items.items() if key not in self.copies and key not in self.labels]
        return [one for one in undecided if self.holder(one.key) is None]

    @rule(who=st.integers(0, 1), numbers=st.lists(NUMBERS, max_size=3), text=st.sampled_from(TEXTS), urgent=NUMBERS)
    def add(self, who: int, numbers: list[int], text: str, urgent: int) -> None:
        batch = [item(number, text.upper() if number % 2 else text, urgent) for number in numbers]
        copies = self.queues[who].add(batch)
        for one in batch:
            if one.key not in self.items:
                like = [key for key, other in self.items.items() if other.text.lower() == text and not other.audit]
                first = [key for key in like if key not in self.copies]
                if text and first:
                    self.copies[one.key] = first[0]
                self.items[one.key] = one
        assert copies == {one.key: self.copies[one.key] for one in batch if one.key in self.copies}

    @rule(who=st.integers(0, 1), numbers=st.lists(NUMBERS, max_size=4, unique=True))
    def add_accepted(self, who: int, numbers: list[int]) -> None:
        batch = [item(number) for number in numbers]
        keys = self.queues[who].add_accepted(batch)
        chosen = drawn([one.key for one in batch], RULES.audit, RULES.seed)
        assert keys == tuple(one.key for one, kept in zip(batch, chosen, strict=True) if kept)
        for key in keys:
            self.items.setdefault(key, ReviewItem(key, "cat", score=float(key[5:]), reason="audit", propensity=0.5))

    @rule(who=st.integers(0, 1), reviewer=REVIEWERS, count=st.integers(1, 3), but=st.sets(NUMBERS, max_size=3))
    def claim(self, who: int, reviewer: str, count: int, but: set[int]) -> None:
        unwanted = {f"item {number}" for number in but}
        free = {one.key: one for one in self.free() if one.key not in unwanted}
        tickets = self.queues[who].claim(reviewer, count, without=unwanted)
        assert len(tickets) == min(count, len(free))
        for ticket in tickets:
            assert free.pop(ticket.item.key) == ticket.item  # held by nobody
            assert set(ticket.twins) == {key for key, first in self.copies.items() if first == ticket.item.key}
            self.leases[ticket.item.key] = (reviewer, datetime.fromisoformat(ticket.until))
        given = [ticket.item.priority for ticket in tickets if not ticket.item.audit]
        assert all(one.priority <= min(given) for one in free.values() if not one.audit) if given else True

    @rule(who=st.integers(0, 1), reviewer=REVIEWERS, numbers=st.lists(NUMBERS, max_size=3, unique=True))
    def renew(self, who: int, reviewer: str, numbers: list[int]) -> None:
        keys = [f"item {number}" for number in numbers]
        mine = [key for key in keys if self.leases.get(key, ("",))[0] == reviewer and key not in self.labels]
        assert self.queues[who].renew(reviewer, keys) == tuple(mine)
        self.leases |= dict.fromkeys(mine, (reviewer, self.clock.now() + timedelta(seconds=RULES.lease_s)))

    @rule(who=st.integers(0, 1), reviewer=REVIEWERS, number=NUMBERS, label=st.sampled_from([*CLASSES, None]))
    def decide(self, who: int, reviewer: str, number: int, label: str | None) -> None:
        key = f"item {number}"
        first = self.copies.get(key, key)
        mine = self.leases.get(first, ("",))[0] == reviewer
        if self.labels.get(first) == (label, reviewer) or (first in self.items and first not in self.labels and mine):
            found = self.queues[who].decide(key, label, reviewer)
            assert (found.key, found.label, found.reviewer) == (first, label, reviewer)
            self.labels[first] = (label, reviewer)
        else:
            with pytest.raises((ConflictError, RecordError)):
                self.queues[who].decide(key, label, reviewer)

    @precondition(lambda self: self.leases)
    @rule(who=st.integers(0, 1), label=st.sampled_from([*CLASSES, None]), data=st.data())
    def decide_what_was_claimed(self, who: int, label: str | None, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.leases)))
        self.decide(who, self.leases[key][0], int(key[5:]), label)

    @rule(who=st.integers(0, 1), reviewer=REVIEWERS)
    def release(self, who: int, reviewer: str) -> None:
        mine = {k for k, (name, _) in self.leases.items() if name == reviewer and k not in self.labels}
        assert set(self.queues[who].release(reviewer)) == mine
        for key in mine:
            del self.leases[key]

    @rule(seconds=st.sampled_from([1.0, 60.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(who=st.integers(0, 1))
    def reopen(self, who: int) -> None:
        self.queues[who] = Queue.open(self.path, self.clock)

    @rule(who=st.integers(0, 1))
    def die_in_an_append(self, who: int) -> None:
        """A process is gone before it has committed."""
        link = sqlite3.connect(self.path, isolation_level=None)
        link.execute("BEGIN IMMEDIATE")
        link.execute("DELETE FROM entries WHERE number > 1")
        link.close()
        self.queues[who] = Queue.open(self.path, self.clock)

    @invariant()
    def all_is_there(self) -> None:
        copied = {key: self.labels[first] for key, first in self.copies.items() if first in self.labels}
        held = {key for key in self.items if key not in self.labels and self.holder(key)}
        for state in (queue.state() for queue in self.queues):
            counts = state.counts(self.clock.now())
            assert counts.items == len(self.items) == counts.waiting + counts.held + counts.decided
            assert counts.copies == len(self.copies)
            assert counts.audits == sum(one.audit for one in self.items.values())
            assert counts.held == len(held) + sum(first in held for first in self.copies.values())
            assert counts.decided == len(self.labels) + len(copied)
            told = {verdict.key: (verdict.label, verdict.reviewer) for verdict in state.verdicts()}
            assert told == self.labels | copied
            waiting = [one.key for one in state.free(self.clock.now())]
            assert waiting == [one.key for one in self.free()]

    @rule(who=st.integers(0, 1), reviewer=REVIEWERS)
    def look_at_what_is_held(self, who: int, reviewer: str) -> None:
        mine = {key for key in self.leases if key not in self.labels and self.holder(key) == reviewer}
        assert {ticket.item.key for ticket in self.queues[who].held(reviewer)} == mine


ManyHandsOnOneQueue.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestManyHandsOnOneQueue = ManyHandsOnOneQueue.TestCase


# --- one by one -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(tmp_path: Path, clock: ManualClock) -> Queue:
    return Queue.create(tmp_path / "queue.db", RULES, clock)


def test_an_expired_lease_frees_an_item_and_the_first_verdict_stays(queue: Queue, clock: ManualClock) -> None:
    queue.add([item(1)])
    assert [ticket.item.key for ticket in queue.claim("ann")] == ["item 1"]
    clock.advance(99.9)
    assert queue.claim("bob") == []
    clock.advance(0.2)
    assert [ticket.item.key for ticket in queue.claim("bob")] == ["item 1"]
    with pytest.raises(ConflictError, match="must come from who holds the item, which is bob, but got 'ann'"):
        queue.decide("item 1", "dog", "ann")
    queue.decide("item 1", "cat", "bob")
    with pytest.raises(ConflictError, match="keeps it"):
        queue.decide("item 1", "dog", "ann")


class BusyClock(ManualClock):
    """A clock that is read between what a queue has read and what it writes: then somebody else does something."""

    meanwhile: Callable[[], object] | None = None

    def now(self) -> datetime:
        act, self.meanwhile = self.meanwhile, None
        if act:
            act()
        return super().now()


def test_who_is_overtaken_decides_again(tmp_path: Path) -> None:
    clock = BusyClock()
    ann, bob = Queue.create(tmp_path / "queue.db", RULES, clock), Queue.open(tmp_path / "queue.db")
    ann.add([item(1), item(2)])
    clock.meanwhile = lambda: bob.claim("bob")
    assert [ticket.item.key for ticket in ann.claim("ann")] == ["item 2"]
    assert [ticket.item.key for ticket in bob.held("bob")] == ["item 1"]


def test_a_late_verdict_counts_where_nobody_else_has_begun(queue: Queue, clock: ManualClock) -> None:
    queue.add([item(1)])
    queue.claim("ann")
    clock.advance(1e6)
    assert queue.decide("item 1", "dog", "ann").wrong


def test_a_verdict_that_is_sent_twice_is_written_once(queue: Queue) -> None:
    queue.add([item(1)])
    queue.claim("ann")
    first = queue.decide("item 1", "dog", "ann")
    before = queue.path.read_bytes()
    assert queue.decide("item 1", "dog", "ann") == first
    assert queue.path.read_bytes() == before


def test_a_reviewer_may_amend_what_they_said_and_nobody_else_may(queue: Queue) -> None:
    queue.add([item(1)])
    queue.claim("ann")
    queue.decide("item 1", "dog", "ann")
    with pytest.raises(ConflictError):
        queue.decide("item 1", "cat", "ann")
    with pytest.raises(ConflictError):
        queue.decide("item 1", "cat", "bob", amend=True)
    assert queue.decide("item 1", "cat", "ann", amend=True).label == "cat"
    assert [verdict.label for verdict in queue.verdicts()] == ["cat"]


def test_near_duplicates_are_told_and_share_the_verdict_of_the_first(queue: Queue) -> None:
    assert queue.add([item(1, TEXTS[0]), item(2, f"{TEXTS[0]}!", predicted="dog"), item(3, TEXTS[1])]) == {
        "item 2": "item 1"
    }
    [ticket] = queue.claim("ann")
    assert ticket.twins == ("item 2",)
    queue.decide("item 1", "dog", "ann")
    assert queue.add([item(4, TEXTS[0].upper())]) == {"item 4": "item 1"}  # it has its verdict already
    told = [(verdict.key, verdict.label, verdict.wrong, verdict.copied_from) for verdict in queue.verdicts()]
    assert told == [
        ("item 1", "dog", True, ""),
        ("item 2", "dog", False, "item 1"),
        ("item 4", "dog", True, "item 1"),
    ]
    assert queue.counts().decided == 3


def test_an_audit_is_looked_at_itself_however_like_another_item_it_is(tmp_path: Path) -> None:
    queue = Queue.create(tmp_path / "all.db", ReviewRules(audit=1.0))
    queue.add([item(1, TEXTS[0])])
    assert queue.add_accepted([item(2, TEXTS[0]), item(3, TEXTS[0])]) == ("item 2", "item 3")
    assert queue.add([item(4, TEXTS[0])]) == {"item 4": "item 1"}
    assert len(queue.claim("ann", 9)) == 3


def test_audits_have_their_turns_in_a_backlog_and_the_backlog_among_audits(tmp_path: Path) -> None:
    queue = Queue.create(tmp_path / "turns.db", ReviewRules(audit=1.0, audit_turns=0.25))
    queue.add([item(number, priority=9.0) for number in range(100)])
    queue.add_accepted([item(number) for number in range(100, 200)])
    given = [ticket.item.audit for _ in range(8) for ticket in queue.claim("ann", 5)]
    assert sum(given) == 10
    assert all(abs(sum(given[:count]) - 0.25 * count) <= 1 for count in range(1, 41))


def test_what_the_labels_say_is_what_was_said(queue: Queue, tmp_path: Path) -> None:
    queue.add([item(1), item(2)])
    for ticket in queue.claim("ann", 2):
        queue.decide(ticket.item.key, None if ticket.item.key == "item 2" else "dog", "ann")
    assert queue.export(tmp_path / "labels.jsonl") == 2
    lines = (tmp_path / "labels.jsonl").read_text().splitlines()
    assert tuple(from_json(line, Verdict) for line in lines) == queue.verdicts()
    assert [json.loads(line)["label"] for line in lines] == ["dog", None]


def test_numbers_that_are_no_numbers_do_not_spoil_the_queue(queue: Queue) -> None:
    """A score that is unavailable stays unavailable; a priority that is none is the most urgent."""
    nan, inf = float("nan"), float("inf")
    queue.add([item(1, priority=inf), ReviewItem("odd", "cat", "x\ud800", (nan, 1.0), "", nan, inf, nan)])
    again = Queue.open(queue.path)
    odd = again.state().items["odd"]
    assert (odd.text, odd.vector, odd.probability, odd.score) == ("x?", (), None, None)
    assert {ticket.item.key for ticket in again.claim("ann", 2)} == {"item 1", "odd"}


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (ReviewItem(""), RecordError),
        (ReviewItem("k", propensity=0.0), RecordError),
        (ReviewItem("k", propensity=2.0), RecordError),
        (ReviewItem("\ud800"), RecordError),
    ],
)
def test_an_item_that_could_not_be_read_again_is_not_written(queue: Queue, bad: ReviewItem, error: type) -> None:
    before = queue.path.read_bytes()
    with pytest.raises(error):
        queue.add([item(1), bad])
    assert queue.path.read_bytes() == before
    assert queue.counts().items == 0


def test_what_makes_no_sense_is_refused_with_a_lesson(queue: Queue) -> None:
    queue.add([ReviewItem("v", vector=(1.0, 2.0))])
    queue.claim("ann")
    with pytest.raises(SettingError, match="of one width, which is 2, but got 3"):
        queue.add([ReviewItem("w", vector=(1.0, 2.0, 3.0))])
    with pytest.raises(UnknownNameError, match="Did you mean 'dog'"):
        queue.decide("v", "dogg", "ann")
    with pytest.raises(RecordError, match="must be in the queue"):
        queue.decide("nothing", "dog", "ann")
    with pytest.raises(RecordError, match="must be in the queue"):
        queue.release("ann", ["nothing"])
    for reviewer, count in ((" ", 1), ("ann", 0)):
        with pytest.raises(SettingError):
            queue.claim(reviewer, count)
    assert [ticket.item.key for ticket in queue.held("ann")] == ["v"]
    queue.release("ann", ["v"])
    with pytest.raises(RecordError, match="that JSON can hold"):
        queue.claim("\ud800")
    assert queue.counts().waiting == 1
