"""What a fleet of instances would do under some traffic: how it is replayed, and what came of it."""

from typing import Literal

import msgspec

from modelwright.records.autoscaling import Activity, ScalableTarget, ScalingPolicy
from modelwright.records.platform import Count, NotNegative, Positive
from modelwright.records.recipe import Share, Whole


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long something takes, as a distribution.

    Attributes:
        kind: "sample" draws from what was measured, each value as likely as the others.
        mean_s: of the distribution; of a sample it is the sample's own.
        variation: standard deviation over the mean, of "lognormal"; an exponential one has 1, a constant 0.
        sample: what was measured, seconds.
    """

    kind: Literal["constant", "exponential", "lognormal", "sample"]
    mean_s: NotNegative
    variation: NotNegative = 0.0
    sample: tuple[NotNegative, ...] = ()


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The instances, and the rules that hold for a request.

    Attributes:
        concurrency: requests that an instance works on at once.
        startup: from asking for an instance until it takes requests.
        timeout_s: an attempt that lasts longer is ended.
        attempts: of a request; after the last one it is dead.
        ttl_s: a request that waits longer expires.
        initial: instances at the beginning, ready; raised to the least capacity.
        interval_s: between two decisions.
        tail_s: how long to go on at most when all requests are done, until capacity has fallen to its least.
        price_per_hour: of an instance, from asking for it until it stops; 0 where it is unknown.
    """

    concurrency: Count = 1
    startup: Latency = Latency("constant", 60.0)
    timeout_s: Positive = 900.0
    attempts: Count = 3
    ttl_s: Positive = 21600.0
    initial: Whole = 0
    interval_s: Positive = 10.0
    tail_s: NotNegative = 3600.0
    price_per_hour: NotNegative = 0.0


class Spread(msgspec.Struct, frozen=True):
    """How a duration is spread over the requests that have one, in seconds; all None where none has."""

    mean_s: float | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None


class Timeline(msgspec.Struct, frozen=True):
    """The replay over time, in slices of equal length; all tuples are as long as there are slices.

    Attributes:
        slice_s: length of one.
        arrived: requests in it.
        backlog: the most that waited or ran at one moment of it.
        instances, starting, draining: the most at one moment of it.
        desired: the capacity that was sought at its end.
    """

    slice_s: Positive
    arrived: tuple[int, ...]
    backlog: tuple[int, ...]
    instances: tuple[int, ...]
    starting: tuple[int, ...]
    draining: tuple[int, ...]
    desired: tuple[int, ...]


class CapacityPlan(msgspec.Struct, frozen=True):
    """One way to scale a fleet, and what came of it. arrived = finished + dead + expired + unfinished.

    Attributes:
        name: that tells it from the others.
        target: limits of the capacity.
        policies: that scaled it.
        arrived: requests.
        finished: with an answer.
        dead: all attempts timed out.
        expired: waited longer than they may.
        unfinished: waited or ran at the end.
        waiting: from arrival to start, of all that were started.
        response: from arrival to answer, of the finished.
        seconds: that were replayed.
        instance_hours: paid, from asking for an instance until it stopped.
        cost: of these; 0 where no price was given.
        utilization: busy share of the slots of instances that took requests.
        peak: most instances at once, those that start and drain included.
        scale_outs, scale_ins: how often capacity was raised and lowered.
        activities: each change of capacity.
        timeline: the course of it.
    """

    name: str
    target: ScalableTarget
    policies: tuple[ScalingPolicy, ...]
    arrived: Whole
    finished: Whole
    dead: Whole
    expired: Whole
    unfinished: Whole
    waiting: Spread
    response: Spread
    seconds: NotNegative
    instance_hours: NotNegative
    cost: NotNegative
    utilization: Share
    peak: Whole
    scale_outs: Whole
    scale_ins: Whole
    activities: tuple[Activity, ...]
    timeline: Timeline


class CapacityFindings(msgspec.Struct, frozen=True):
    """Ways to scale one fleet under the same traffic.

    Attributes:
        traffic: where it is from, in words.
        requests: of it.
        duration_s: of it.
        busiest: most requests within a minute.
        latency: how long a request runs, in words.
        fleet: instances and rules.
        seed: of all draws.
        plans: in the order asked for.
    """

    traffic: str
    requests: Whole
    duration_s: NotNegative
    busiest: Whole
    latency: str
    fleet: Fleet
    seed: Whole
    plans: tuple[CapacityPlan, ...]
