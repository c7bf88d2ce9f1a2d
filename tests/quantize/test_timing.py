"""Timing in turns: drift meets all programs alike."""

from datetime import UTC, datetime

import pytest

from modelwright.clock import ManualClock
from modelwright.networks.measuring import Protocol
from modelwright.quantize.timing import time_in_turns

ONE = Protocol(repetitions=9, warmup=2, minimum_s=1e-9, settle=0)


def test_programs_take_turns_and_drift_meets_all_alike() -> None:
    """While the machine slows down to half its speed, what takes twice as long is still seen to take twice as long."""
    clock, order, slow = ManualClock(datetime(2000, 1, 1, tzinfo=UTC)), [], [1.0]

    def program(name: str, seconds: float):
        def call() -> None:
            order.append(name)
            slow[0] += 0.02
            clock.advance(seconds * slow[0])

        return call

    found = time_in_turns({"one": program("one", 1.0), "two": program("two", 2.0)}, clock, ONE)
    assert list(found) == ["one", "two"]
    assert found["two"][0] / found["one"][0] == pytest.approx(2, rel=0.03)
    assert order[-4:] == ["one", "two", "one", "two"]


def test_a_steady_program_has_no_spread_and_warm_up_counts_for_nothing() -> None:
    clock, calls = ManualClock(), [0]

    def call() -> None:
        calls[0] += 1
        clock.advance(100.0 if calls[0] <= 4 else 0.25)

    assert time_in_turns({"it": call}, clock, ONE) == {"it": (0.25, 0.0)}
