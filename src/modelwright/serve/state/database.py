"""The database: a SQLite file that one server has to itself, or a PostgreSQL database that several share.

SQLite runs with a write-ahead log and `synchronous=FULL`: what was committed survives a power cut, and readers wait for
nobody. SQLite up to 3.51.2 can damage such a file where two connections write or checkpoint at the same moment
(https://sqlite.org/wal.html, "the WAL-reset bug"). Here one connection does both; the readers can do neither, and are
closed before it.
"""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event, exc

from modelwright.errors import StoreError
from modelwright.serve.state.lessons import RESTORE, lesson
from modelwright.serve.state.presence import AdvisoryLock, FileLock, Presence
from modelwright.serve.state.schema import ABOUT, APPLICATION, METADATA, METRICS, VERSION

_READERS = 8
"""Connections that are kept open for readers; more are opened as they are needed."""


@final
@dataclass(frozen=True)
class Database:
    """An open database.

    Attributes:
        where: its file or address, without a password, for messages.
        writing: engine of the one connection that changes it.
        reading: engine of connections that cannot.
        presence: this server's sign of life.
    """

    where: str
    writing: Engine
    reading: Engine
    presence: Presence

    @classmethod
    def open(cls, address: str | Path) -> "Database":
        """Open the database at an address, and make its tables if it is empty.

        Args:
            address: a file's path, or postgresql://user:password@host:port/name.

        Raises:
            StoreError: another server has the file; it is damaged, of another program or of a newer version; or it
                cannot be reached or written.
        """
        shared = isinstance(address, str) and address.startswith("postgresql")
        opened = _postgresql(str(address)) if shared else _sqlite(Path(address))
        try:
            with opened.writing.begin() as connection:
                _check(connection, opened.where)
            if not shared:  # only now that it is known to be no other program's; the file remembers
                with contextlib.closing(opened.writing.raw_connection()) as link:
                    link.cursor().execute("PRAGMA journal_mode = WAL")
        except (exc.DBAPIError, sqlite3.Error) as failure:
            opened.close()
            raise lesson(failure, opened.where) from failure
        except BaseException:
            opened.close()
            raise
        return opened

    def close(self) -> None:
        """Close all connections, the readers' first, and let other servers in."""
        self.reading.dispose()
        self.writing.dispose()
        self.presence.release()


def _sqlite(path: Path) -> Database:
    if path.is_dir():
        raise StoreError(
            "the database must be a file, and this is a folder", where=str(path), way_out="Name a file in it."
        )
    presence = FileLock(path.with_name(f"{path.name}.lock"))
    url = sa.URL.create("sqlite", database=str(path.absolute()))
    sharing = {"check_same_thread": False}  # the pool hands a connection to one thread at a time
    writing = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=1, max_overflow=0, connect_args=sharing)
    reading = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=_READERS, max_overflow=-1, connect_args=sharing)

    @event.listens_for(writing, "connect")
    def write(link: sqlite3.Connection, _: object) -> None:
        link.isolation_level = None  # transactions begin below, in so many words, and not when the driver thinks fit
        link.execute("PRAGMA cell_size_check = ON")
        link.execute("PRAGMA synchronous = FULL")
        link.execute("PRAGMA fullfsync = ON")  # macOS only: through the drive's cache

    @event.listens_for(writing, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(reading, "connect")
    def read(link: sqlite3.Connection, _: object) -> None:
        link.isolation_level = None
        link.execute("PRAGMA query_only = ON")
        link.execute("PRAGMA wal_autocheckpoint = 0")

    @event.listens_for(reading, "begin")
    def look(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # all that one block reads is of one moment

    return Database(str(path), writing, reading, presence)


def _postgresql(address: str) -> Database:
    try:
        url = sa.make_url(address).set(drivername="postgresql+pg8000")
    except (exc.ArgumentError, ValueError) as failure:
        way_out = "For example postgresql://user:password@host:5432/name."
        raise StoreError("the address of a database must be a URL", value=address, way_out=way_out) from failure
    options: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {"application_name": APPLICATION}}
    writing = sa.create_engine(url, pool_size=2, max_overflow=0, **options)  # the second one holds the sign of life
    reading = sa.create_engine(url, pool_size=_READERS, max_overflow=-1, isolation_level="REPEATABLE READ", **options)

    @event.listens_for(reading, "begin")
    def look(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    where = url.set(drivername="postgresql").render_as_string(hide_password=True)
    return Database(where, writing, reading, AdvisoryLock(writing))


def _check(connection: Connection, where: str) -> None:
    """Make the tables in an empty database, bring older ones up to date, refuse what is damaged, newer or not ours.

    Raises:
        StoreError: so it is.
    """
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise StoreError(f"the file must be whole, and is damaged ({found})", where=where, way_out=RESTORE)
    else:  # two servers that start on an empty database take turns
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": int.from_bytes(b"MWSVMAKE")})
    there = set(sa.inspect(connection).get_table_names())
    if ABOUT.name not in there and not there & METADATA.tables.keys() and not (sqlite and there):
        METADATA.create_all(connection)
        connection.execute(ABOUT.insert().values(application=APPLICATION, version=VERSION))
        return
    way_out = "Nothing was changed. Name another file or database."
    ask = sa.select(ABOUT.c.version).where(ABOUT.c.application == APPLICATION)
    versions = connection.execute(ask).scalars().all() if ABOUT.name in there else []
    if len(versions) != 1:
        raise StoreError(
            "the database must be the service's own, and is another program's", where=where, way_out=way_out
        )
    if versions[0] == 1:  # values had no spread then
        blob = "BLOB" if sqlite else "BYTEA"
        connection.exec_driver_sql(f"ALTER TABLE {METRICS.name} ADD COLUMN spread {blob} NOT NULL DEFAULT ''")
        connection.execute(ABOUT.update().values(version=VERSION))
    elif versions[0] > VERSION:
        rule = f"the database's version must be {VERSION} or older"
        raise StoreError(rule, where=where, value=versions[0], way_out="Install a newer Modelwright.")
