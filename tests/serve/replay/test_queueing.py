"""The replay agrees with queueing theory where that has a formula, within the confidence of seeded runs."""

import math

import numpy as np
import pytest
from scipy import stats

from modelwright.records.autoscaling import ScalableTarget
from modelwright.records.capacity import Fleet, Latency
from modelwright.serve.replay import Replay, poisson, replay

RUNS, WARM = 24, 0.2
SURE = 0.999


def runs(load: float, servers: int, latency: Latency, count: int = 20_000, concurrency: int = 1) -> list[Replay]:
    """Independent replays of a fixed number of slots at a load, from 0 to 1 of what they can do."""
    rate = load * servers * concurrency / latency.mean_s
    fleet = Fleet(interval_s=count / rate, ttl_s=1e12, timeout_s=1e9, concurrency=concurrency)
    fixed = ScalableTarget(servers, servers)
    return [
        replay(poisson(rate, count / rate, np.random.default_rng(seed)), latency, fleet, (), fixed, seed=seed)
        for seed in range(RUNS)
    ]


def steady(found: Replay) -> slice:
    """The requests after the queue has filled up as it will be."""
    return slice(int(WARM * len(found.arrivals)), None)


def agrees(values: list[float], told: float) -> bool:
    """Whether what theory tells lies in the confidence interval of the mean (Student's t)."""
    reach = stats.t.ppf((1 + SURE) / 2, len(values) - 1) * stats.sem(values)
    assert reach < 0.15 * told, "the interval is narrow enough to tell something"
    return bool(abs(np.mean(values) - told) <= reach)


def mean_waits(found: list[Replay]) -> list[float]:
    return [float((one.starts - one.arrivals)[steady(one)].mean()) for one in found]


def erlang_c(servers: int, offered: float) -> float:
    """Probability that a request waits in M/M/c (Erlang, 1917)."""
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    return last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)


EXPONENTIAL = Latency("exponential", 2.0)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_m_m_1(load: float) -> None:
    """Mean wait: load / (1 - load) x service time; share that wait: load."""
    found = runs(load, 1, EXPONENTIAL)
    assert agrees(mean_waits(found), 2.0 * load / (1 - load))
    assert agrees([float(np.mean(one.starts[steady(one)] > one.arrivals[steady(one)])) for one in found], load)


@pytest.mark.parametrize(("servers", "load"), [(2, 0.7), (5, 0.8), (20, 0.8)])
def test_m_m_c(servers: int, load: float) -> None:
    """Erlang C: mean wait is P(wait) x service time / (c (1 - load)), and a wait is exponential."""
    found = runs(load, servers, EXPONENTIAL, count=max(20_000, 4_000 * servers))
    waits = erlang_c(servers, load * servers)
    assert agrees([float(np.mean(one.starts[steady(one)] > one.arrivals[steady(one)])) for one in found], waits)
    assert agrees(mean_waits(found), waits * 2.0 / (servers * (1 - load)))
    usual = 2.0 / (servers * (1 - load))
    later = [float(np.mean((one.starts - one.arrivals)[steady(one)] > usual)) for one in found]
    assert agrees(later, waits / math.e)


def test_slots_of_one_instance_are_servers_like_any_other() -> None:
    found = runs(0.8, 1, EXPONENTIAL, concurrency=5)
    assert agrees(mean_waits(found), erlang_c(5, 4.0) * 2.0)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_m_d_1(load: float) -> None:
    """Constant times halve the wait."""
    assert agrees(mean_waits(runs(load, 1, Latency("constant", 2.0))), 2.0 * load / (1 - load) / 2)


@pytest.mark.parametrize("variation", [0.5, 1.5])
def test_m_g_1_by_pollaczek_and_khinchine(variation: float) -> None:
    """Mean wait: load / (1 - load) x service time x (1 + variation^2) / 2 (1930, 1932)."""
    found = runs(0.6, 1, Latency("lognormal", 2.0, variation))
    assert agrees(mean_waits(found), 0.6 / 0.4 * 2.0 * (1 + variation**2) / 2)


def test_m_g_1_of_a_measured_sample() -> None:
    sample = (0.5, 0.5, 0.5, 1.0, 7.5)
    second = float(np.mean(np.square(sample)))
    found = runs(0.6, 1, Latency("sample", 2.0, sample=sample))
    assert agrees(mean_waits(found), 0.6 / 2.0 * second / (2 * 0.4))


def test_littles_law_holds_exactly_over_a_busy_time_from_empty_to_empty() -> None:
    """L = lambda W (1961), with L counted from the events and W from the requests."""
    (found, *_) = runs(0.8, 3, EXPONENTIAL, count=3000)
    ends = found.starts + found.occupied
    span = ends.max()
    moments = np.concatenate((found.arrivals, ends))
    steps = np.concatenate((np.ones(len(ends)), -np.ones(len(ends))))
    order = np.argsort(moments, kind="stable")
    inside = np.cumsum(steps[order])[:-1]
    length = float((inside * np.diff(moments[order])).sum()) / span
    rate, stay = len(ends) / span, float((ends - found.arrivals).mean())
    assert length == pytest.approx(rate * stay, rel=1e-9)
    assert inside[-1] == 1


def test_utilization_is_the_load() -> None:
    found = runs(0.7, 4, EXPONENTIAL)
    busy = [float(one.occupied.sum() / (4 * (one.starts + one.occupied).max())) for one in found]
    assert agrees(busy, 0.7)
