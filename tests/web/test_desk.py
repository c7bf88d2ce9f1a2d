"""The desk: whatever reviewers, tabs and other processes do, an item is open on one page, and nothing is lost."""

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from modelwright.clock import ManualClock
from modelwright.errors import ConflictError
from modelwright.guard import Queue
from modelwright.records import ReviewItem, ReviewRules
from modelwright.web.review import Desk, Seat
from modelwright.web.review.desk import GRACE_S

REVIEWERS = st.sampled_from(["ann", "bob"])
LABELS = st.sampled_from(["ant", "bee", None])
LEASE_S = 40.0


class ManyPagesOnOneQueue(RuleBasedStateMachine):
    """Two servers and a terminal over one file; tabs keep what they were shown, though it be stale."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        path = Path(self.folder.name, "queue.db")
        self.terminal = Queue.create(path, ReviewRules(("ant", "bee"), lease_s=LEASE_S), self.clock)
        self.terminal.add(ReviewItem(f"item {number}", priority=-number) for number in range(3))
        names = map("page-{}".format, itertools.count())
        self.desks = [Desk(Queue.open(path, self.clock), self.clock, names.__next__) for _ in range(2)]
        self.tabs: list[tuple[Desk, Seat]] = []
        self.given: dict[str, tuple[str, str | None]] = {}
        self.holder: dict[str, tuple[str, int]] = {}  # the page that has an item, and how often it was opened

    def teardown(self) -> None:
        self.folder.cleanup()

    def tab(self, data: st.DataObject) -> tuple[Desk, Seat]:
        return data.draw(st.sampled_from(self.tabs))

    @rule(which=st.integers(0, 1), reviewer=REVIEWERS)
    def take(self, which: int, reviewer: str) -> None:
        desk = self.desks[which]
        before = self.terminal.counts().waiting
        seat = desk.take(reviewer)
        assert (seat is None) == (before == 0)
        if seat:
            assert seat.item.key not in self.given
            opened = desk.opened(seat.name, reviewer)
            assert opened is not None
            self.tabs.append((desk, opened))
            self.holder[seat.item.key] = (opened.name, opened.turn)

    @precondition(lambda self: self.tabs)
    @rule(data=st.data())
    def open_again(self, data: st.DataObject) -> None:
        """A reload, or a second tab with the same address."""
        desk, seat = self.tab(data)
        opened = desk.opened(seat.name, seat.reviewer)
        if opened and not opened.verdict:
            assert self.holder[seat.item.key] == (seat.name, opened.turn - 1)
            self.tabs.append((desk, opened))
            self.holder[seat.item.key] = (opened.name, opened.turn)

    @precondition(lambda self: self.tabs)
    @rule(label=LABELS, data=st.data())
    def decide(self, label: str | None, data: st.DataObject) -> None:
        desk, seat = self.tab(data)
        key = seat.item.key
        try:
            desk.decide(seat.name, seat.reviewer, seat.turn, label, key=key, until=seat.ticket.until)
        except ConflictError:
            return
        if key not in self.given:
            assert self.holder[key] == (seat.name, seat.turn), "only the page that has an item decides it"
            self.given[key] = (seat.reviewer, label)
        assert self.given[key] == (seat.reviewer, label)

    @precondition(lambda self: self.given)
    @rule(reviewer=REVIEWERS, label=LABELS, data=st.data())
    def amend(self, reviewer: str, label: str | None, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.given)))
        if self.given[key][0] == reviewer:
            self.desks[0].amend(key, reviewer, label)
            self.given[key] = (reviewer, label)
        else:
            with pytest.raises(ConflictError):
                self.desks[0].amend(key, reviewer, label)

    @precondition(lambda self: self.tabs)
    @rule(data=st.data(), skip=st.booleans())
    def give_back(self, data: st.DataObject, skip: bool) -> None:
        desk, seat = self.tab(data)
        try:
            desk.give_back(seat.name, seat.reviewer, seat.turn, skip=skip)
        except ConflictError:
            return
        assert desk.seat(seat.name, seat.reviewer) is None
        self.clock.advance(0.001)  # leases are told apart by their ends

    @precondition(lambda self: self.tabs)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        desk, seat = self.tab(data)
        desk.leave(seat.name, seat.reviewer, seat.turn)

    @precondition(lambda self: self.tabs)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        desk, seat = self.tab(data)
        try:
            desk.renew(seat.name, seat.reviewer, seat.turn)
        except ConflictError:
            return
        assert self.holder[seat.item.key] == (seat.name, seat.turn), "only the page that has an item holds it"
        assert seat.item.key not in self.given

    @rule(reviewer=REVIEWERS)
    def claim_at_the_terminal(self, reviewer: str) -> None:
        """Under the same names, even."""
        for ticket in self.terminal.claim(reviewer):
            self.holder[ticket.item.key] = ("the terminal", 0)

    @rule(seconds=st.sampled_from([1.0, GRACE_S, 2 * LEASE_S]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for desk in self.desks:
            desk.sweep()

    @invariant()
    def nothing_is_lost(self) -> None:
        told = {verdict.key: (verdict.reviewer, verdict.label) for verdict in self.terminal.verdicts()}
        assert told == self.given
        counts = self.terminal.counts()
        assert counts.waiting + counts.held + counts.decided == counts.items == 3


ManyPagesOnOneQueue.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestManyPagesOnOneQueue = ManyPagesOnOneQueue.TestCase


def test_a_page_that_is_left_gives_its_item_back_and_one_that_is_loaded_again_keeps_it(
    desk: Desk, queue: Queue, clock: ManualClock
) -> None:
    for again in (True, False):
        seat = desk.take("ann")
        assert seat is not None
        opened = desk.opened(seat.name, "ann")
        assert opened is not None
        desk.leave(seat.name, "ann", opened.turn)
        clock.advance(GRACE_S / 2)
        if again:
            desk.opened(seat.name, "ann")
        clock.advance(GRACE_S / 2)
        desk.sweep()
        assert queue.counts().held == 1  # the first one's, in the end
    assert desk.seat(seat.name, "ann") is None


def test_an_open_page_holds_its_item_for_longer_than_a_lease(desk: Desk, queue: Queue, clock: ManualClock) -> None:
    seat = desk.take("ann")
    assert seat is not None
    assert desk.opened(seat.name, "ann") is not None
    for _ in range(8):
        clock.advance(0.25 * queue.rules.lease_s)
        desk.renew(seat.name, "ann", 1)
    assert seat.item.key not in {ticket.item.key for ticket in queue.claim("bob", 10)}


def test_what_is_skipped_comes_back_when_nothing_else_is_left(desk: Desk) -> None:
    seen = []
    for _ in range(4):
        seat = desk.take("ann")
        assert seat is not None
        seen.append((seat.item.key, seat.again))
        desk.give_back(seat.name, "ann", seat.turn, skip=True)
    assert seen == [("one", False), ("two", False), ("three", False), ("one", True)]
    other = desk.take("bob")
    assert other is not None
    assert (other.item.key, other.again) == ("one", False), "what one skips, another is given"


def test_a_closed_desk_holds_nothing(desk: Desk, queue: Queue) -> None:
    for reviewer in ("ann", "ann", "bob"):
        assert desk.take(reviewer)
    assert queue.counts().held == 3
    desk.close()
    assert (queue.counts().held, queue.counts().waiting) == (0, 3)


def test_a_page_of_an_earlier_server_still_gives_its_verdict(desk: Desk, queue: Queue, clock: ManualClock) -> None:
    seat = desk.take("ann")
    assert seat is not None
    later = Desk(Queue.open(queue.path, clock), clock, iter("abc").__next__)
    assert later.decide(seat.name, "ann", 1, "bee", key=seat.item.key, until=seat.ticket.until).label == "bee"
    with pytest.raises(ConflictError):
        later.decide(seat.name, "bob", 1, "bee", key="two", until=seat.ticket.until)
    other = later.take("ann")
    assert other is not None
    with pytest.raises(ConflictError, match="does not hold it any more"):
        later.decide("page of nobody", "ann", 1, "bee", key=other.item.key, until="then")
