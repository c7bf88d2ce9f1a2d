"""A SQLite file is one server's, a PostgreSQL database several servers'; what a dead one was at goes on at once."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.clock import ManualClock
from modelwright.errors import StoreError
from modelwright.records import Answer, EndpointSettings, InstanceRecord, Invocation, Retry
from modelwright.serve.state import (
    INSTANCES,
    State,
    accept,
    add_instance,
    claim,
    complete,
    due,
    publish,
    renew,
    request,
    requests,
)

Address = str | Path

ROUNDS = 20

SERVER = """
import os, sys, threading
from modelwright.records import Answer, Invocation
from modelwright.serve.state import State, accept, claim, complete

def serve(address, number):
    state = State.open(address)

    def say(*words):
        os.write(1, " ".join(map(str, words)).encode() + b"\\n")

    def accepting(part):
        for count in range(10**6):
            name = f"{number}-{part}-{count}"
            state.submit(accept, Invocation("summarizer", name, "s3://bucket/in")).result()
            say("accepted", name)

    def completing():
        while True:
            for lease in state.submit(claim, "worker", "main", ["summarizer"], 4).result():
                if lease.number % 3:
                    assert state.submit(complete, lease.number, lease.token, Answer(200)).result()
                    say("completed", lease.number)
                else:
                    say("held", lease.number)

    for part in range(3):
        threading.Thread(target=accepting, args=(part,)).start()
    completing()

for number, line in enumerate(sys.stdin):
    child = os.fork()
    if not child:
        serve(line.strip(), number)
    os.write(1, f"started {child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""
"""Forks a server a line, so that Python starts but once."""


def test_a_second_server_is_refused_a_sqlite_file_and_let_in_when_the_first_has_ended(tmp_path: Path) -> None:
    first = State.open(tmp_path / "serve.db")
    for _ in range(2):
        with pytest.raises(StoreError, match="one server at a time"):
            State.open(tmp_path / "serve.db")
    first.close()
    State.open(tmp_path / "serve.db").close()


@pytest.fixture
def shared(new_postgresql: Callable[[], str]) -> str:
    """The address of a database that servers may share."""
    return new_postgresql()


def test_servers_that_share_a_database_take_no_request_twice(shared: str, clock: ManualClock, furnish) -> None:
    servers = [State.open(shared, clock, seed) for seed in range(2)]
    furnish(servers[0])
    for number in range(60):
        servers[number % 2].submit(accept, Invocation("summarizer", f"{number}", "s3://bucket/in")).result()
    taken: list[int] = []

    def work(state: State) -> None:
        while leases := state.submit(claim, f"of {state.server}", "main", ["summarizer"], 3).result():
            for lease in leases:
                assert state.submit(complete, lease.number, lease.token, Answer(200)).result()
                taken.append(lease.number)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, servers))
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 60
    for state in servers:
        state.close()


def test_the_same_request_at_two_servers_at_once_is_one(shared: str, clock: ManualClock, furnish) -> None:
    servers = [State.open(shared, clock, seed) for seed in range(2)]
    furnish(servers[0])
    for number in range(30):
        futures = [state.submit(accept, Invocation("summarizer", f"{number}", "s3://b/in")) for state in servers]
        assert len({future.result().number for future in futures}) == 1
    for state in servers:
        state.close()


def test_a_living_server_goes_on_with_what_a_dead_one_was_at(shared: str, clock: ManualClock, furnish) -> None:
    living, dying = (State.open(shared, clock, seed) for seed in range(2))
    furnish(living)
    numbers = [living.submit(accept, Invocation("summarizer", name, "s3://b/in")).result().number for name in "ab"]
    (mine,) = living.submit(claim, "mine", "main", ["summarizer"]).result()
    (lease,) = dying.submit(claim, "theirs", "main", ["summarizer"]).result()
    dying.submit(add_instance, InstanceRecord("theirs", "summarizer", "main")).result()
    living.submit(add_instance, InstanceRecord("mine", "summarizer", "main")).result()
    dying.submit(publish, "http://receiver/", "hear").result()
    assert len(dying.submit(due).result()) == 1
    assert living.sweep().result()[1] == [], "as long as it lives, what it is at is its own"
    dying.close()
    assert living.sweep().result()[1] == [lease.number] == numbers[1:]
    assert [instance.name for instance in living.read(INSTANCES.all)] == ["mine"]
    assert len(living.submit(due).result()) == 1
    (again,) = living.submit(claim, "mine", "main", ["summarizer"]).result()
    assert (again.number, again.attempt) == (lease.number, 1), "that its server ended was no attempt of its own"
    assert living.submit(renew, ["mine"]).result() == {(mine.number, mine.token), (again.number, again.token)}
    living.close()


def test_a_server_that_was_cut_off_from_the_database_goes_on(shared: str, clock: ManualClock, furnish) -> None:
    cut, other = (State.open(shared, clock, seed) for seed in range(2))
    furnish(cut)
    cut.submit(accept, Invocation("summarizer", "a", "s3://b/in")).result()
    (lease,) = cut.submit(claim, "one", "main", ["summarizer"]).result()
    with other.reading() as connection:
        holder = "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND objid = :server"
        connection.execute(sa.text(holder), {"server": cut.server})
    assert other.sweep().result()[1] == [lease.number], "it seemed dead"
    assert cut.submit(renew, ["one"]).result() == set()
    assert not cut.submit(complete, lease.number, lease.token, Answer(200)).result()
    cut.sweep().result()
    (again,) = cut.submit(claim, "one", "main", ["summarizer"]).result()
    assert other.sweep().result()[1] == [], "it has shown itself again"
    assert cut.submit(complete, again.number, again.token, Answer(200)).result()
    cut.close()
    other.close()


def test_a_request_that_loses_its_server_again_and_again_is_dead_in_the_end(
    new_database: Callable[[], Address], clock: ManualClock, furnish
) -> None:
    address = new_database()
    state = State.open(address, clock)
    furnish(state, "other", EndpointSettings("s3://b/out", retry=Retry(interruptions=2)))
    number = state.submit(accept, Invocation("other", "a", "s3://b/in")).result().number
    for _ in range(3):
        (lease,) = state.submit(claim, "one", "main", ["other"]).result()
        assert lease.attempt == 1
        state.close()
        state = State.open(address, clock)
    record = state.read(request, number)
    assert record is not None
    assert (record.state, record.reason) == ("dead", "its server ended")
    state.close()


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(new_database: Callable[[], Address], furnish) -> None:
    """SIGKILL at random moments, while four threads have changes on their way to the disk."""
    address = new_database()
    state = State.open(address)
    furnish(state, settings=EndpointSettings("s3://bucket/out", retry=Retry(interruptions=ROUNDS)))
    state.close()
    drawn = random.Random(7)
    said: dict[str, set[str]] = {"accepted": set(), "completed": set()}
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        for _ in range(ROUNDS):
            print(address, file=zygote.stdin, flush=True)
            process, lines, held = 0, drawn.randint(1, 80), set()
            for line in zygote.stdout:
                word, _, what = line.strip().partition(" ")
                if word == "dead":
                    break
                process = int(what) if word == "started" else process
                (held if word == "held" else said.get(word, set())).add(what)
                lines -= 1
                if lines <= 0 and process:
                    os.kill(process, signal.SIGKILL)
                    process = 0  # what it had written comes still
            check(address, said, held)
        zygote.stdin.close()
    assert len(said["accepted"]) > ROUNDS < len(said["completed"])


def check(address: Address, said: dict[str, set[str]], held: set[str]) -> None:
    """All that was said is so; what was at work waits again at once; and the database is whole."""
    state = State.open(address)
    while state.read(requests, states=["running"]).records:  # PostgreSQL notices the end of a client a moment later
        state.sweep().result()
    found = {}
    page = state.read(requests, limit=1000)
    while True:
        found |= {str(record.number): record for record in page.records}
        if page.after is None:
            break
        page = state.read(requests, limit=1000, after=page.after)
    assert said["accepted"] <= {record.invocation.inference_id for record in found.values()}
    assert all(found[number].state == "completed" for number in said["completed"])
    assert all(found[number].state == "queued" for number in held)
    assert {record.state for record in found.values()} <= {"queued", "completed"}
    assert {record.duplicates for record in found.values()} == {0}
    state.close()
