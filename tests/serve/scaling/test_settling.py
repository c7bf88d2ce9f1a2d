"""The autoscaler is a function, is defined everywhere, and comes to rest."""

import itertools
import math
from collections.abc import Callable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.records.autoscaling import (
    BACKLOG_PER_INSTANCE,
    Activity,
    Alarm,
    Reading,
    ScalableTarget,
    ScalingHistory,
    ScalingPolicy,
    StepAdjustment,
    StepScaling,
    TargetTracking,
)
from modelwright.serve.scaling import decide, remember, waking_policy

METRICS = (BACKLOG_PER_INSTANCE, "ApproximateBacklogSize", "ApproximateAgeOfOldestRequest", "TimeInBacklog", "unknown")
seconds = st.floats(0, 2000)
small = st.integers(0, 40)


def readings(at: st.SearchStrategy[float]) -> st.SearchStrategy[Reading]:
    metrics = st.dictionaries(st.just("TimeInBacklog"), st.floats(0, 1e6))
    return st.builds(Reading, at, small, small, small, small, small, st.floats(0, 1e5), metrics)


tracking = st.builds(
    TargetTracking, st.just("track"), st.floats(0.01, 1e3), st.sampled_from(METRICS), seconds, seconds, st.booleans()
)
adjustments = st.builds(
    StepAdjustment, st.integers(-150, 150), st.none() | st.floats(-5, 5), st.none() | st.floats(-5, 5)
)
alarms = st.builds(
    *(Alarm, st.just("alarm"), st.sampled_from(METRICS), st.floats(-1, 50)),
    st.sampled_from(("GreaterThanThreshold", "LessThanOrEqualToThreshold")),
    *(st.floats(1, 120), st.integers(1, 5), st.integers(0, 3)),
    missing=st.sampled_from(("missing", "ignore", "breaching", "notBreaching")),
)
stepping = st.builds(
    *(StepScaling, st.just("step"), st.lists(adjustments, min_size=1, max_size=3).map(tuple)),
    *(st.sampled_from(("ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity")), seconds, small),
    alarms=st.lists(alarms, max_size=1).map(tuple),
)
policies = st.tuples(tracking, stepping) | st.tuples(tracking) | st.tuples(stepping) | st.just(())
targets = st.builds(ScalableTarget, small, small, st.booleans(), st.booleans(), st.booleans())
activities = st.lists(
    st.builds(Activity, seconds, small, small, st.just("c"), st.just("d"), ended=st.none() | seconds), max_size=4
)
histories = st.builds(
    ScalingHistory,
    st.lists(readings(seconds), max_size=25).map(lambda found: tuple(sorted(found, key=lambda one: one.at))),
    activities.map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(st.none() | readings(seconds), histories, policies, targets, seconds)
def test_it_is_total_deterministic_and_keeps_the_limits(
    reading: Reading | None,
    history: ScalingHistory,
    given_policies: tuple[ScalingPolicy, ...],
    target: ScalableTarget,
    now: float,
) -> None:
    found = decide(reading, history, given_policies, target, now)
    assert found == decide(reading, history, given_policies, target, now)
    remember(history, reading, found, given_policies, target, now)
    if reading is None:
        assert found.desired is None
        return
    assert found.current == reading.capacity
    assert found.desired is not None
    assert found.desired <= max(target.max, 0)
    assert found.desired >= min(target.min, target.max)
    assert found.change == 0 or found.cause


@given(histories, policies, targets, readings(seconds), seconds)
def test_records_of_it_survive_being_written_down(
    history: ScalingHistory, given_policies: tuple[ScalingPolicy, ...], target: ScalableTarget, one: Reading, now: float
) -> None:
    after = remember(history, one, decide(one, history, given_policies, target, now), given_policies, target, now)
    assert msgspec.json.decode(msgspec.json.encode(after), type=ScalingHistory) == after
    wire = msgspec.json.encode(given_policies)
    assert msgspec.json.decode(wire, type=tuple[ScalingPolicy, ...]) == given_policies


def course(
    load: Callable[[float, int], int],
    given_policies: tuple[ScalingPolicy, ...],
    target: ScalableTarget,
    *,
    hours: float = 1.0,
    start_s: float = 60.0,
) -> list[int]:
    """Capacity at each decision, every 10 s, where instances take a minute to start; load tells the backlog."""
    history, capacity, ready_at = ScalingHistory(), 0, list[float]()
    course: list[int] = []
    for tick in range(int(hours * 360)):
        now = tick * 10.0
        ready = sum(at <= now for at in ready_at)
        backlog = load(now, ready)
        running = min(backlog, ready)
        reading = Reading(now, backlog - running, running, ready, capacity - ready, oldest_age_s=float(backlog))
        found = decide(reading, history, given_policies, target, now)
        history = remember(history, reading, found, given_policies, target, now)
        ready_at = [*ready_at, *[now + start_s] * found.change][: max(capacity + found.change, 0)]
        capacity += found.change
        course.append(capacity)
    return course


def turns(capacities: list[int]) -> int:
    """How often it turned from rising to falling or back."""
    steps = [b - a for a, b in itertools.pairwise(capacities) if a != b]
    return sum((a > 0) != (b > 0) for a, b in itertools.pairwise(steps))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 120), st.floats(0.5, 12), st.integers(0, 3), st.integers(3, 30), st.booleans())
def test_under_constant_backlog_capacity_settles_and_stays(
    backlog: int, value: float, least: int, most: int, imitate: bool
) -> None:
    rules = (TargetTracking("p", value), waking_policy())
    found = course(lambda now, ready: backlog, rules, ScalableTarget(least, most, imitate))
    assert len(set(found[len(found) // 2 :])) == 1
    assert turns(found) <= 1
    final = found[-1]
    if least < final < most:
        assert backlog <= final * value * (1 + 1e-9), "no more than the target each"
        assert final <= 1 or backlog > (final - 1) * value * 0.9 * (1 - 1e-9), "none too many, but for the dead band"


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 20), st.sampled_from([2.0, 5.0, 10.0]))
def test_under_constant_traffic_capacity_settles_where_it_keeps_up(work: float, value: float) -> None:
    """A fluid: `work` instances' worth arrives each second, and each one that is ready does a tenth of a request."""
    waiting = 0.0

    def load(now: float, ready: int) -> int:
        nonlocal waiting
        waiting = max(waiting + work - ready, 0.0)  # 10 s of it
        return math.ceil(waiting + min(work, ready))

    found = course(load, (TargetTracking("p", value),), ScalableTarget(0, 60), hours=2)
    assert set(found[len(found) // 2 :]) == {math.ceil(work)}
    assert waiting <= math.ceil(work) * value


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=30, max_size=30), st.sampled_from([60.0, 120.0, 300.0]))
def test_however_wild_the_backlog_capacity_falls_once_a_cooldown_and_never_right_after_it_rose(
    wild: list[int], cooldown: float
) -> None:
    rules = (TargetTracking("p", 5.0, scale_out_cooldown_s=cooldown, scale_in_cooldown_s=cooldown),)
    found = course(lambda now, ready: wild[int(now // 30) % len(wild)], rules, ScalableTarget(0, 12))
    ticks = int(cooldown // 10)
    changes = [(tick, b - a) for tick, (a, b) in enumerate(itertools.pairwise([0, *found])) if a != b]
    falls = [tick for tick, step in changes if step < 0]
    assert all(b - a >= ticks for a, b in itertools.pairwise(falls))
    for tick in falls:
        assert not any(tick - ticks < other < tick for other, step in changes if step > 0)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=30, max_size=30), st.integers(1, 5))
def test_more_backlog_never_leads_to_less_capacity(wild: list[int], more: int) -> None:
    rules = (TargetTracking("p", 5.0, scale_in_cooldown_s=60.0),)
    low, high = (
        course(lambda now, ready, add=add: wild[int(now // 30) % 30] + add, rules, ScalableTarget(0, 12), hours=0.5)
        for add in (0, more)
    )
    assert sum(high) >= sum(low)
