"""A connection to a journal's SQLite file, for one operation; what SQLite refuses becomes a lesson.

One connection an operation keeps nothing open in between: a journal may be used again after a fork, after the disk was
full, or after its file was moved away and put back.

The file is kept with a rollback journal and not with a write-ahead log. Between two operations it is then one whole
file (the one beside it is empty), which can be copied, and can be read where nothing can be written; a write-ahead
log leaves what a killed process had committed in a second file. SQLite up to 3.51.2 can also damage a file with a
write-ahead log that several processes share (https://sqlite.org/wal.html, "the WAL-reset bug").
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelwright.errors import StoreError

APPLICATION = int.from_bytes(b"MWJL")
"""SQLite's `application_id` of a journal: it tells a journal from the files of other programs."""

VERSION = 1
"""SQLite's `user_version` of a journal: the version of what stands in it."""

PAGE = 4096
"""Bytes a page of a journal's file, fixed when it is made."""

SALVAGE = "Nothing was changed. modelwright.store.salvage(path, to) copies all that can still be read to a new journal."
KEPT = "Nothing was appended, and all that was there before is kept."


@contextmanager
def connection(path: Path, patience_s: float, *, create: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that commits only what is committed in so many words, and is closed behind the block.

    Args:
        path: the file.
        patience_s: how long to wait for another process that holds the file, seconds.
        create: make the file; one that is there must be empty.

    Raises:
        StoreError: the file cannot be opened, is no journal (or not empty), or SQLite fails in the block.
    """
    if not create and path.parent.is_dir() and not path.exists():
        way_out = "Correct the path, or create the journal."
        raise StoreError("the file must be there", where=str(path), way_out=way_out)
    mode = "rwc" if create else "rw"
    try:
        link = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", patience_s, isolation_level=None, uri=True)
    except sqlite3.Error as failure:
        raise lesson(path, failure) from failure
    try:
        link.text_factory = bytes  # damage must not become an error of decoding
        link.execute("PRAGMA cell_size_check = ON")
        check_empty(link, path) if create else _check_version(link, path)  # before anything could change it
        link.execute("PRAGMA journal_mode = TRUNCATE")
        link.execute("PRAGMA synchronous = EXTRA")
        link.execute("PRAGMA fullfsync = ON")  # macOS only: through the drive's cache
        yield link
    except sqlite3.Error as failure:
        raise lesson(path, failure) from failure
    finally:
        link.close()


def lesson(path: Path, failure: sqlite3.Error, place: str = "") -> StoreError:
    """What SQLite's refusal means, and what to do.

    Args:
        path: the journal's file.
        failure: SQLite's own error.
        place: where in the journal, such as "after entry 12".
    """
    where = f"{path}, {place}" if place else str(path)
    code = getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the rest tells finer kinds apart
    if code == sqlite3.SQLITE_FULL:
        return StoreError(
            "the disk must have room for one more entry", where=where, way_out=f"{KEPT} Make room, go on."
        )
    if code == sqlite3.SQLITE_IOERR:
        way_out = f"{KEPT} Look for a quota, a limit on the size of files (ulimit -f) or a failing disk."
        return StoreError(f"the disk must let the file be read and written ({failure})", where=where, way_out=way_out)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        way_out = f"{KEPT} Look for a process that was stopped while it had the file open, then try again."
        return StoreError("other processes must let go of the file in time", where=where, way_out=way_out)
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return _closed(path, where)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError("the file must be a journal, and is no SQLite file", where=where, way_out=SALVAGE)
    return StoreError(f"the file must be whole, and is damaged ({failure})", where=where, way_out=SALVAGE)


def check_empty(link: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that holds something, for a new journal.

    Raises:
        StoreError: so it does.
    """
    try:
        empty = link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    except sqlite3.DatabaseError as failure:
        if getattr(failure, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
            raise
        empty = False
    if not empty:
        way_out = "Nothing was changed. Open it if it is a journal, or name another file."
        raise StoreError("a new journal needs a new file, and there is one already", where=str(path), way_out=way_out)


def _closed(path: Path, where: str) -> StoreError:
    """Why a file could not be opened or written."""
    if path.is_dir():
        return StoreError("a journal must be a file, and this is a folder", where=where, way_out="Name a file in it.")
    if not path.parent.is_dir():
        return StoreError("the folder of a journal must exist", where=where, way_out="Make it, or correct the path.")
    way_out = f"{KEPT} Change their permissions, or go on with a copy in a folder of yours."
    rule = "a journal and its folder must be writable for it to grow, or to undo an append that was cut short"
    return StoreError(rule, where=where, way_out=way_out)


def _check_version(link: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no journal, or one that is newer than this program.

    Raises:
        StoreError: so it is.
    """
    application, version = (link.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if application != APPLICATION:
        if not path.stat().st_size:
            raise StoreError("the file must be a journal, and is empty", where=str(path), way_out="Create the journal.")
        rule = "the file must be a journal, and is another program's SQLite file, or its head is damaged"
        raise StoreError(rule, where=str(path), way_out=SALVAGE)
    if version > VERSION:
        rule = f"a journal's version must be {VERSION} or older"
        raise StoreError(rule, where=str(path), value=version, way_out="Install a newer Modelwright.")
