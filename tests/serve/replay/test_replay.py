"""A replay loses nothing, keeps the queue's rules, and pays for what it used."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.records.autoscaling import Activity, ScalableTarget, ScalingPolicy, TargetTracking
from modelwright.records.capacity import CapacityPlan, Fleet, Latency
from modelwright.serve.replay import Replay, Traffic, bursts, poisson, replay, summary
from modelwright.serve.scaling import waking_policy

ARTICLE = TargetTracking("backlog", 5.0, scale_out_cooldown_s=120.0, scale_in_cooldown_s=120.0)
FIVE = ScalableTarget(0, 5)
SECOND = Latency("constant", 1.0)


def traffic(*arrivals: float, **more: Any) -> Traffic:
    times = np.array(sorted(arrivals), dtype=float)
    return Traffic("given", times, float(times.max()) if len(times) else 0.0, **more)


def run(
    arriving: Traffic,
    latency: Latency = SECOND,
    fleet: Fleet | None = None,
    policies: tuple[ScalingPolicy, ...] = (ARTICLE,),
    target: ScalableTarget = FIVE,
    seed: int = 0,
) -> tuple[Replay, CapacityPlan]:
    fleet = fleet or Fleet()
    found = replay(arriving, latency, fleet, policies, target, seed=seed)
    return found, summary(found, fleet, policies, target)


fleets = st.builds(
    Fleet,
    concurrency=st.integers(1, 4),
    startup=st.sampled_from([Latency("constant", 0.0), Latency("constant", 60.0), Latency("exponential", 30.0)]),
    timeout_s=st.floats(1, 30),
    attempts=st.integers(1, 3),
    ttl_s=st.floats(5, 900),
    initial=st.integers(0, 2),
    interval_s=st.sampled_from([5.0, 10.0, 30.0]),
    tail_s=st.sampled_from([0.0, 600.0]),
)
arrivals = st.lists(st.floats(0, 900), max_size=80).map(lambda found: traffic(*found))
latencies = st.builds(
    Latency, st.sampled_from(["constant", "exponential", "lognormal"]), st.floats(0, 30), st.floats(0, 2)
)


@settings(max_examples=80, deadline=None)
@given(arrivals, latencies, fleets, st.integers(0, 3), st.integers(0, 6), st.booleans(), st.integers(0, 5))
def test_requests_are_conserved_and_instances_never_do_more_than_they_can(
    arriving: Traffic, latency: Latency, fleet: Fleet, least: int, most: int, imitate: bool, seed: int
) -> None:
    target = ScalableTarget(least, most, imitate)
    found, plan = run(arriving, latency, fleet, (ARTICLE, waking_policy()), target, seed)
    assert plan.arrived == plan.finished + plan.dead + plan.expired + plan.unfinished == len(arriving.arrivals)
    assert plan.unfinished == 0
    started = ~np.isnan(found.starts)
    assert not (started & found.expired).any()
    assert (found.waits >= 0).all()
    assert (found.waits <= fleet.ttl_s).all()
    assert (np.diff(found.starts[started]) >= 0).all(), "first come, first served"
    assert found.lives.shape[1] == 3
    assert (found.lives[:, 2] >= found.lives[:, 0]).all()
    for moment in found.starts[started]:
        running = (found.starts <= moment) & (moment < found.starts + found.occupied)
        ready = (found.lives[:, 1] <= moment) & (moment <= found.lives[:, 2])
        assert running.sum() <= ready.sum() * fleet.concurrency
    assert max(found.desired) <= max(most, 0)
    assert sum(plan.timeline.arrived) == plan.arrived
    assert max(plan.timeline.instances) <= plan.peak
    assert plan.instance_hours * 3600 == pytest.approx((found.lives[:, 2] - found.lives[:, 0]).sum())
    assert run(arriving, latency, fleet, (ARTICLE, waking_policy()), target, seed)[1] == plan


@settings(max_examples=40, deadline=None)
@given(arrivals, st.integers(0, 5), st.floats(0.5, 20), st.integers(1, 4))
def test_with_one_more_instance_nobody_waits_longer(arriving: Traffic, seed: int, mean: float, count: int) -> None:
    latency = Latency("exponential", mean)
    fleet = Fleet(ttl_s=1e9)
    few, more = (run(arriving, latency, fleet, (), ScalableTarget(n, n), seed)[0] for n in (count, count + 1))
    assert (more.starts <= few.starts + 1e-9).all()


@settings(max_examples=40, deadline=None)
@given(arrivals, st.integers(0, 5), st.integers(1, 4))
def test_where_requests_run_longer_nobody_starts_earlier(arriving: Traffic, seed: int, count: int) -> None:
    fleet = Fleet(ttl_s=1e9)
    fast, slow = (
        run(arriving, Latency("exponential", mean), fleet, (), ScalableTarget(count, count), seed)[0] for mean in (2, 3)
    )
    assert (slow.starts >= fast.starts - 1e-9).all()


def test_the_first_request_wakes_it_and_waits_as_long_as_an_instance_starts() -> None:
    found, plan = run(traffic(1234.5))
    assert found.starts[0] == 1234.5 + 60
    assert plan.peak == 1
    assert found.activities[0].cause == "a request waits and there is no instance"
    assert (plan.scale_outs, plan.scale_ins) == (1, 1)
    assert plan.timeline.desired[-1] == 0


def test_imitating_aws_a_request_below_the_target_expires_and_the_step_policy_saves_it() -> None:
    aws = msgspec.structs.replace(FIVE, imitate_aws=True)
    fleet = Fleet(ttl_s=3600.0)
    assert run(traffic(100.0), fleet=fleet, target=aws)[1].expired == 1
    found, plan = run(traffic(100.0), fleet=fleet, target=aws, policies=(ARTICLE, waking_policy()))
    assert (plan.finished, plan.scale_outs) == (1, 1)
    assert found.activities[0].started == 210, "two minutes' data points, the first of them begun before it came"


def test_the_article_goes_from_none_to_five_and_back() -> None:
    found, plan = run(bursts(0.0, 200, 1200.0, 1200.0, np.random.default_rng(0)), Latency("constant", 10.0))
    assert plan.finished == 200
    assert max(found.desired) == 5
    assert found.desired[-1] == 0
    assert found.activities[-1].after == 0
    ends = found.starts + found.occupied
    assert ends.max() == pytest.approx(600 + 60 + 200 / 5 * 10)
    assert plan.instance_hours * 3600 == pytest.approx(5 * (ends.max() - 600), rel=0.5)


def test_scale_in_ends_no_request_and_the_instance_is_paid_until_it_has_finished() -> None:
    long = traffic(*[0.0] * 20, 1.0, durations=np.array([1.0] * 20 + [3000.0]))
    found, plan = run(long, fleet=Fleet(timeout_s=3600.0), target=ScalableTarget(0, 4))
    assert plan.finished == 21
    assert found.responses.max() > 3000
    assert max(one.draining for one in found.readings) >= 0
    assert found.lives[:, 2].max() >= (found.starts + found.occupied).max()


def test_an_instance_that_drains_keeps_its_request_and_takes_no_other() -> None:
    falling = (msgspec.structs.replace(ARTICLE, scale_in_cooldown_s=0.0),)
    aws = ScalableTarget(1, 3, imitate_aws=True)
    times = traffic(*[0.0] * 40, 1500.0, durations=np.array([1.0] * 38 + [4000.0] * 2 + [1.0]))
    found, plan = run(times, fleet=Fleet(timeout_s=9e9, initial=3), policies=falling, target=aws)
    assert plan.finished == 41
    drained = [one for one in found.readings if one.draining]
    assert drained, "two long requests on three instances, and AWS's rule asks for one"
    assert all(one.running >= one.draining for one in drained)
    lasting = np.sort(found.lives[:, 2])
    assert (found.starts + found.occupied).max() in lasting


def test_a_request_that_outlasts_its_timeout_dies_after_its_attempts() -> None:
    fleet = Fleet(timeout_s=10.0, attempts=3, startup=Latency("constant", 0.0))
    found, plan = run(traffic(0.0, 1.0, durations=np.array([11.0, 9.0])), fleet=fleet, target=ScalableTarget(1, 1))
    assert (plan.dead, plan.finished) == (1, 1)
    assert found.starts[1] == 30.0
    assert found.responses.tolist() == [30.0 + 9.0 - 1.0]


def test_a_request_that_waits_longer_than_it_may_expires_and_takes_nobody_s_time() -> None:
    fleet = Fleet(ttl_s=60.0)
    times = traffic(0.0, 1.0, 99.0, durations=np.array([100.0, 1.0, 1.0]))
    found, plan = run(times, fleet=fleet, target=ScalableTarget(1, 1))
    assert plan.expired == 1
    assert math.isnan(found.starts[1])
    assert found.starts[2] == 100.0
    assert run(traffic(0.0), fleet=fleet, policies=(), target=ScalableTarget(0, 0))[1].expired == 1


def test_time_is_in_proportion_to_size_and_the_mean_is_kept() -> None:
    sized = traffic(0.0, 0.0, 0.0, sizes=np.array([1.0, 2.0, 6.0]))
    found, _ = run(sized, Latency("constant", 3.0), target=ScalableTarget(3, 3))
    assert found.occupied.tolist() == [1.0, 2.0, 6.0]


def test_what_is_paid_is_hours_times_the_price() -> None:
    fleet = Fleet(price_per_hour=1.5)
    _, plan = run(poisson(0.5, 3600, np.random.default_rng(1)), fleet=fleet, target=ScalableTarget(2, 2))
    assert plan.instance_hours == pytest.approx(2 * plan.seconds / 3600)
    assert plan.cost == pytest.approx(1.5 * plan.instance_hours)


def test_the_same_seed_gives_requests_the_same_times_whatever_scales_them() -> None:
    arriving, latency = poisson(1.0, 600, np.random.default_rng(2)), Latency("lognormal", 2.0, 1.0)
    one, other = (run(arriving, latency, target=ScalableTarget(0, most))[0] for most in (2, 9))
    assert (one.occupied == other.occupied).all()
    assert (run(arriving, latency, seed=1)[0].occupied != one.occupied).any()


def test_without_requests_there_is_nothing_to_tell_and_nothing_to_pay() -> None:
    _, plan = run(Traffic("none", np.array([]), 3600.0))
    assert (plan.arrived, plan.cost, plan.instance_hours, plan.peak) == (0, 0, 0, 0)
    assert plan.waiting.mean_s is None
    assert plan.seconds == 3600


def test_each_activity_leads_from_where_the_last_one_left() -> None:
    _, plan = run(bursts(0.05, 60, 900.0, 7200.0, np.random.default_rng(3)), Latency("exponential", 4.0))
    assert len(plan.activities) > 4
    pairs: list[tuple[Activity, Activity]] = list(zip(plan.activities, plan.activities[1:], strict=False))
    assert all(one.after == other.before for one, other in pairs)
    assert all(one.started < other.started for one, other in pairs)
