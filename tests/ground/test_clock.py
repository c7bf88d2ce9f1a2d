"""Time is an argument, and moves forward only."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from modelwright.clock import Clock, ManualClock, SystemClock

DAY = 86_400.0
STEPS = st.integers(0, 10_000_000).map(lambda milliseconds: milliseconds / 1000)


class Advancing(RuleBasedStateMachine):
    """Whatever is done to it, the clock's two faces agree with the sum of all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.start = datetime(2024, 2, 28, tzinfo=UTC)
        self.clock = ManualClock(self.start)
        self.passed = 0.0

    @rule(step=STEPS)
    def advance(self, step: float) -> None:
        self.clock.advance(step)
        self.passed += step

    @rule(step=STEPS.filter(bool))
    def advance_backwards(self, step: float) -> None:
        with pytest.raises(ValueError, match="forward only"):
            self.clock.advance(-step)

    @invariant()
    def both_faces_show_what_has_passed(self) -> None:
        assert self.clock.seconds() == self.passed
        assert abs(self.clock.now() - self.start - timedelta(seconds=self.passed)) <= timedelta(microseconds=2)


TestAdvancing = Advancing.TestCase


def test_a_day_passes_at_once() -> None:
    clock = ManualClock()
    clock.advance(DAY)
    assert clock.now() == datetime(2000, 1, 2, tzinfo=UTC)


@given(st.integers(-23, 23))
def test_wherever_it_was_started_a_clock_tells_utc(hours: int) -> None:
    clock = ManualClock(datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=hours))))
    assert clock.now().tzinfo is UTC
    assert clock.now() == datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=hours)))


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
def test_time_never_runs_backwards_and_is_utc(clock: Clock) -> None:
    readings = [clock.seconds() for _ in range(1000)]
    assert readings == sorted(readings)
    assert clock.now().tzinfo is UTC
