"""The journal: what was appended comes back, in order and unchanged, whoever appends, whatever happens in between."""

import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from modelwright.clock import ManualClock
from modelwright.errors import ConflictError, RecordError, SettingError, StoreError
from modelwright.records import Choice, from_json
from modelwright.store import Entry, Journal

KINDS = st.from_regex(r"[\w.-]+", fullmatch=True)
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
).map(lambda value: json.dumps(value).encode()) | st.integers(0, 20_000).map(lambda n: b'"%s"' % (b"x" * n))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


class AJournalIsAListThatGrows(RuleBasedStateMachine):
    """Two that hold the same file, with reopening in between, against a list."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.path = Path(self.folder.name, "journal.db")
        self.journals = [Journal.create(self.path, self.clock), Journal.open(self.path, self.clock)]
        self.model: list[Entry] = []

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(who=st.integers(0, 1), kind=KINDS, body=BODIES, seconds=st.floats(0, 1e6))
    def append(self, who: int, kind: str, body: bytes, seconds: float) -> None:
        self.clock.advance(seconds)
        number = self.journals[who].append(kind, body)
        assert number == len(self.model) + 1
        self.model.append(Entry(number, kind, self.clock.now().isoformat(), body))

    @rule(who=st.integers(0, 1), seen=st.integers(0, 30), body=BODIES)
    def append_after_what_was_seen(self, who: int, seen: int, body: bytes) -> None:
        if seen == len(self.model):
            number = self.journals[who].append("seen", body, after=seen)
            self.model.append(Entry(number, "seen", self.clock.now().isoformat(), body))
        else:
            with pytest.raises(ConflictError, match="no other process"):
                self.journals[who].append("seen", body, after=seen)

    @rule(who=st.integers(0, 1))
    def reopen(self, who: int) -> None:
        self.journals[who] = Journal.open(self.path, self.clock)

    @rule(who=st.integers(0, 1), data=st.data())
    def read_what_is_new(self, who: int, data: st.DataObject) -> None:
        seen = data.draw(st.integers(0, len(self.model)))
        assert self.journals[who].read(after=seen) == self.model[seen:]

    @invariant()
    def all_is_there(self) -> None:
        assert self.journals[0].read() == self.journals[1].read() == self.model


AJournalIsAListThatGrows.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestAJournalIsAListThatGrows = AJournalIsAListThatGrows.TestCase


# --- what an entry is -------------------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_went_in(path: Path) -> None:
    choice = Choice("stages.0.kernel", (3, 5), {"stages.0.fused": (True,)})
    Journal.create(path).append("choice", choice)
    [entry] = Journal.open(path).read()
    assert from_json(entry.body, Choice) == choice


@pytest.mark.parametrize("body", [b"", b"{", b"'single'", b"nan", b"\xff"])
def test_bytes_that_are_not_json_are_refused(path: Path, body: bytes) -> None:
    journal = Journal.create(path)
    with pytest.raises(RecordError, match="must be JSON"):
        journal.append("body", body)
    assert journal.read() == []


@given(kind=st.text().filter(lambda text: not text or any(not (c.isalnum() or c in "_.-") for c in text)))
def test_a_kind_that_is_no_word_is_refused(kind: str) -> None:
    with pytest.raises(SettingError, match="one word"):
        Journal(Path("nowhere")).append(kind, b"{}")


def test_any_sqlite_shell_can_ask_the_entries_json(path: Path) -> None:
    journal = Journal.create(path)
    for accuracy in (0.5, 0.75):
        journal.append("trial", json.dumps({"accuracy": accuracy}).encode())
    with sqlite3.connect(path) as link:
        assert link.execute("SELECT max(json_extract(body, '$.accuracy')) FROM entries").fetchone() == (0.75,)
    link.close()


# --- several processes ------------------------------------------------------------------------------------------------

INCREMENT = """
import json, sys
from pathlib import Path
from modelwright.errors import ConflictError
from modelwright.store import Journal

journal = Journal.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    while True:
        entries = journal.read()
        total = json.loads(entries[-1].body) if entries else 0
        try:
            journal.append("total", b"%d" % (total + 1), after=len(entries))
            break
        except ConflictError:
            continue
"""


def test_four_processes_that_count_together_lose_no_count(path: Path) -> None:
    """Read, add one, write: without `after=`, some would write the same sum."""
    journal = Journal.create(path)
    counters = [
        subprocess.Popen(
            [sys.executable, "-c", INCREMENT, str(path), "15"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for counter in counters:
        assert counter.stdout is not None
        assert counter.stdout.readline() == "ready\n"
    for counter in counters:  # all at once
        assert counter.stdin is not None
        counter.stdin.write("go\n")
        counter.stdin.flush()
    assert [counter.communicate() and counter.returncode for counter in counters] == [0] * 4
    assert [json.loads(entry.body) for entry in journal.read()] == list(range(1, 61))


# --- what is no journal -----------------------------------------------------------------------------------------------


def test_a_new_journal_leaves_alone_what_is_there(path: Path) -> None:
    Journal.create(path).append("kept", b"1")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="needs a new file"):
        Journal.create(path)
    assert path.read_bytes() == before
    path.write_text("a letter to a friend, longer than the head of a database" * 20)
    with pytest.raises(StoreError, match="needs a new file"):
        Journal.create(path)
    assert path.read_text().startswith("a letter")


def test_another_programs_file_is_refused_and_left_alone(path: Path) -> None:
    link = sqlite3.connect(path)
    link.execute("PRAGMA journal_mode = WAL")
    link.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY, kind, at, body, previous, seal)")
    link.commit()
    link.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program's"):
        Journal.open(path)
    with pytest.raises(StoreError, match="another program's"):
        Journal(path).append("kind", b"{}")
    assert path.read_bytes() == before


def test_a_journal_from_the_future_is_refused(path: Path) -> None:
    Journal.create(path)
    link = sqlite3.connect(path)
    link.execute("PRAGMA user_version = 2")
    link.close()
    with pytest.raises(StoreError, match=r"version must be 1 or older, but got 2\. Install a newer"):
        Journal.open(path)


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="and this is a folder"):
        Journal.open(tmp_path)
    with pytest.raises(StoreError, match="the file must be there"):
        Journal.open(tmp_path / "journal.db")
    for make in (Journal.open, Journal.create):
        with pytest.raises(StoreError, match="the folder of a journal must exist"):
            make(tmp_path / "nowhere" / "journal.db")
    (tmp_path / "text").write_text("a letter")
    with pytest.raises(StoreError, match="no SQLite file"):
        Journal.open(tmp_path / "text")
    (tmp_path / "empty").touch()
    with pytest.raises(StoreError, match="and is empty"):
        Journal.open(tmp_path / "empty")


def test_a_creation_that_was_cut_short_can_be_repeated(path: Path) -> None:
    path.touch()
    assert Journal.create(path).append("first", b"1") == 1


@pytest.mark.parametrize("name", ["a b.db", "what?.db", "100%.db", "#1.db", "ключ.db"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    assert Journal.create(tmp_path / name).append("first", b"1") == 1
    assert [entry.name for entry in tmp_path.glob("*.db")] == [name]
