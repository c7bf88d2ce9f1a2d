"""How the other servers know that one is alive: a lock that the system itself lets go when its process ends.

So a server that was killed is known as such at once, and nobody waits for its leases to run out.
"""

import contextlib
import fcntl
from abc import ABC, abstractmethod
from pathlib import Path
from typing import final

from sqlalchemy import Connection, Engine, exc, text

from modelwright.errors import StoreError

_ADVISORY = int.from_bytes(b"MWSV") & 0x7FFFFFFF
"""First half of the keys of PostgreSQL's advisory locks; the second one is the number of the server's run."""


class Presence(ABC):
    """A sign of life that outlives no process."""

    @abstractmethod
    def hold(self, server: int) -> bool:
        """Show that this run of a server is alive, from now until `release` or the end of the process.

        Returns:
            Whether that is so now; it is not while another server is about to take over what this one was at.
        """

    @abstractmethod
    def alive(self, connection: Connection, server: int) -> bool:
        """Whether another run is; if it is not, it cannot seem alive again before this transaction ends."""

    @abstractmethod
    def lost(self) -> bool:
        """Whether the sign was lost, so that others may have taken this one for dead."""

    @abstractmethod
    def release(self) -> None:
        """Take the sign back."""


@final
class FileLock(Presence):
    """For a file that one server has to itself.

    Args:
        path: the lock's own file, beside the database; it stays there.

    Raises:
        StoreError: another server has it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("ab")
        except OSError as failure:
            way_out = "Make the folder, change its permissions, or name another file."
            rule = f"the database and its folder must be there and writable ({failure.strerror})"
            raise StoreError(rule, where=str(path), way_out=way_out) from failure
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            self._file.close()
            way_out = "Stop the other one, name another folder, or let both share a PostgreSQL database."
            rule = "one server at a time may have a SQLite database, and another one has it"
            raise StoreError(rule, where=str(path), way_out=way_out) from failure

    def hold(self, server: int) -> bool:
        """Nothing more is needed than the lock."""
        return True

    def alive(self, connection: Connection, server: int) -> bool:
        """No other run can be."""
        return False

    def lost(self) -> bool:
        """A file's lock is not lost."""
        return False

    def release(self) -> None:
        """Let the next server in."""
        self._file.close()


@final
class AdvisoryLock(Presence):
    """For a PostgreSQL database that servers share: a lock of the session, which ends with its connection.

    Args:
        engine: where the connection comes from, which is kept for the lock alone.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None

    def hold(self, server: int) -> bool:
        """Take the lock of this run, on a connection of its own.

        It does not wait: who has the lock may itself wait for rows that this server's writer has changed.
        """
        self.release()
        self._connection = self._engine.connect()
        ask = text("SELECT pg_try_advisory_lock(:kind, :server)")
        if not self._connection.execute(ask, {"kind": _ADVISORY, "server": server}).scalar_one():
            self.release()
        return self._connection is not None

    def alive(self, connection: Connection, server: int) -> bool:
        """Whether somebody has that run's lock."""
        ask = text("SELECT pg_try_advisory_xact_lock(:kind, :server)")
        return not connection.execute(ask, {"kind": _ADVISORY, "server": server}).scalar_one()

    def lost(self) -> bool:
        """Whether the connection broke off."""
        if self._connection is None:
            return True
        try:
            self._connection.execute(text("SELECT 1"))
        except exc.DBAPIError:
            return True
        return False

    def release(self) -> None:
        """Let go of the lock, so that it is free when this returns, and close the connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(exc.SQLAlchemyError):  # it may be broken, and the lock free with it
                connection.execute(text("SELECT pg_advisory_unlock_all()"))
            connection.invalidate()  # closed and not given back to the pool, which would keep the session and its lock
            connection.close()
