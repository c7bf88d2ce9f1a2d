"""A database is the service's own, whole and of this version, or it is refused with a lesson and left as it was."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.clock import ManualClock
from modelwright.errors import StoreError
from modelwright.records import Invocation
from modelwright.serve.state import AWS, State, accept, bucket_of, counts, measure, series
from modelwright.serve.state.schema import METADATA, VERSION

Address = str | Path


def opened(address: Address) -> State:
    return State.open(address, ManualClock())


def filled(address: Address, furnish, requests: int = 50) -> None:
    state = opened(address)
    furnish(state)
    for number in range(requests):
        state.submit(accept, Invocation("summarizer", f"{number}", "s3://bucket/in" * 20))
    state.close()


def engine(address: Address) -> sa.Engine:
    url = sa.make_url(address) if isinstance(address, str) else sa.URL.create("sqlite", database=str(address))
    return sa.create_engine(url.set(drivername="postgresql+pg8000") if isinstance(address, str) else url)


def refused(address: Address, match: str) -> None:
    with pytest.raises(StoreError, match=match):
        opened(address)
    with pytest.raises(StoreError, match=match):
        opened(address)  # it does not hold itself off


def test_what_was_written_is_there_when_it_is_opened_again(new_database: Callable[[], Address], furnish) -> None:
    address = new_database()
    filled(address, furnish)
    state = opened(address)
    assert state.read(counts) == {"summarizer": {"queued": 50}}
    assert state.server == 2
    state.close()


def test_a_newer_version_is_refused(new_database: Callable[[], Address], furnish) -> None:
    address = new_database()
    filled(address, furnish, 1)
    with engine(address).begin() as connection:
        connection.execute(sa.text("UPDATE about SET version = version + 1"))
    refused(address, f"version must be {VERSION} or older, but got {VERSION + 1}. Install a newer Modelwright")


def test_a_database_of_the_first_version_is_brought_up_to_date(
    new_database: Callable[[], Address], clock: ManualClock
) -> None:
    address, ago = new_database(), (0.0, 1e12)
    state = State.open(address, clock)
    state.submit(measure, "ModelLatency", "{}", 5.0).result()
    state.submit(measure, "ModelLatency", "{}", 7.0).result()
    state.close()
    with engine(address).begin() as connection:
        connection.execute(sa.text("ALTER TABLE metrics DROP COLUMN spread"))
        connection.execute(sa.text("UPDATE about SET version = 1"))
    for known in ((), ((bucket_of(3.0), 1.0),)):
        state = State.open(address, clock)
        found = state.read(series, AWS, "ModelLatency", "{}", ago, spread=True)
        assert [(one.count, one.spread) for one in found] == [(2.0 + len(known), known)]
        state.submit(measure, "ModelLatency", "{}", 3.0).result()
        state.close()


def test_another_programs_database_is_refused_and_left_as_it_was(new_database: Callable[[], Address]) -> None:
    address = new_database()
    foreign = engine(address)
    with foreign.begin() as connection:
        connection.execute(sa.text("CREATE TABLE requests (id INTEGER)"))
    before = address.read_bytes() if isinstance(address, Path) else b""
    refused(address, "another program's")
    assert sa.inspect(foreign).get_table_names() == ["requests"]
    assert isinstance(address, str) or address.read_bytes() == before


def test_both_databases_have_one_schema(new_database: Callable[[], Address], furnish) -> None:
    address = new_database()
    filled(address, furnish, 0)
    found = sa.inspect(engine(address))
    assert set(found.get_table_names()) - {"sqlite_sequence"} == METADATA.tables.keys()
    for name, table in METADATA.tables.items():
        assert {index["name"] for index in found.get_indexes(name)} >= {index.name for index in table.indexes}


@pytest.mark.parametrize("damage", ["no database", "page", "head"])
def test_a_damaged_file_is_refused_and_left_as_it_was(tmp_path: Path, furnish, damage: str) -> None:
    path = tmp_path / "serve.db"
    filled(path, furnish, 300)
    content = bytearray(path.read_bytes())
    if damage == "no database":
        content[:] = b"This is a letter to somebody else. " * 200
    elif damage == "head":
        content[:16] = bytes(16)
    else:
        middle = len(content) // 4096 // 2 * 4096
        content[middle : middle + 4096] = b"\x5a" * 4096
    path.write_bytes(content)
    refused(path, "no SQLite file" if damage != "page" else "damaged")
    assert path.read_bytes() == bytes(content)


def test_what_only_the_write_ahead_log_holds_is_there(tmp_path: Path, furnish) -> None:
    """As after a power cut: the file, and the log that was not yet copied into it."""
    state = opened(tmp_path / "serve.db")
    furnish(state)
    state.submit(accept, Invocation("summarizer", "a", "s3://bucket/in")).result()
    (tmp_path / "copy").mkdir()
    for part in ("serve.db", "serve.db-wal"):
        shutil.copy(tmp_path / part, tmp_path / "copy" / part)
    state.close()
    copy = opened(tmp_path / "copy" / "serve.db")
    assert copy.read(counts) == {"summarizer": {"queued": 1}}
    copy.close()


def test_sqlite_is_asked_for_all_that_a_power_cut_must_find(tmp_path: Path) -> None:
    state = opened(tmp_path / "serve.db")

    def pragmas(connection: sa.Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "cell_size_check")
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names)

    assert state.submit(lambda unit: pragmas(unit.connection)).result() == ("wal", 2, 1)
    state.close()
    assert not (tmp_path / "serve.db-wal").exists(), "after a clean end it is one whole file"


@pytest.mark.parametrize("place", ["missing/serve.db", "."])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(StoreError):
        opened(tmp_path / place)


def test_an_address_that_cannot_be_reached_is_refused(postgresql: str) -> None:
    refused("postgresql://postgres@127.0.0.1:1/nothing", "within reach")
    refused(f"{postgresql}/nothing", "must be there")
    refused("postgresql://nobody:secret@127.0.0.1:x/", "must be a URL")


def test_no_frequent_question_reads_a_whole_table(tmp_path: Path, furnish) -> None:
    """Each of them is answered from an index, however many finished requests are remembered."""
    path = tmp_path / "serve.db"
    filled(path, furnish, 1)
    asked: list[tuple[str, object]] = []
    state = opened(path)

    def note(conn, cursor, statement, parameters, context, executemany) -> None:
        asked.append((statement, parameters[0] if executemany else parameters))

    sa.event.listen(state._database.writing, "before_cursor_execute", note)
    sa.event.listen(state._database.reading, "before_cursor_execute", note)
    drive(state)
    state.close()
    link = sqlite3.connect(path)
    questions = {text: values for text, values in asked if text.startswith(("SELECT", "UPDATE", "DELETE"))}
    assert len(questions) > 15
    for text, values in questions.items():
        plan = [row[3] for row in link.execute(f"EXPLAIN QUERY PLAN {text}", values)]
        whole = [step for step in plan if step.startswith("SCAN") and "requests" in step and "INDEX" not in step]
        assert whole == [], text


def drive(state: State) -> None:
    """One request's way, and what the service does every second."""
    from modelwright.records import Answer
    from modelwright.serve.state import claim, clean_up, complete, due, reading, renew, requests, requests_named

    state.submit(accept, Invocation("summarizer", "new", "s3://bucket/in")).result()
    for lease in state.submit(claim, "one", "main", ["summarizer"], 2).result():
        state.submit(renew, ["one"]).result()
        state.submit(complete, lease.number, lease.token, Answer(200)).result()
    state.sweep().result()
    state.submit(due).result()
    state.submit(clean_up).result()
    state.read(reading, state.now(), "summarizer", "main")
    state.read(requests, "summarizer", ["failed"])
    state.read(requests, after=10)
    state.read(requests_named, "new")
