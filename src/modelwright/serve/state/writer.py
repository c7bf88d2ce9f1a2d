"""The one writer: a thread through which every change goes, many to a commit.

It takes all changes that wait, runs each behind a savepoint and commits once: group commit (DeWitt et al. 1984,
"Implementation techniques for main memory database systems"). So one wait for the disk acknowledges many changes, and
what is acknowledged is on the disk. A change that fails is undone alone. Where the database itself fails, all is
undone and each change is tried by itself; those that fail again are told so, and the writer goes on.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar, final

from sqlalchemy import Connection, Engine, exc

from modelwright.errors import BusyError, StoreError
from modelwright.serve.state.lessons import lesson, spoils_transaction
from modelwright.serve.state.unit import Change, Unit

T = TypeVar("T")


@final
@dataclass(frozen=True, eq=False)
class _Waiting:
    """A change, and who waits for it."""

    change: Change[Any]
    future: Future[Any]


@final
class Writer:
    """Runs changes one after another in a thread of its own, and commits many at once.

    Args:
        engine: of the one connection that changes the database.
        where: the database's file or address, for messages.
        unit: makes what a change is given, of the connection.
        settle: is called before each commit with a unit that holds all its counts, to write what belongs to it; what it
            returns is called once that is on the disk.
        limit: changes that may wait; more than those are held back, or refused.
        batch: changes to one commit at most.
    """

    def __init__(
        self,
        engine: Engine,
        where: str,
        unit: Callable[[Connection], Unit],
        settle: Callable[[Unit], Callable[[], None]],
        limit: int = 4096,
        batch: int = 512,
    ) -> None:
        self._engine = engine
        self._where = where
        self._unit = unit
        self._settle = settle
        self._limit = limit
        self._batch = batch
        self._open = True
        self._waiting: deque[_Waiting] = deque()
        self._at_hand: list[_Waiting] = []
        lock = threading.Lock()
        self._room = threading.Condition(lock)
        self._work = threading.Condition(lock)
        self._thread = threading.Thread(target=self._run, name="serve-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Change[T], patience_s: float | None = None) -> Future[T]:
        """Hand over a change.

        Args:
            change: what to do; its result is the future's.
            patience_s: how long to wait for a place among those that wait, seconds; None for as long as it takes. An
                event loop gives 0, and asks again later.

        Returns:
            Done once the change is on the disk. Its error is the change's own, or a StoreError: the database could not
            take it, and nothing of it was done.

        Raises:
            BusyError: there was no place in time.
            StoreError: the writer is closed.
        """
        waiting = _Waiting(change, Future())
        with self._room:
            if not self._room.wait_for(lambda: len(self._waiting) < self._limit or not self._open, patience_s):
                rule = f"no more than {self._limit} changes may wait to be written"
                raise BusyError(rule, where=self._where, way_out="Try again in a moment.")
            if not self._open:
                raise self._closed()
            self._waiting.append(waiting)
            self._work.notify()
        return waiting.future

    def close(self) -> None:
        """Take no more changes, do all that wait, and end the thread."""
        with self._room:
            self._open = False
            self._room.notify_all()
            self._work.notify_all()
        self._thread.join()

    def _closed(self) -> StoreError:
        return StoreError("the service must be running to take a change", where=self._where, way_out="Start it again.")

    def _run(self) -> None:
        try:
            while self._take():
                self._write()
        finally:  # however the thread ends, nobody is left waiting
            with self._room:
                self._open = False
                left = [*self._at_hand, *self._waiting]
                self._room.notify_all()
            for waiting in left:
                if not waiting.future.done():
                    waiting.future.set_exception(self._closed())

    def _take(self) -> bool:
        """Wait for changes, and take them to hand; none once the writer is closed and has done all."""
        with self._work:
            self._work.wait_for(lambda: self._waiting or not self._open)
            self._at_hand = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            self._room.notify(len(self._at_hand))
            return bool(self._at_hand)

    def _write(self) -> None:
        changes = [waiting for waiting in self._at_hand if waiting.future.set_running_or_notify_cancel()]
        if not changes or self._commit(changes, give_up=len(changes) == 1):
            return
        for waiting in changes:
            self._commit([waiting], give_up=True)

    def _commit(self, changes: list[_Waiting], *, give_up: bool) -> bool:
        """Do changes in one transaction, and tell who waits; false where the database failed and nobody was told."""
        try:
            results = self._do(changes)
        except Exception as failure:  # noqa: BLE001  # drivers raise what they like; whoever waits is told
            if give_up:
                changes[0].future.set_exception(self._told(failure))
            return give_up
        for waiting, result, error in results:
            if error is None:
                waiting.future.set_result(result)
            else:
                waiting.future.set_exception(error)
        return True

    def _do(self, changes: list[_Waiting]) -> list[tuple[_Waiting, Any, Exception | None]]:
        """The changes' results and errors, once they are committed.

        The savepoints go to the driver itself: there are two for every change, and SQLAlchemy's way costs a fifth of
        it.
        """
        results: list[tuple[_Waiting, Any, Exception | None]] = []
        with self._engine.connect() as connection, connection.begin():
            driver = connection.connection.cursor()
            whole = self._unit(connection)
            for waiting in changes:
                driver.execute("SAVEPOINT change")
                unit = whole.beside()
                try:
                    results.append((waiting, waiting.change(unit), None))
                    whole.tally.merge(unit.tally)
                except Exception as failure:
                    if spoils_transaction(failure):
                        raise
                    driver.execute("ROLLBACK TO SAVEPOINT change")
                    whole.memo.clear()
                    results.append((waiting, None, self._told(failure)))
                driver.execute("RELEASE SAVEPOINT change")
            settled = self._settle(whole)
            driver.close()
        settled()
        return results

    def _told(self, failure: Exception) -> Exception:
        """The failure as whoever waits is to see it."""
        of_database = isinstance(failure, exc.DBAPIError | self._engine.dialect.loaded_dbapi.Error | OSError)
        return lesson(failure, self._where) if of_database else failure
