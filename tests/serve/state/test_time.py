"""What runs out of time does, by the line of time alone: no wall clock that is set can hold or end anything."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelwright.clock import ManualClock
from modelwright.records import Answer, EndpointSettings, Invocation
from modelwright.serve.state import State, Timeline, accept, claim, complete, give_back, lose, renew, request, wait_s
from modelwright.serve.state.timeline import Moment

DAY = 86_400.0


class SettableClock:
    """A clock whose wall is set like a machine's, while its monotonic count goes on."""

    def __init__(self) -> None:
        self.wall = datetime(2020, 1, 1, tzinfo=UTC)
        self.count = 0.0

    def now(self) -> datetime:
        return self.wall

    def seconds(self) -> float:
        return self.count

    def advance(self, seconds: float) -> None:
        self.count += seconds
        self.wall += timedelta(seconds=seconds)

    def set(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> SettableClock:  # the fixture `state` takes this one here
    return SettableClock()


def put(state: State, name: str, ttl_s: float = 60.0, timeout_s: float = 900.0) -> int:
    invocation = Invocation("summarizer", name, "s3://bucket/in", ttl_s=ttl_s, timeout_s=timeout_s)
    return state.submit(accept, invocation).result().number


def take(state: State, instance: str = "one"):
    return state.submit(claim, instance, "main", ["summarizer"]).result()


def standing(state: State, number: int) -> str:
    record = state.read(request, number)
    assert record is not None
    return record.state


@pytest.mark.parametrize("jump", [-10 * 365 * DAY, -3600.0, 0.0, 3600.0, 10 * 365 * DAY])
def test_setting_the_wall_clock_neither_expires_nor_holds_anything(
    state: State, clock: SettableClock, jump: float
) -> None:
    running, waiting = put(state, "a"), put(state, "b")
    (lease,) = take(state)
    clock.set(jump)
    assert state.sweep().result()[0].expired == state.sweep().result()[0].overdue == ()
    assert state.submit(renew, ["one"]).result() == {(running, lease.token)}
    clock.advance(25.0)
    state.submit(renew, ["one"]).result()
    clock.advance(25.0)
    state.submit(renew, ["one"]).result()
    clock.advance(9.0)
    assert state.sweep().result()[0].expired == ()
    clock.advance(1.0)
    assert state.sweep().result()[0].expired == (waiting,), "60 seconds after it came"
    clock.advance(19.0)
    assert state.sweep().result()[0].overdue == ()
    clock.advance(1.0)
    assert state.sweep().result()[0].overdue == (running,), "30 seconds after the last heartbeat"


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_what_is_told_of_times_is_the_wall_clocks(state: State, clock: SettableClock, jump: float) -> None:
    number = put(state, "a")
    began = clock.now().timestamp()
    clock.set(jump)
    (lease,) = take(state)
    state.submit(complete, number, lease.token, Answer(200)).result()
    record = state.read(request, number)
    assert record is not None
    assert (record.accepted_at, record.started_at) == (pytest.approx(began), pytest.approx(began + jump))


def test_the_stays_in_the_queue_are_added_up_and_runs_are_not(state: State, clock: SettableClock) -> None:
    number = put(state, "a", ttl_s=60.0)
    clock.advance(40.0)
    (lease,) = take(state)
    for _ in range(20):
        clock.advance(20.0)
        state.submit(renew, ["one"]).result()
    state.submit(lose, number, lease.token, "it was killed").result()
    clock.advance(19.0)
    assert state.sweep().result()[0].expired == ()
    assert standing(state, number) == "queued"
    clock.advance(1.0)
    assert take(state) == [], "what has run out is not begun any more, even before it is swept"
    assert state.sweep().result()[0].expired == (number,)


def test_a_lease_without_a_heartbeat_runs_out_and_the_request_runs_again_at_once(
    state: State, clock: SettableClock
) -> None:
    number = put(state, "a")
    (first,) = take(state)
    clock.advance(first.lease_s)
    assert state.sweep().result()[0].overdue == (number,)
    (second,) = take(state, "two")
    assert second.number == number
    assert state.submit(renew, ["one"]).result() == set()
    assert not state.submit(give_back, number, first.token).result()
    assert state.submit(complete, number, second.token, Answer(200)).result()


def test_an_attempt_that_hangs_under_heartbeats_is_ended_a_lease_after_its_limit(
    state: State, clock: SettableClock
) -> None:
    number = put(state, "a", timeout_s=100.0)
    assert take(state)
    for _ in range(12):
        clock.advance(10.0)
        state.submit(renew, ["one"]).result()
        assert state.sweep().result()[0].overdue == ()
    clock.advance(10.0)
    state.submit(renew, ["one"]).result()
    assert state.sweep().result()[0].overdue == (number,)
    record = state.read(request, number)
    assert record is not None
    assert "longer than its limit" in record.reason


def test_a_sweep_takes_so_many_at_a_time(state: State, clock: SettableClock) -> None:
    numbers = [put(state, f"{n}") for n in range(5)]
    clock.advance(60.0)
    swept = [state.sweep(2).result()[0].expired for _ in range(4)]
    assert swept == [tuple(numbers[:2]), tuple(numbers[2:4]), tuple(numbers[4:]), ()]


@pytest.mark.parametrize(("down", "expired"), [(-3600.0, False), (0.0, False), (29.0, False), (31.0, True)])
def test_over_a_restart_the_wall_clock_tells_what_has_passed_and_never_less_than_nothing(
    new_database: Callable[[], str | Path], furnish, down: float, expired: bool
) -> None:
    address, clock = new_database(), SettableClock()
    state = State.open(address, clock)
    furnish(state)
    number = put(state, "a", ttl_s=60.0)
    clock.advance(30.0)
    state.close()
    clock.set(down)
    clock.count = 1e6  # another boot: the monotonic clock begins anywhere
    state = State.open(address, clock)
    state.sweep().result()
    assert standing(state, number) == ("expired" if expired else "queued")
    state.close()


@given(
    st.lists(
        st.tuples(st.sampled_from(["pass", "set", "restart"]), st.floats(0, 1e6), st.floats(-1e6, 1e6)), max_size=20
    )
)
def test_the_line_of_time_goes_on_by_what_has_passed_and_never_back(steps: list[tuple[str, float, float]]) -> None:
    clock = SettableClock()
    line = Timeline.after(None, clock)
    last = line.now()
    for step, seconds, jump in steps:
        if step == "pass":
            clock.advance(seconds)
            assert line.now().t == pytest.approx(last.t + seconds, abs=1e-3)
        elif step == "set":
            clock.set(jump)
            assert line.now().t == last.t
        else:
            clock.set(jump)
            line = Timeline.after(last, clock)
            assert line.now().t == pytest.approx(last.t + max(0.0, clock.now().timestamp() - last.at), abs=1e-3)
        assert line.now().t >= last.t
        last = line.now()
    assert last == Moment(last.t, clock.now().timestamp())


@given(st.integers(1, 10**6), st.floats(0, 1e4), st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_within_its_bounds_and_doubles(attempts: int, first: float, longest: float, drawn: float) -> None:
    wait = wait_s(attempts, first, longest, drawn)
    assert 0 <= wait <= longest
    if attempts > 1 and wait < drawn * longest and first > 1e-300:
        assert wait == pytest.approx(2 * wait_s(attempts - 1, first, longest, drawn))


def test_waits_are_drawn_from_the_seed(new_database: Callable[[], str | Path], furnish) -> None:
    def due(seed: int) -> float:
        state = State.open(new_database(), ManualClock(), seed)
        furnish(state, "other", replace(EndpointSettings("s3://bucket/out"), lease_s=5.0))
        number = state.submit(accept, Invocation("other", "a", "s3://bucket/in")).result().number
        (lease,) = state.submit(claim, "one", "main", ["other"]).result()
        state.submit(lose, number, lease.token, "the store was out of reach", "download", at_once=False).result()
        with state.reading() as connection:
            found = connection.exec_driver_sql("SELECT due_t FROM requests").scalar_one()
        state.close()
        return float(found)

    assert due(1) == due(1) != due(2)
