"""Real faults: the process is killed, the disk is full or read-only, bytes of the file are overwritten or cut off."""

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.clock import ManualClock
from modelwright.errors import StoreError
from modelwright.store import Entry, Journal, Salvaged, salvage
from modelwright.store.connection import PAGE
from modelwright.store.journal import found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def body(number: int) -> bytes:
    return b'{"number": %d, "text": "%s"}' % (number, b"x" * (number * 37 % 900))


def grown(path: Path, entries: int) -> list[Entry]:
    """A journal of entries of many sizes; some overflow their page."""
    bodies = [body(number) if number % 10 else b'"%s"' % (b"y" * 5000) for number in range(1, entries + 1)]
    at = ManualClock().now().isoformat()
    found(path, [Entry(number, "entry", at, text) for number, text in enumerate(bodies, 1)], patience_s=1)
    return Journal.open(path).read()


def filled(journal: Journal) -> tuple[int, StoreError]:
    """Append until there is an error: how many entries were acknowledged before it."""
    acknowledged = 0
    while True:
        try:
            acknowledged = journal.append("entry", body(acknowledged + 1))
        except StoreError as error:
            return acknowledged, error


# --- killed -----------------------------------------------------------------------------------------------------------

APPEND = """
import os, sys
from pathlib import Path
from modelwright.store import Journal

journal = Journal.open(Path(sys.argv[1]))
while True:
    number = journal.append("entry", b'"%s"' % (b"x" * int(sys.argv[2])))
    os.write(1, b"%d\\n" % number)
"""


@pytest.mark.parametrize("size", [10, 3000, 30_000])
def test_what_was_acknowledged_survives_a_kill(path: Path, size: int) -> None:
    """Killed at a random moment, again and again: the acknowledged entries are there, in order, without a gap."""
    journal = Journal.create(path)
    acknowledged = 0
    draw = random.Random(size)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", APPEND, str(path), str(size)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(draw.randint(1, 30)):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, re.findall(r"(\d+)\n", process.stdout.read()))])
        process.wait()
        entries = journal.read()
        assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
        assert acknowledged <= len(entries) <= acknowledged + 1  # the last one may be there before it is acknowledged
        assert {len(entry.body) for entry in entries} == {size + 2}
    assert journal.append("after", b"1") == len(entries) + 1


def test_a_journal_is_one_file(path: Path, tmp_path: Path) -> None:
    entries = grown(path, 12)
    shutil.copyfile(path, tmp_path / "copy.db")
    assert Journal.open(tmp_path / "copy.db").read() == entries


# --- full, read-only --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A file system of its own; skips where this user may not mount one."""
    folder.mkdir(exist_ok=True)
    if not shutil.which("mount") or subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be written."""
    if not os.geteuid():  # no permission stops root
        with mounted(folder, "-o", "bind,ro", str(folder)):
            yield
        return
    for place in (*folder.iterdir(), folder):
        place.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def test_a_full_disk_loses_nothing_and_the_journal_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=256k", "tmpfs") as disk:
        journal = Journal.create(disk / "journal.db")
        (disk / "ballast").write_bytes(bytes(100_000))
        acknowledged, error = filled(journal)
        assert "must have room for one more entry. Nothing was appended" in str(error)
        assert acknowledged > 10
        assert [entry.body for entry in journal.read()] == [body(number) for number in range(1, acknowledged + 1)]
        with pytest.raises(StoreError, match="must have room"):
            journal.append("entry", b'"%s"' % (b"x" * 5000))
        (disk / "ballast").unlink()
        assert journal.append("entry", body(acknowledged + 1)) == acknowledged + 1
        assert len(journal.read()) == acknowledged + 1


def test_a_journal_that_finds_no_room_is_not_half_made(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=64k", "tmpfs") as disk:
        with contextlib.suppress(OSError):
            (disk / "ballast").write_bytes(bytes(100_000))
        with pytest.raises(StoreError, match="must have room"):
            Journal.create(disk / "journal.db")
        (disk / "ballast").unlink()
        assert Journal.create(disk / "journal.db").append("entry", b"1") == 1


def test_a_limit_on_the_size_of_files_loses_nothing(path: Path) -> None:
    journal = Journal.create(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        acknowledged, error = filled(journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "all that was there before is kept. Look for a quota" in str(error)
    assert acknowledged > 10
    assert [entry.body for entry in journal.read()] == [body(number) for number in range(1, acknowledged + 1)]
    assert journal.append("entry", body(acknowledged + 1)) == acknowledged + 1


def test_what_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    entries = grown(folder / "journal.db", 5)
    with read_only(folder):
        journal = Journal.open(folder / "journal.db")
        assert journal.read() == entries
        with pytest.raises(StoreError, match="must be writable for it to grow"):
            journal.append("entry", b"1")
        with pytest.raises(StoreError, match="must be writable"):
            Journal.create(folder / "another.db")
        with pytest.raises(StoreError, match="the file must be there"):
            Journal.open(folder / "another.db")


def test_a_process_that_was_stopped_in_an_append_is_waited_for_and_then_named(path: Path) -> None:
    Journal.create(path)
    link = sqlite3.connect(path, isolation_level=None)
    link.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="must let go of the file"):
        Journal(path, patience_s=0.01).append("entry", b"1")
    link.close()
    assert Journal(path, patience_s=0.01).append("entry", b"1") == 1


# --- damaged ----------------------------------------------------------------------------------------------------------


def overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


def tampered(path: Path, sql: str) -> None:
    link = sqlite3.connect(path, isolation_level=None)
    link.execute(sql)
    link.close()


@pytest.mark.parametrize(
    ("sql", "number", "what"),
    [
        ("UPDATE entries SET body = '{}' WHERE number = 7", 7, "is not what was written"),
        ("UPDATE entries SET at = '1999' WHERE number = 7", 7, "is not what was written"),
        ("UPDATE entries SET body = 7 WHERE number = 7", 7, "is not what was written"),
        ("DELETE FROM entries WHERE number = 7", 7, "is missing"),
        ("DELETE FROM entries WHERE number = 1", 1, "is missing"),
        ("UPDATE entries SET number = -number WHERE number > 7", 8, None),
    ],
)
def test_a_changed_entry_is_found_and_named(path: Path, sql: str, number: int, what: str | None) -> None:
    entries = grown(path, 12)
    tampered(path, sql)
    if what:
        with pytest.raises(StoreError, match=f"entry {number}: .*entry {number} {what}.*salvage"):
            Journal.open(path).read()
    else:  # what is cut off at the end is missed by whoever had read it
        assert Journal.open(path).read() == entries[: number - 1]
        with pytest.raises(StoreError, match="entry 12 was read before, and is missing"):
            Journal.open(path).read(after=12)


def test_an_entry_is_not_appended_to_a_damaged_one(path: Path) -> None:
    grown(path, 3)
    tampered(path, "UPDATE entries SET body = '{}' WHERE number = 3")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="entry 3 is not what was written"):
        Journal.open(path).append("entry", b"1")
    assert path.read_bytes() == before


def test_another_journal_in_its_place_is_found_by_who_had_read_the_first(path: Path, tmp_path: Path) -> None:
    journal = Journal.create(path)
    journal.append("entry", b"1")
    other = Journal.create(tmp_path / "other.db")
    for number in (2, 3):
        other.append("entry", b"%d" % number)
    link = sqlite3.connect(path, isolation_level=None)
    link.execute(f"ATTACH '{tmp_path / 'other.db'}' AS other")
    link.execute("INSERT INTO entries SELECT * FROM other.entries WHERE number = 2")
    link.close()
    with pytest.raises(StoreError, match="entry 2 does not follow the entry before it"):
        journal.read(after=1)


@pytest.fixture(scope="module")
def sound() -> Iterator[tuple[bytes, list[Entry]]]:
    """A journal's bytes, and its entries."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.db")
        entries = grown(path, 120)
        yield path.read_bytes(), entries


@settings(max_examples=60)
@given(data=st.data())
def test_damage_is_met_by_its_name_and_never_by_a_wrong_entry(
    sound: tuple[bytes, list[Entry]], data: st.DataObject
) -> None:
    """Bytes overwritten anywhere: reading gives the true entries or an error; the file stays as it is; a salvage gives
    true entries only, and all of them but for those in the pages that were hit."""
    whole, entries = sound
    place = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=2 * PAGE) | st.integers(1, 2 * PAGE).map(bytes))[
        : len(whole) - place
    ]
    spoilt = whole[:place] + noise + whole[place + len(noise) :]
    with tempfile.TemporaryDirectory() as folder:
        path, to = Path(folder, "journal.db"), Path(folder, "salvaged.db")
        path.write_bytes(spoilt)
        with contextlib.suppress(StoreError):
            assert Journal.open(path).read() == entries
        assert path.read_bytes() == spoilt
        result = salvage(path, to)
        assert path.read_bytes() == spoilt
        kept = [(entry.kind, entry.at, entry.body) for entry in Journal.open(to).read()]
        true = [(entry.kind, entry.at, entry.body) for entry in entries if entry.number not in result.lost]
        assert kept == true[: len(kept)]
        assert result.kept == len(kept)
        assert len(entries) - len(kept) <= 14 * 3  # at most three pages of rows, and what overflows into them


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_file_that_was_cut_off_gives_back_its_beginning(
    path: Path, tmp_path: Path, sound: tuple[bytes, list[Entry]], share: float
) -> None:
    whole, entries = sound
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(StoreError, match=r"is damaged .*salvage"):
        Journal.open(path).read()
    result = salvage(path, tmp_path / "salvaged.db")
    kept = Journal.open(tmp_path / "salvaged.db").read()
    assert {entry.body for entry in kept} <= {entry.body for entry in entries}
    assert result.kept == len(kept) >= len(entries) * share - 30


def test_a_file_without_its_first_two_pages_gives_back_all_entries(
    path: Path, tmp_path: Path, sound: tuple[bytes, list[Entry]]
) -> None:
    """The head, the schema and the root of the tree are gone; no row stood in them."""
    whole, entries = sound
    path.write_bytes(b"\xff" * 2 * PAGE + whole[2 * PAGE :])
    with pytest.raises(StoreError, match=r"no SQLite file.*salvage"):
        Journal.open(path)
    assert salvage(path, tmp_path / "salvaged.db") == Salvaged(len(entries), ())
    assert Journal.open(tmp_path / "salvaged.db").read() == entries


def crashed(folder: Path) -> list[Entry]:
    """Files as a power cut leaves them: the pages of a half-done append, and beside them those that they replaced."""
    path = folder.with_name("sound.db")
    entries = grown(path, 30)
    link = sqlite3.connect(path, isolation_level=None)
    link.execute("PRAGMA cache_size = 1")  # pages are written before the commit
    link.execute("BEGIN IMMEDIATE")
    link.execute("UPDATE entries SET body = 'half-done' || body")
    folder.mkdir()
    shutil.copyfile(path, folder / "journal.db")
    shutil.copyfile(f"{path}-journal", folder / "journal.db-journal")
    link.close()
    return entries


def test_an_append_that_was_cut_short_is_undone_in_a_salvage_and_by_who_reads(tmp_path: Path) -> None:
    folder = tmp_path / "crashed"
    entries = crashed(folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert salvage(folder / "journal.db", tmp_path / "salvaged.db") == Salvaged(30, ())
    assert Journal.open(tmp_path / "salvaged.db").read() == entries
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert Journal.open(folder / "journal.db").read() == entries


def test_an_append_that_was_cut_short_cannot_be_undone_where_nothing_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "crashed"
    crashed(folder)
    with read_only(folder), pytest.raises(StoreError, match="or to undo an append that was cut short"):
        Journal.open(folder / "journal.db")


def test_a_salvage_makes_nothing_of_nothing(path: Path, tmp_path: Path) -> None:
    path.write_text("a letter to a friend" * 1000)
    for source in (path, tmp_path / "nowhere"):
        with pytest.raises(StoreError):
            salvage(source, tmp_path / "salvaged.db")
    assert not (tmp_path / "salvaged.db").exists()
    entries = grown(tmp_path / "sound.db", 2)
    with pytest.raises(StoreError, match="needs a new file"):
        salvage(tmp_path / "sound.db", tmp_path / "sound.db")
    assert Journal.open(tmp_path / "sound.db").read() == entries
