"""What can still be read of a damaged journal, as a new journal."""

import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from modelwright.errors import StoreError
from modelwright.store.entry import Entry, entry_of, intact
from modelwright.store.journal import found
from modelwright.store.pages import rows

_PATIENCE_S = 60.0


@final
@dataclass(frozen=True)
class Salvaged:
    """What came of a salvage.

    Attributes:
        kept: how many entries the new journal holds.
        lost: numbers, in the old journal, of those between that could not be read. Whether any followed the last one
            that was kept, the file does not tell.
    """

    kept: int
    lost: tuple[int, ...]


def salvage(path: Path, to: Path) -> Salvaged:
    """Copy each entry that can still be read, before the damage and behind it, to a new journal.

    An entry counts as read if it fits its own seal. The new journal numbers its entries from 1 again, without gaps;
    their kinds, times and bodies are the old ones. The old file is only read; no process should be appending to it.

    Raises:
        StoreError: the old file cannot be read, holds no entry that can be, or the new one exists or cannot be written.
    """
    kept: dict[int, Entry] = {}
    try:
        for data in (path.read_bytes(), _rolled_back(path)):
            kept |= {row[0]: entry_of(row) for row in rows(data) if intact(row)}
    except OSError as failure:
        raise StoreError(f"the damaged journal must be readable ({failure.strerror})", where=str(path)) from failure
    if not kept:
        rule = "at least one entry must be readable, and none is"
        raise StoreError(rule, where=str(path), way_out="Look for a copy of the file.")
    numbers = sorted(kept)
    found(to, (replace(kept[number], number=place) for place, number in enumerate(numbers, 1)), _PATIENCE_S)
    return Salvaged(len(numbers), tuple(sorted(set(range(1, numbers[-1])) - kept.keys())))


def _rolled_back(path: Path) -> bytes:
    """The file as SQLite would restore it where a process died half-way through an append: done to a copy."""
    beside = path.with_name(f"{path.name}-journal")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        shutil.copyfile(path, copy)
        if beside.exists():
            shutil.copyfile(beside, copy.with_name(beside.name))
        with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as link:
            link.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return copy.read_bytes()
