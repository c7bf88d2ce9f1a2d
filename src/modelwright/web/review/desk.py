"""Who has which item open: each item on one page, each page with its reviewer, and given back when it is left."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

from modelwright.clock import Clock
from modelwright.errors import ConflictError
from modelwright.guard.queue import Lease, Queue, Ticket
from modelwright.records import ReviewCounts, ReviewItem, Verdict

GRACE_S = 10.0
"""So long a page that was left keeps its item, seconds: a page that is loaded again is left and opened."""

_REMEMBERED = 1000
"""So many pages whose item has its verdict are known, for who goes back to one."""


@final
@dataclass(frozen=True)
class Seat:
    """An item that is open on a page.

    Attributes:
        name: of the page, which nobody guesses.
        reviewer: who looks.
        ticket: the item, under its lease.
        twins: the near-duplicates that the verdict will be copied to.
        turn: how often the page was opened; the last one who opened it has the item.
        left_at: when it was left, in the clock's seconds; None while it is open.
        verdict: what the item was given; None before that.
        again: whether the reviewer has skipped the item before, and nothing else is left.
    """

    name: str
    reviewer: str
    ticket: Ticket
    twins: tuple[ReviewItem, ...]
    turn: int = 0
    left_at: float | None = None
    verdict: Verdict | None = None
    again: bool = False

    @property
    def item(self) -> ReviewItem:
        """What to look at."""
        return self.ticket.item


@final
@dataclass(frozen=True)
class Standing:
    """How a queue stands for one reviewer.

    Attributes:
        counts: of all.
        mine: items that have a verdict of this reviewer, near-duplicates among them.
        last: the latest of these verdicts.
        words: the classes that verdicts have named.
    """

    counts: ReviewCounts
    mine: int = 0
    last: Verdict | None = None
    words: tuple[str, ...] = ()


@final
class Desk:
    """The pages of one server, over a queue that other processes may share. Threads may share it.

    Args:
        queue: where items come from and verdicts go.
        clock: tells how long ago a page was left.
        new_name: gives each page a name that nobody guesses.
    """

    def __init__(self, queue: Queue, clock: Clock, new_name: Callable[[], str]) -> None:
        self._queue = queue
        self._clock = clock
        self._new_name = new_name
        self._seats: dict[str, Seat] = {}
        self._skipped: dict[str, set[str]] = {}
        self._lock = threading.RLock()

    @property
    def queue(self) -> Queue:
        """Where items come from and verdicts go."""
        return self._queue

    def take(self, reviewer: str) -> Seat | None:
        """Claim the next item for a page of its own; None if nothing waits. What was skipped comes last.

        Raises:
            StoreError: the claim could not be written; nothing was claimed.
        """
        with self._lock:
            skipped = self._skipped.setdefault(reviewer, set())
            tickets = self._queue.claim(reviewer, without=skipped)
            if not tickets and skipped:
                tickets = self._queue.claim(reviewer)
            if not tickets:
                return None
            (ticket,) = tickets
            items = self._queue.state().items
            twins = tuple(items[key] for key in ticket.twins)
            seat = Seat(self._new_name(), reviewer, ticket, twins, again=ticket.item.key in skipped)
            return self._keep(seat)

    def seat(self, name: str, reviewer: str) -> Seat | None:
        """The page of that name, if it is this reviewer's."""
        found = self._seats.get(name)
        return found if found and found.reviewer == reviewer else None

    def opened(self, name: str, reviewer: str) -> Seat | None:
        """A page as it is opened, also again or in another tab, which then has the item instead; None if it is gone.

        Raises:
            StoreError: the lease could not be renewed.
        """
        with self._lock:
            seat = self.seat(name, reviewer)
            if seat is None or seat.verdict:
                return seat
            if not self._still(seat):
                del self._seats[name]
                return None
            if seat.turn:
                seat = self._renewed(seat)
            return self._keep(replace(seat, turn=seat.turn + 1, left_at=None))

    def renew(self, name: str, reviewer: str, turn: int) -> str:
        """Hold the item of a page that is still open; the end of its lease.

        Raises:
            ConflictError: somebody else has it, or another tab.
            StoreError: the lease could not be renewed.
        """
        with self._lock:
            seat = self._renewed(self._held(name, reviewer, turn))
            return self._keep(replace(seat, left_at=None)).ticket.until

    def leave(self, name: str, reviewer: str, turn: int) -> None:
        """Take note that a page was left; its item is given back unless it is opened again soon."""
        with self._lock:
            seat = self.seat(name, reviewer)
            if seat and seat.turn == turn and not seat.verdict:
                self._keep(replace(seat, left_at=self._clock.seconds()))

    def sweep(self) -> None:
        """Give back what was left and not opened again.

        Raises:
            StoreError: it could not be written; it is tried again the next time.
        """
        with self._lock:
            now = self._clock.seconds()
            for seat in list(self._seats.values()):
                if seat.left_at is not None and now - seat.left_at >= GRACE_S:
                    self._give_back(seat)

    def close(self) -> None:
        """Give back all that is open.

        Raises:
            StoreError: it could not be written; the leases will run out.
        """
        with self._lock:
            for seat in [seat for seat in self._seats.values() if not seat.verdict]:
                self._give_back(seat)

    def decide(
        self, name: str, reviewer: str, turn: int, label: str | None, *, key: str = "", until: str = ""
    ) -> Verdict:
        """Give the item of a page its class. The same again changes nothing.

        Args:
            name: of the page.
            reviewer: who says so.
            turn: how often the page had been opened.
            label: the class; None for none of the known ones.
            key: of the item, as the page has it: one of an earlier server is served, too, while its lease stands.
            until: the end of that lease.

        Raises:
            UnknownNameError: the class is none of the queue's.
            RecordError: there is no such item.
            ConflictError: somebody else has it, or another tab, or it has another verdict.
            StoreError: it could not be written; the page keeps its item.
        """
        with self._lock:
            seat = self.seat(name, reviewer)
            if seat is None and not self._leased(key, Lease(reviewer, until)):
                raise _gone(key)
            if seat and not seat.verdict:
                seat = self._held(name, reviewer, turn)
            verdict = self._queue.decide(seat.item.key if seat else key, label, reviewer)
            if seat:
                self._keep(replace(seat, verdict=verdict, left_at=None))
                self._forget_old()
            return verdict

    def amend(self, key: str, reviewer: str, label: str | None) -> Verdict:
        """Replace an earlier verdict of this reviewer.

        Raises:
            UnknownNameError: the class is none of the queue's.
            RecordError: there is no such item.
            ConflictError: the verdict is somebody else's.
            StoreError: it could not be written; the earlier one stands.
        """
        with self._lock:
            verdict = self._queue.decide(key, label, reviewer, amend=True)
            for seat in list(self._seats.values()):
                if seat.verdict and seat.item.key == verdict.key:
                    self._keep(replace(seat, verdict=verdict))
            return verdict

    def give_back(self, name: str, reviewer: str, turn: int, *, skip: bool) -> None:
        """Give the item of a page back at once; one that is skipped comes to this reviewer after all others.

        Raises:
            ConflictError: another tab has it.
            StoreError: it could not be written; the page keeps its item.
        """
        with self._lock:
            seat = self._held(name, reviewer, turn)
            self._give_back(seat)
            if skip:
                self._skipped.setdefault(reviewer, set()).add(seat.item.key)

    def own(self, key: str, reviewer: str) -> tuple[ReviewItem, Verdict]:
        """An item to which this reviewer has given a verdict, and that.

        Raises:
            ConflictError: there is none.
            StoreError: the queue cannot be read.
        """
        state = self._queue.state()
        if key not in state.decided or state.decided[key][0].reviewer != reviewer:
            raise ConflictError("an item must have a verdict of yours before you amend it", value=key)
        return state.items[key], state.verdict(key)

    def sees(self, key: str, reviewer: str) -> bool:
        """Whether a reviewer may look at an item: it is open on a page of theirs, or has their verdict."""
        if any(seat.reviewer == reviewer and seat.item.key == key for seat in list(self._seats.values())):
            return True
        decided = self._queue.state().decided
        return key in decided and decided[key][0].reviewer == reviewer

    def standing(self, reviewer: str) -> Standing:
        """How the queue stands for a reviewer.

        Raises:
            StoreError: it cannot be read.
        """
        state = self._queue.state()
        mine = {key: at for key, (given, at) in state.decided.items() if given.reviewer == reviewer}
        last = state.verdict(max(reversed(mine), key=lambda key: mine[key])) if mine else None
        count = len(mine) + sum(len(state.twins.get(key, ())) for key in mine)
        words = {given.label for given, _ in state.decided.values() if given.label}
        return Standing(self._queue.counts(), count, last, tuple(sorted(words)))

    def _held(self, name: str, reviewer: str, turn: int) -> Seat:
        seat = self.seat(name, reviewer)
        if seat is None or seat.verdict:
            raise _gone(seat.item.key if seat else "")
        if not self._still(seat):
            del self._seats[name]
            raise _gone(seat.item.key)
        if seat.turn != turn:
            rule = "an item must be open in one tab, and this one was opened in another since"
            raise ConflictError(
                rule, where=f"item {seat.item.key!r}", way_out="Go on there, or take another item here."
            )
        return seat

    def _keep(self, seat: Seat) -> Seat:
        self._seats[seat.name] = seat
        return seat

    def _leased(self, key: str, lease: Lease) -> bool:
        """Whether an item is under just this lease: a page whose lease ran out has none, though its reviewer may."""
        return self._queue.state().leases.get(key) == lease

    def _still(self, seat: Seat) -> bool:
        return self._leased(seat.item.key, Lease(seat.reviewer, seat.ticket.until))

    def _renewed(self, seat: Seat) -> Seat:
        key = seat.item.key
        if not self._queue.renew(seat.reviewer, [key]):
            raise _gone(key)
        return replace(seat, ticket=replace(seat.ticket, until=self._queue.state().leases[key].until))

    def _give_back(self, seat: Seat) -> None:
        if self._still(seat):
            self._queue.release(seat.reviewer, [seat.item.key])
        self._seats.pop(seat.name, None)

    def _forget_old(self) -> None:
        decided = [name for name, seat in self._seats.items() if seat.verdict]
        for name in decided[:-_REMEMBERED]:
            del self._seats[name]


def _gone(key: str) -> ConflictError:
    rule = "an item must be held by who looks at it, and this page does not hold it any more"
    return ConflictError(rule, where=f"item {key!r}" if key else "", way_out="Take another item.")
