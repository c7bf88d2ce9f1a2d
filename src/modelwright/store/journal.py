"""A log that only grows, in one file that many processes share. All state is a fold of what it holds."""

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import msgspec

from modelwright.clock import Clock, SystemClock
from modelwright.errors import ConflictError, RecordError, SettingError, StoreError
from modelwright.records import to_json
from modelwright.store.connection import APPLICATION, PAGE, SALVAGE, VERSION, check_empty, connection, lesson
from modelwright.store.entry import FIRST, Entry, Row, entry_of, intact, sealed

_COLUMNS = "number, kind, at, body, previous, seal"


@final
@dataclass(frozen=True)
class Journal:
    """An append-only log in one SQLite file.

    It has two methods, `append` and `read`. What `append` has returned for is on the disk, and stays there when the
    process is killed or the power fails. Nothing is kept open in between, so a journal may be handed to other processes
    and threads, and used again after an error.

    Attributes:
        path: the file.
        clock: dates the entries.
        patience_s: how long an operation waits for the processes that are before it, seconds.
    """

    path: Path
    clock: Clock = field(default_factory=SystemClock)
    patience_s: float = 60.0

    @classmethod
    def create(cls, path: Path, clock: Clock | None = None) -> "Journal":
        """A new journal in a new file.

        Raises:
            StoreError: something is there already, or nothing can be written there.
        """
        journal = cls(path, clock or SystemClock())
        found(path, (), journal.patience_s)
        return journal

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None) -> "Journal":
        """The journal in a file that is there. The file may be read-only, until one appends.

        Raises:
            StoreError: there is no file, or it is no journal that this program can read.
        """
        journal = cls(path, clock or SystemClock())
        with connection(path, journal.patience_s):
            return journal

    def append(self, kind: str, record: msgspec.Struct | bytes, *, after: int | None = None) -> int:
        """Add one entry at the end, and return its number once it is safe on the disk.

        Args:
            kind: what the record is, in one word.
            record: a struct, or a JSON text.
            after: add it only if this is still the number of the last entry (0: the journal is empty), so that what was
                decided on what had been read is not written over the head of another process.

        Raises:
            ConflictError: `after` is not the last entry's number any more.
            StoreError: it could not be written (no room, no permission), or the file is damaged. Nothing was appended.
            SettingError: the kind is no word.
            RecordError: the bytes are not JSON.
        """
        if not re.fullmatch(r"[\w.-]+", kind):
            raise SettingError("an entry's kind must be one word", value=kind)
        body = _json(record)
        with connection(self.path, self.patience_s) as link:
            link.execute("BEGIN IMMEDIATE")
            number, seal = self._end(link)
            if after is not None and after != number:
                rule = "no other process may have appended since the journal was read"
                raise ConflictError(rule, where=f"{self.path}, entry {number}", way_out="Read it and decide again.")
            entry = Entry(number + 1, kind, self.clock.now().isoformat(), body)
            _insert(link, sealed(entry, seal))
            link.execute("COMMIT")
        return entry.number

    def read(self, after: int = 0) -> list[Entry]:
        """All entries that follow the one of that number, in order; each is checked against its seal.

        Raises:
            StoreError: the file is damaged or cannot be read, or lacks the entry that was named; the error names the
                entry.
        """
        entries: list[Entry] = []
        number, seal = max(after - 1, 0), FIRST if after <= 1 else None
        with connection(self.path, self.patience_s) as link:
            try:
                for row in link.execute(f"SELECT {_COLUMNS} FROM entries WHERE number > ? ORDER BY number", (number,)):
                    if row[0] != number + 1:
                        raise self._damaged(number + 1, "is missing")
                    number, seal = number + 1, self._checked(row, seal)
                    if number > after:
                        entries.append(entry_of(row))
            except sqlite3.Error as failure:
                raise lesson(self.path, failure, f"after entry {number}") from failure
        if number < after:
            raise self._damaged(after, "was read before, and is missing")
        return entries

    def _end(self, link: sqlite3.Connection) -> tuple[int, bytes]:
        """The last entry's number and seal."""
        row = link.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        return (row[0], self._checked(row, None)) if row else (0, FIRST)

    def _checked(self, row: Row, previous: bytes | None) -> bytes:
        """The seal of a row that is as it was written and follows the one with that seal (None: not known)."""
        if not intact(row):
            raise self._damaged(row[0], "is not what was written")
        if previous is not None and row[4] != previous:
            raise self._damaged(row[0], "does not follow the entry before it")
        return row[5]

    def _damaged(self, number: int, what: str) -> StoreError:
        rule = f"the file must be whole, and is damaged: entry {number} {what}"
        return StoreError(rule, where=f"{self.path}, entry {number}", way_out=SALVAGE)


def found(path: Path, entries: Iterable[Entry], patience_s: float) -> None:
    """Make a journal that begins with these entries, whole or not at all.

    Raises:
        StoreError: something is there already, or nothing can be written there.
    """
    with connection(path, patience_s, create=True) as link:
        link.execute(f"PRAGMA page_size = {PAGE}")
        link.execute("BEGIN EXCLUSIVE")
        check_empty(link, path)  # another process may have been faster
        link.execute(f"PRAGMA application_id = {APPLICATION}")
        link.execute(f"PRAGMA user_version = {VERSION}")
        columns = "kind TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, previous BLOB NOT NULL, seal BLOB NOT NULL"
        link.execute(f"CREATE TABLE entries (number INTEGER PRIMARY KEY, {columns})")
        seal = FIRST
        for entry in entries:
            row = sealed(entry, seal)
            _insert(link, row)
            seal = row[5]
        link.execute("COMMIT")


def _insert(link: sqlite3.Connection, row: Row) -> None:
    """Add a row; its texts are stored as texts, so that any SQLite shell shows them."""
    number, kind, at, body, previous, seal = row
    texts = (kind.decode(), at.decode(), body.decode())
    link.execute(f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", (number, *texts, previous, seal))


def _json(record: msgspec.Struct | bytes) -> bytes:
    """The record as JSON.

    Raises:
        RecordError: the bytes are not JSON.
    """
    if not isinstance(record, bytes):
        return to_json(record)
    try:
        record.decode()
        msgspec.json.decode(record)
    except (UnicodeDecodeError, msgspec.DecodeError) as failure:
        raise RecordError(f"an entry's bytes must be JSON ({failure})", value=record[:80]) from failure
    return record
