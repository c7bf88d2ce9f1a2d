"""Many changes go to one commit; each stands or falls alone; what is acknowledged is there."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from modelwright.clock import ManualClock
from modelwright.errors import BusyError, ConflictError, StoreError
from modelwright.records import Invocation
from modelwright.serve.state import State, Unit, accept, counts, request, requests

SmallDisk = Callable[[Path, str], AbstractContextManager[Path]]


class Gate:
    """A change that holds the writer until it is let go."""

    def __init__(self, state: State) -> None:
        self._reached, self._open = threading.Event(), threading.Event()
        self._future = state.submit(self._hold)
        self._reached.wait()

    def _hold(self, unit: Unit) -> None:
        self._reached.set()
        self._open.wait()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._open.set()
        self._future.result()


def ask(name: str) -> Invocation:
    return Invocation("summarizer", name, "s3://bucket/in")


def refuse(unit: Unit, number: int) -> None:
    accept(unit, ask(f"undone-{number}"))
    raise ConflictError(f"number {number} is refused")


def commits(state: State) -> Iterator[int]:
    """Counts the commits that the writer makes from now on."""
    made = 0

    def count(_: object) -> None:
        nonlocal made
        made += 1

    event.listen(state._database.writing, "commit", count)
    while True:
        yield made


def test_changes_that_wait_together_go_to_the_disk_together(state: State) -> None:
    made = commits(state)
    assert next(made) == 0
    with Gate(state):
        waiting = [state.submit(accept, ask(f"{number}")) for number in range(100)]
        assert not any(future.done() for future in waiting)
    assert [future.result().number for future in waiting] == list(range(1, 101))
    assert next(made) == 2, "the gate's, and one for all the others"


def test_a_change_that_fails_is_undone_alone_with_its_counts(state: State) -> None:
    with Gate(state):
        good = [state.submit(accept, ask(f"{number}")) for number in range(0, 20, 2)]
        bad = [state.submit(refuse, number) for number in range(1, 20, 2)]
    for number, future in zip(range(1, 20, 2), bad, strict=True):
        with pytest.raises(ConflictError, match=f"number {number} is refused"):
            future.result()
    assert all(future.result().state == "queued" for future in good)
    assert state.read(counts) == {"summarizer": {"queued": 10}}
    assert [one.gathered.total for one in state.totals() if one.name == "AcceptedRequests"] == [10.0]


def test_a_change_that_breaks_the_transaction_spoils_none_beside_it(state: State) -> None:
    def broken(unit: Unit) -> None:
        accept(unit, ask("undone"))
        unit.connection.execute(sa.text("SELECT 1 FROM nowhere"))

    with Gate(state):
        waiting = [state.submit(accept, ask("before")), state.submit(broken), state.submit(accept, ask("after"))]
    with pytest.raises(StoreError, match="nowhere"):
        waiting[1].result()
    assert [waiting[place].result().invocation.inference_id for place in (0, 2)] == ["before", "after"]
    names = [record.invocation.inference_id for record in state.read(requests, newest_first=False).records]
    assert names == ["before", "after"]


def test_a_change_that_is_not_wanted_any_more_is_not_made(state: State) -> None:
    with Gate(state):
        kept, dropped = state.submit(accept, ask("kept")), state.submit(accept, ask("dropped"))
        assert dropped.cancel()
    kept.result()
    assert state.read(counts) == {"summarizer": {"queued": 1}}


def test_when_too_many_wait_an_offer_is_refused_and_a_submission_held_back(
    new_database: Callable[[], Path | str], clock: ManualClock, furnish
) -> None:
    state = State.open(new_database(), clock, limit=3)
    furnish(state)
    held: list[int] = []

    def insist() -> None:
        held.append(state.submit(accept, ask("held")).result().number)

    with Gate(state):
        for number in range(3):
            state.offer(accept, ask(f"{number}"))
        with pytest.raises(BusyError, match="no more than 3 changes may wait"):
            state.offer(accept, ask("refused"))
        thread = threading.Thread(target=insist)
        thread.start()
        assert not held
    thread.join()
    assert held == [4]
    state.close()


def test_closing_does_all_that_waits_and_takes_no_more(state: State, new_database) -> None:
    gate = Gate(state)
    waiting = [state.submit(accept, ask(f"{number}")) for number in range(50)]
    closing = threading.Thread(target=state.close)
    closing.start()
    with gate:
        pass
    closing.join()
    assert [future.result().number for future in waiting] == list(range(1, 51))
    with pytest.raises(StoreError, match="must be running"):
        state.submit(accept, ask("late"))


def test_an_event_loop_awaits_its_changes(state: State) -> None:
    async def all_of_them() -> list[int]:
        offered = [asyncio.wrap_future(state.offer(accept, ask(f"{number}"))) for number in range(200)]
        return [record.number for record in await asyncio.gather(*offered)]

    assert asyncio.run(all_of_them()) == list(range(1, 201))


def test_readers_wait_for_no_writer_and_see_what_is_on_the_disk_alone(state: State) -> None:
    state.submit(accept, ask("a")).result()
    halfway, go_on = threading.Event(), threading.Event()

    def slow(unit: Unit) -> None:
        accept(unit, ask("b"))
        halfway.set()
        go_on.wait()

    future = state.submit(slow)
    halfway.wait()
    assert state.read(counts) == {"summarizer": {"queued": 1}}
    go_on.set()
    future.result()
    assert state.read(counts) == {"summarizer": {"queued": 2}}


def test_a_reader_can_change_nothing(state: State) -> None:
    with pytest.raises(StoreError), state.reading() as connection:
        connection.exec_driver_sql("DELETE FROM requests")


def test_a_full_disk_refuses_what_it_cannot_hold_keeps_the_rest_and_goes_on_when_there_is_room(
    tmp_path: Path, clock: ManualClock, furnish, small_disk: SmallDisk
) -> None:
    def accepted(state: State, names: list[str]) -> tuple[set[str], list[Exception]]:
        futures = {name: state.submit(accept, ask(name)) for name in names}
        errors = {name: future.exception() for name, future in futures.items()}
        refused = [error for error in errors.values() if isinstance(error, Exception)]
        return {name for name, error in errors.items() if error is None}, refused

    with small_disk(tmp_path / "disk", "1m") as disk:
        state = State.open(disk / "serve.db", clock)
        furnish(state)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(200_000))
        kept: set[str] = set()
        refused: list[Exception] = []
        for number in range(400):
            taken, errors = accepted(state, [f"{number}-{part}" for part in range(20)])
            kept |= taken
            refused += errors
            if errors:
                break
        assert refused
        assert all(isinstance(error, StoreError) and "room" in str(error) for error in refused)
        assert state.read(counts)["summarizer"] == {"queued": len(kept)}
        ballast.unlink()
        taken, errors = accepted(state, ["afterwards"])
        assert (taken, errors) == ({"afterwards"}, [])
        kept |= taken
        state.close()
        state = State.open(disk / "serve.db", clock)
        with state.reading() as connection:
            there = set(connection.exec_driver_sql("SELECT inference_id FROM requests").scalars())
        assert there == kept
        assert [state.read(request, number) for number in (1,)] != [None]
        state.close()
