"""The state's driver: one database, one writer, one line of time; and the two ways in, to change and to read."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from random import Random
from typing import Concatenate, ParamSpec, TypeVar, final

from sqlalchemy import Connection, exc

from modelwright.clock import Clock, SystemClock
from modelwright.errors import StoreError
from modelwright.serve.state import metrics, servers
from modelwright.serve.state.database import Database
from modelwright.serve.state.lessons import lesson
from modelwright.serve.state.sweeping import Swept, sweep, take_over
from modelwright.serve.state.tally import Counted, Total
from modelwright.serve.state.timeline import Moment, Timeline
from modelwright.serve.state.unit import Unit
from modelwright.serve.state.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")

_TOUCH_S = 1.0
"""How often the time is written down at most, seconds."""


@final
class State:
    """All that a server knows and never loses.

    What `submit`'s future has returned for is on the disk and stays there, when the process is killed or the power
    fails. Threads may share one of these.

    Args:
        database: where all is kept.
        clock: tells the time.
        seed: of the waits that are drawn; servers that share a database take different ones.
        limit: changes that may wait to be written.
    """

    def __init__(self, database: Database, clock: Clock, seed: int = 0, limit: int = 4096) -> None:
        self._database = database
        self._random = Random(seed)
        self._touched = float("-inf")
        self._counted = Counted((metrics.AWS, metrics.OURS))
        with self._lessons(), database.writing.begin() as connection:
            self._timeline = Timeline.after(servers.last_moment(connection), clock)
            self.server = servers.register(connection, self._timeline.now())
            database.presence.hold(self.server)  # before others can see that this run is there
        self._writer = Writer(database.writing, database.where, self._unit, self._settle, limit)

    @classmethod
    def open(cls, address: str | Path, clock: Clock | None = None, seed: int = 0, limit: int = 4096) -> "State":
        """The state in a database, which is made if there is none; what ended servers were at goes on at once.

        Args:
            address: a SQLite file's path, or postgresql://user:password@host:port/name.
            clock: the machine's own if None.
            seed: of the waits that are drawn.
            limit: changes that may wait to be written.

        Raises:
            StoreError: another server has the file; it is damaged, of another program or of a newer version; or it
                cannot be reached or written.
        """
        database = Database.open(address)
        try:
            state = cls(database, clock or SystemClock(), seed, limit)
        except BaseException:
            database.close()
            raise
        try:
            state.submit(take_over, state._alive).result()
        except BaseException:
            state.close()
            raise
        return state

    @property
    def where(self) -> str:
        """The database's file or address."""
        return self._database.where

    def now(self) -> Moment:
        """The present moment."""
        return self._timeline.now()

    def totals(self) -> list[Total]:
        """All that this run of the server has counted by itself."""
        return self._counted.totals()

    def submit(self, change: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a change made, such as `submit(complete, number, token, answer)`; its result is on the disk.

        Waits for a place where too many changes wait already; an event loop takes `offer`.

        Raises:
            StoreError: the state is closed.
        """
        return self._writer.submit(lambda unit: change(unit, *args, **kwargs))

    def offer(self, change: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same, without any waiting here.

        Raises:
            BusyError: too many changes wait already.
            StoreError: the state is closed.
        """
        return self._writer.submit(lambda unit: change(unit, *args, **kwargs), patience_s=0.0)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees all as it was at one moment, and can change nothing.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._lessons(), self._database.reading.begin() as connection:
            yield connection

    def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer to one question, such as `read(requests, "summarizer")`.

        Raises:
            StoreError: the database cannot be read.
        """
        with self.reading() as connection:
            return query(connection, *args, **kwargs)

    def sweep(self, limit: int = 500) -> Future[tuple[Swept, list[int]]]:
        """End what has run out of time, and go on with what ended servers were at; to be called about once a second.

        Returns:
            What was found, and the numbers of the requests that were taken over.
        """

        def sweeping(unit: Unit) -> tuple[Swept, list[int]]:
            if self._database.presence.lost() and self._database.presence.hold(self.server):
                servers.resume(unit)
            return sweep(unit, limit), take_over(unit, self._alive)

        return self.submit(sweeping)

    def close(self) -> None:
        """Make all changes that wait, write down what time it is, and let other servers in.

        What this server's instances are at is taken over by the next one; whoever closes drains them first.
        """
        with contextlib.suppress(StoreError):  # it is closed already
            self.submit(servers.touch)
        self._writer.close()
        self._database.close()

    def _alive(self, unit: Unit, server: int) -> bool:
        return self._database.presence.alive(unit.connection, server)

    def _unit(self, connection: Connection) -> Unit:
        return Unit(connection, self._timeline.now(), self.server, self._random)

    def _settle(self, unit: Unit) -> Callable[[], None]:
        """Write down what belongs to every commit: what was counted, and now and then the time."""
        metrics.write(unit, self._counted)
        if unit.t >= self._touched + _TOUCH_S:
            servers.touch(unit)
            self._touched = unit.t
        return lambda: self._counted.keep(unit.tally, unit.at)

    @contextlib.contextmanager
    def _lessons(self) -> Iterator[None]:
        """What the database refuses becomes a lesson."""
        try:
            yield
        except exc.DBAPIError as failure:
            raise lesson(failure, self._database.where) from failure
