"""Whatever happens in whatever order: no request is lost, none ends twice, and the right one is always next."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from modelwright.clock import ManualClock
from modelwright.errors import ConflictError
from modelwright.records import FINISHED, Answer, EndpointSettings, Invocation, Lease, Notification, Retry, from_json
from modelwright.serve.state import (
    State,
    accept,
    cancel,
    claim,
    complete,
    counts,
    delivered,
    due,
    fail,
    give_back,
    lose,
    messages,
    redrive,
    renew,
    requests,
)

Address = str | Path

LEASE_S, TTL_S, ATTEMPTS = 30.0, 100.0, 2
SETTINGS = EndpointSettings(
    "s3://b/out", success_topic="told", error_topic="told", lease_s=LEASE_S, retry=Retry(ATTEMPTS, interruptions=3)
)


class Expected:
    """What the test itself knows of a request, in a few plain fields."""

    def __init__(self, number: int, priority: int) -> None:
        self.number, self.priority = number, priority
        self.state = "queued"
        self.attempts = self.interruptions = self.duplicates = self.ends = 0
        self.left_s = TTL_S
        self.since = self.lease_until = 0.0
        self.token = 0

    def rest(self, now: float) -> float:
        """How much longer it may wait in the queue."""
        return self.left_s - (now - self.since)


def machine(new_database: Callable[[], Address], furnish) -> type[RuleBasedStateMachine]:
    class Way(RuleBasedStateMachine):
        leases = Bundle("leases")

        @initialize()
        def begin(self) -> None:
            self.address, self.clock = new_database(), ManualClock()
            self.state = State.open(self.address, self.clock)
            furnish(self.state, "e", SETTINGS)
            self.known: dict[str, Expected] = {}
            self.time = 0.0

        def teardown(self) -> None:
            if hasattr(self, "state"):
                self.state.close()

        def any(self, *states: str) -> bool:
            return any(one.state in states for one in self.known.values())

        def of(self, lease: Lease) -> Expected:
            return self.known[lease.invocation.inference_id]

        def held(self, lease: Lease) -> bool:
            one = self.of(lease)
            return one.state == "running" and one.token == lease.token

        def end(self, one: Expected, state: str) -> None:
            one.state = state
            one.ends += 1

        def requeue(self, one: Expected) -> None:
            one.state, one.since = "queued", self.time

        def lost(self, one: Expected) -> None:
            if one.attempts < ATTEMPTS:
                self.requeue(one)
            else:
                self.end(one, "dead")

        @rule(names=st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=4), priority=st.integers(0, 1))
        def come(self, names: set[str], priority: int) -> None:
            for name in sorted(names):
                self.comes(name, priority)

        def comes(self, name: str, priority: int) -> None:
            invocation = Invocation("e", name, "s3://b/in", priority=priority, ttl_s=TTL_S)
            future = self.state.submit(accept, invocation)
            if name in self.known and self.known[name].priority != priority:
                with pytest.raises(ConflictError):
                    future.result()
                return
            record = future.result()
            if name not in self.known:
                self.known[name] = Expected(record.number, priority)
                self.known[name].since = self.time
            assert (record.number, record.state) == (self.known[name].number, self.known[name].state)

        @precondition(lambda self: self.any("queued"))
        @rule(target=leases, count=st.integers(1, 3))
        def is_claimed(self, count: int):
            waiting = [one for one in self.known.values() if one.state == "queued" and one.rest(self.time) > 0]
            wanted = sorted(waiting, key=lambda one: (-one.priority, one.number))[:count]
            taken = self.state.submit(claim, "i", "main", ["e"], count).result()
            assert [lease.number for lease in taken] == [one.number for one in wanted]
            for lease, one in zip(taken, wanted, strict=True):
                one.left_s, one.state, one.token = one.rest(self.time), "running", lease.token
                one.attempts += 1
                one.lease_until = self.time + LEASE_S
                assert lease.attempt == one.attempts
            return multiple(*taken)

        @precondition(lambda self: self.any("running"))
        @rule()
        def beats(self) -> None:
            held = self.state.submit(renew, ["i"]).result()
            running = [one for one in self.known.values() if one.state == "running"]
            assert held == {(one.number, one.token) for one in running}
            for one in running:
                one.lease_until = self.time + LEASE_S

        @rule(lease=leases)
        def completes(self, lease: Lease) -> None:
            done = self.state.submit(complete, lease.number, lease.token, Answer(200)).result()
            assert done == self.held(lease)
            if done:
                self.end(self.of(lease), "completed")
            else:
                self.of(lease).duplicates += 1

        @rule(lease=leases)
        def fails(self, lease: Lease) -> None:
            left = self.state.submit(fail, lease.number, lease.token, "no", Answer(500)).result()
            assert left == ("failed" if self.held(lease) else None)
            if left:
                self.end(self.of(lease), "failed")
            else:
                self.of(lease).duplicates += 1

        @rule(lease=leases)
        def is_lost(self, lease: Lease) -> None:
            held = self.held(lease)
            left = self.state.submit(lose, lease.number, lease.token, "killed").result()
            if held:
                self.lost(self.of(lease))
            assert left == (self.of(lease).state if held else None)

        @rule(lease=leases)
        def is_given_back(self, lease: Lease) -> None:
            assert self.state.submit(give_back, lease.number, lease.token).result() == self.held(lease)
            if self.held(lease):
                self.of(lease).attempts -= 1
                self.requeue(self.of(lease))

        @rule(name=st.sampled_from("abcdefgh"))
        def is_cancelled(self, name: str) -> None:
            one = self.known.get(name)
            future = self.state.submit(cancel, "e", name)
            if one is None:
                assert isinstance(future.exception(), LookupError)
            elif one.state in ("queued", "running"):
                assert future.result().state == "cancelled"
                self.end(one, "cancelled")
            else:
                assert (future.exception() is None) == (one.state == "cancelled")

        @precondition(lambda self: self.any("dead"))
        @rule()
        def comes_back(self) -> None:
            dead = [one for one in self.known.values() if one.state == "dead"]
            assert self.state.submit(redrive, "e").result() == sorted(one.number for one in dead)
            for one in dead:
                one.attempts = one.interruptions = 0
                one.left_s = TTL_S
                self.requeue(one)

        @rule(seconds=st.sampled_from([1.0, 20.0, 40.0]))
        def time_passes(self, seconds: float) -> None:
            self.clock.advance(seconds)
            self.time += seconds
            self.state.sweep().result()
            for one in self.known.values():
                if one.state == "queued" and one.rest(self.time) <= 0:
                    self.end(one, "expired")
                elif one.state == "running" and one.lease_until <= self.time:
                    self.lost(one)

        @precondition(lambda self: self.any("running"))
        @rule()
        def its_server_ends(self) -> None:
            self.state.close()
            self.state = State.open(self.address, self.clock)
            for one in self.known.values():
                if one.state == "running":
                    one.attempts -= 1
                    one.interruptions += 1
                    if one.interruptions <= SETTINGS.retry.interruptions:
                        self.requeue(one)
                    else:
                        self.end(one, "dead")

        @precondition(lambda self: self.any(*FINISHED))
        @rule()
        def is_told(self) -> None:
            for message in self.state.submit(due).result():
                assert self.state.submit(delivered, message.number).result()

        @invariant(check_during_init=False)
        def all_is_as_expected(self) -> None:
            found = {record.invocation.inference_id: record for record in self.state.read(requests).records}
            assert found.keys() == self.known.keys(), "nothing is lost"
            for name, one in self.known.items():
                record = found[name]
                told = (record.state, record.attempts, record.interruptions, record.duplicates)
                assert told == (one.state, one.attempts, one.interruptions, one.duplicates)
                ends = self.state.read(messages, request=one.number)
                assert len(ends) == one.ends, "each end is told once"
                if one.state in FINISHED:
                    assert from_json(ends[-1].body, Notification).state == one.state
            tally = self.state.read(counts).get("e", {})
            assert sum(tally.values()) == len(self.known)

    return Way


def test_no_request_is_lost_or_ends_twice_and_the_right_one_is_next(
    new_database: Callable[[], Address], furnish
) -> None:
    examples = 16 if isinstance(new_database(), Path) else 8  # what differs is the database alone
    run_state_machine_as_test(
        machine(new_database, furnish), settings=settings(max_examples=examples, stateful_step_count=40)
    )
