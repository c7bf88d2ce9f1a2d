"""Real faults of a review queue: reviewers are killed, several claim at once, the disk is full, the file is spoilt."""

import itertools
import random
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelwright.clock import ManualClock
from modelwright.errors import RecordError, StoreError
from modelwright.guard.queue import Queue
from modelwright.records import ReviewItem, ReviewRules
from modelwright.store import Journal

REVIEW = """
import os, sys
from pathlib import Path
from modelwright.guard.queue import Queue

queue = Queue.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
while tickets := queue.claim(sys.argv[2], 2):
    for ticket in tickets:
        queue.decide(ticket.item.key, sys.argv[2], sys.argv[2])
        os.write(1, (ticket.item.key + "\\n").encode())
"""

ADD = """
import os, sys
from pathlib import Path
from modelwright.guard.queue import Queue
from modelwright.records import ReviewItem

queue = Queue.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
number = queue.counts().items
while True:
    queue.add([ReviewItem(f"item {number}"), ReviewItem(f"item {number + 1}")])
    number += 2
    os.write(1, b"%d\\n" % number)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


def started(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def killed(process: subprocess.Popen[str], after: int) -> list[str]:
    """Kill a process after so many lines; all that it said."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().splitlines(keepends=True)
    process.wait()
    return [line.strip() for line in said if line.endswith("\n")]


def filled(queue: Queue) -> tuple[int, StoreError]:
    """Add items until there is an error: how many came in before it."""
    for number in itertools.count():
        try:
            queue.add([ReviewItem(f"item {number}", details={"long": "x" * 1500})])
        except StoreError as failure:
            return number, failure
    raise AssertionError


def test_no_verdict_is_lost_when_reviewers_are_killed_and_no_item_is(path: Path) -> None:
    Queue.create(path).add([ReviewItem(f"item {number}") for number in range(40)])
    draw, acknowledged = random.Random(0), {}
    for reviewer in ("ann", "bob", "cleo"):
        process = started(REVIEW, str(path), reviewer)
        go(process)
        acknowledged |= dict.fromkeys(killed(process, draw.randint(1, 6)), reviewer)
    later = Queue.open(path, ManualClock(datetime(2100, 1, 1, tzinfo=UTC)))  # their leases have run out
    told = {verdict.key: verdict.label for verdict in later.verdicts()}
    assert acknowledged.items() <= told.items()
    assert len(told) <= len(acknowledged) + 3  # one each may be there before it was acknowledged
    for ticket in later.claim("dora", 40):
        assert ticket.item.key not in told
        later.decide(ticket.item.key, "dora", "dora")
    counts = later.counts()
    assert (counts.items, counts.decided, counts.waiting, counts.held) == (40, 40, 0, 0)


def test_no_item_is_lost_when_who_adds_them_is_killed(path: Path) -> None:
    Queue.create(path)
    there = 0
    for after in (1, 4):
        process = started(ADD, str(path))
        go(process)
        acknowledged = int(killed(process, after)[-1])
        there = Queue.open(path).counts().items
        assert acknowledged <= there <= acknowledged + 2  # items come in all together or not at all
    assert set(Queue.open(path).state().items) == {f"item {number}" for number in range(there)}


def test_three_who_claim_at_once_never_hold_one_item(path: Path) -> None:
    queue = Queue.create(path)
    queue.add([ReviewItem(f"item {number}") for number in range(36)])
    reviewers = {name: started(REVIEW, str(path), name) for name in ("ann", "bob", "cleo")}
    for process in reviewers.values():
        go(process)
    looked_at = {name: process.communicate()[0].split("\n")[:-1] for name, process in reviewers.items()}
    assert [process.returncode for process in reviewers.values()] == [0, 0, 0]
    everything = [key for keys in looked_at.values() for key in keys]
    assert len(everything) == len(set(everything)) == 36
    assert {verdict.key: verdict.reviewer for verdict in queue.verdicts()} == {
        key: name for name, keys in looked_at.items() for key in keys
    }


def test_a_full_disk_loses_nothing_and_the_queue_goes_on_when_there_is_room(tmp_path: Path, small_disk) -> None:
    with small_disk(tmp_path / "small", "300k") as disk:
        queue = Queue.create(disk / "queue.db")
        (disk / "ballast").write_bytes(bytes(100_000))
        added, failure = filled(queue)
        assert "must have room for one more entry. Nothing was appended" in str(failure)
        assert queue.counts().items == Queue.open(queue.path).counts().items == added > 10
        with pytest.raises(StoreError, match="must have room"):
            queue.add([ReviewItem("large", details={"long": "x" * 100_000})])
        (disk / "ballast").unlink()
        [ticket] = queue.claim("ann")
        queue.decide(ticket.item.key, "cat", "ann")
        assert queue.counts().decided == 1


@pytest.mark.parametrize("noise", ["head", "row", "tail"])
def test_a_spoilt_queue_is_one_clear_error(path: Path, noise: str) -> None:
    queue = Queue.create(path)
    queue.add([ReviewItem(f"item {number}", details={"long": "x" * 1000}) for number in range(30)])
    if noise == "row":
        link = sqlite3.connect(path, isolation_level=None)
        link.execute("UPDATE entries SET body = replace(body, 'item 7', 'item 8') WHERE number = 2")
        link.close()
    else:
        whole = path.read_bytes()
        path.write_bytes(b"\xff" * 8192 + whole[8192:] if noise == "head" else whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"Nothing was changed.*salvage"):
        Queue.open(path)


def test_a_journal_of_something_else_is_no_queue(path: Path) -> None:
    Journal.create(path).append("plan", b'{"kind": "plan"}')
    with pytest.raises(RecordError, match="entry 1"):
        Queue.open(path)


def test_a_queue_that_was_cut_off_as_it_was_made_says_so(path: Path) -> None:
    Journal.create(path)
    with pytest.raises(RecordError, match=r"must hold its rules.*create the queue again"):
        Queue.open(path)


def test_a_new_queue_leaves_alone_what_is_there(path: Path) -> None:
    Queue.create(path, ReviewRules(seed=1))
    with pytest.raises(StoreError, match="needs a new file"):
        Queue.create(path, ReviewRules(seed=2))
    assert Queue.open(path).rules.seed == 1
