"""The action `serve plan`: instances, waiting times and cost of a fleet under a trace or made-up traffic."""

import argparse
import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwright.cli.amount import SECONDS, amount
from modelwright.cli.cells import show_note, show_table
from modelwright.cli.request import check_page, write_page
from modelwright.errors import SettingError
from modelwright.records import from_toml
from modelwright.records.autoscaling import BACKLOG_PER_INSTANCE, ScalableTarget, ScalingPolicy, TargetTracking
from modelwright.records.capacity import CapacityFindings, CapacityPlan, Fleet, Latency
from modelwright.report.serve_plan import latency_words, outcome, serve_plan_page
from modelwright.serve.replay import Traffic, bursts, diurnal, measured, poisson, read_trace, replay, summary
from modelwright.serve.scaling import waking_policy

TIMES = {**SECONDS, "min": 60.0, "h": 3600.0, "d": 86400.0}
RATES = {"/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600, "/d": 1 / 86400}

_EPILOG = """examples:
  modelwright serve plan --rate 2/s --latency exponential:3s --target 5 --max 5 10 20 --price 1.2
  modelwright serve plan --rate 1/s --swing 80% --duration 1d --latency lognormal:4s:1.5 --fixed 8
  modelwright serve plan --traffic trace.csv --latency sample:seconds.txt --report plan.html

A trace is a CSV file with the column "arrival" (seconds, or dates and times), and perhaps "duration" (seconds) and
"size" (a request's time is in proportion to it). Several targets, greatest capacities or fixed fleets are compared."""


class Policies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of policies.

    Attributes:
        policies: each with its `type`, TargetTrackingScaling or StepScaling.
    """

    policies: tuple[ScalingPolicy, ...]


Way = tuple[str, ScalableTarget, tuple[ScalingPolicy, ...]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare traffic, requests, fleet, scaling and forms."""
    parser.usage = "modelwright serve plan (--traffic FILE | --rate RATE) [--latency TIMES] [--target N ...] [options]"
    parser.epilog = _EPILOG
    add = parser.add_argument_group("traffic").add_argument
    add("--traffic", type=Path, metavar="FILE", help="a trace, as CSV")
    add("--rate", metavar="RATE", help="in place of a trace: requests, at random, such as 2/s, 30/min or 5000/d")
    add("--duration", default="1h", metavar="TIME", help="of traffic with a rate (default: %(default)s)")
    add("--swing", metavar="SHARE", help="the rate rises and falls so far about its mean, once a day from midnight")
    add("--burst", type=int, metavar="N", help="besides, so many requests at once")
    add("--every", default="1h", metavar="TIME", help="from burst to burst (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: %(default)s)")

    add = parser.add_argument_group("requests").add_argument
    add(
        "--latency",
        metavar="TIMES",
        help="how long one runs: 3s, exponential:3s, lognormal:3s:1.5 (mean, variation) or sample:FILE, a time a line",
    )
    add("--timeout", default="15min", metavar="TIME", help="of an attempt (default: %(default)s)")
    add("--attempts", type=int, default=3, metavar="N", help="of a request that times out (default: %(default)s)")
    add("--ttl", default="6h", metavar="TIME", help="a request that waits longer expires (default: %(default)s)")

    add = parser.add_argument_group("instances").add_argument
    add("--concurrency", type=int, default=1, metavar="N", help="requests at once on each (default: %(default)s)")
    add("--startup", default="60s", metavar="TIMES", help="until one is ready, as --latency (default: %(default)s)")
    add("--initial", type=int, default=0, metavar="N", help="at the beginning (default: the least)")
    add("--price", type=float, default=0.0, metavar="X", help="of an instance for an hour")
    _add_scaling(parser.add_argument_group("scaling").add_argument)
    add = parser.add_argument_group("forms").add_argument
    add("--json", action="store_true", help="print JSON")
    add("--report", "--html", dest="html", type=Path, metavar="FILE", help="write a page that opens offline, too")


def _add_scaling(add: Callable[..., Any]) -> None:
    add(
        "--target",
        type=float,
        nargs="+",
        metavar="N",
        help="of the metric, with target tracking (default: 5)",
    )
    add("--metric", default=BACKLOG_PER_INSTANCE, metavar="NAME", help="that is tracked (default: %(default)s)")
    add("--min", type=int, default=0, metavar="N", help="instances at least (default: %(default)s)")
    add("--max", type=int, nargs="+", metavar="N", help="instances at most (default: 5)")
    add("--scale-out-cooldown", default="300s", metavar="TIME", help="(default: %(default)s)")
    add("--scale-in-cooldown", default="300s", metavar="TIME", help="(default: %(default)s)")
    add("--wake-policy", action="store_true", help="add AWS's step policy on HasBacklogWithoutCapacity")
    add("--policies", type=Path, metavar="FILE", help="in place of a target: policies in a TOML file")
    add("--imitate-aws", action="store_true", help="alarms of 3 and 15 minutes, and no waking on the first request")
    add("--fixed", type=int, nargs="+", default=[], metavar="N", help="also fleets of so many that do not scale")
    add("--interval", default="10s", metavar="TIME", help="between two decisions (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Replay the traffic through each way of scaling, and show what came of it."""
    check_page(arguments.html)
    fleet, ways = _fleet(arguments), _ways(arguments)
    traffic = _traffic(arguments)
    latency = _latency(arguments, traffic)
    plans = [_plan(traffic, latency, fleet, way, arguments.seed) for way in ways]
    found = CapacityFindings(
        traffic=traffic.name,
        requests=len(traffic.arrivals),
        duration_s=traffic.duration_s,
        busiest=traffic.busiest,
        latency=latency_words(None if traffic.durations is not None else latency, sized=traffic.sizes is not None),
        fleet=fleet,
        seed=arguments.seed,
        plans=tuple(plans),
    )
    if arguments.html:
        write_page(arguments.html, serve_plan_page(found, made_by=_made_by(arguments)))
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        _show(found)
    return 0


def _plan(traffic: Traffic, latency: Latency, fleet: Fleet, way: Way, seed: int) -> CapacityPlan:
    name, target, policies = way
    found = replay(traffic, latency, fleet, policies, target, seed=seed)
    return summary(found, fleet, policies, target, name)


def _show(found: CapacityFindings) -> None:
    show_table(outcome(found))
    print()
    show_note(f"{found.requests} requests ({found.traffic}), {found.latency}. Waiting: from arrival to start.")
    show_note("lost: expired, or out of attempts. busy: share of the time that was paid and ready. peak: instances.")


def _traffic(arguments: argparse.Namespace) -> Traffic:
    """The trace, or what the rate makes."""
    if (arguments.traffic is None) == (arguments.rate is None):
        raise SettingError("either a trace or a rate must be given", where="--traffic, --rate")
    if arguments.traffic is not None:
        if arguments.swing or arguments.burst:
            raise SettingError("a trace is taken as it is", where="--swing, --burst", way_out="Give a --rate.")
        return read_trace(arguments.traffic)
    random = np.random.default_rng([arguments.seed, 2])
    rate = amount(arguments.rate, RATES, "--rate")
    duration_s = amount(arguments.duration, TIMES, "--duration")
    if arguments.swing and arguments.burst:
        raise SettingError("traffic swings or has bursts", where="--swing, --burst", way_out="Leave one out.")
    if arguments.swing:
        swing = amount(arguments.swing, {"%": 0.01, "": 1.0}, "--swing")
        if swing > 1:
            raise SettingError("a rate must not fall below zero", where="--swing", value=arguments.swing)
        return diurnal(rate, swing, duration_s, random)
    if arguments.burst:
        size = _count(arguments.burst, "--burst")
        return bursts(rate, size, amount(arguments.every, TIMES, "--every"), duration_s, random)
    return poisson(rate, duration_s, random)


def _latency(arguments: argparse.Namespace, traffic: Traffic) -> Latency:
    """How long requests run; the trace's own durations go before."""
    if traffic.durations is not None:
        if arguments.latency:
            way_out = "Leave out --latency, or take the column out of the trace."
            raise SettingError("the trace tells how long each request runs", where="--latency", way_out=way_out)
        return Latency("constant", float(traffic.durations.mean()))
    if not arguments.latency:
        way_out = "Such as 3s, exponential:3s or sample:FILE; or give the trace a column 'duration'."
        raise SettingError("it must be known how long a request runs", where="--latency", way_out=way_out)
    return _times(arguments.latency, "--latency")


def _times(text: str, option: str) -> Latency:
    """The distribution that words such as "3s", "lognormal:3s:1.5" or "sample:FILE" stand for."""
    kind, _, rest = text.rpartition(":") if text.count(":") == 0 else text.partition(":")
    if kind == "sample":
        return measured(Path(rest))
    mean, _, variation = rest.partition(":")
    if kind not in ("", "constant", "exponential", "lognormal") or (variation and kind != "lognormal"):
        way_out = "Such as 3s, exponential:3s, lognormal:3s:1.5 or sample:FILE."
        raise SettingError("times must be of a known distribution", where=option, value=text, way_out=way_out)
    spread = amount(variation, {"": 1.0}, option) if variation else 1.0 if kind == "lognormal" else 0.0
    return Latency(kind or "constant", _time(mean, option), spread)  # type: ignore[arg-type]  # looked up above


def _time(text: str, option: str) -> float:
    """A time that may be 0."""
    return 0.0 if text.strip() in ("0", "0s") else amount(text, TIMES, option)


def _fleet(arguments: argparse.Namespace) -> Fleet:
    if not (math.isfinite(arguments.price) and arguments.price >= 0):
        raise SettingError("a price must be zero or more", where="--price", value=arguments.price)
    return Fleet(
        concurrency=_count(arguments.concurrency, "--concurrency"),
        startup=_times(arguments.startup, "--startup"),
        timeout_s=amount(arguments.timeout, TIMES, "--timeout"),
        attempts=_count(arguments.attempts, "--attempts"),
        ttl_s=amount(arguments.ttl, TIMES, "--ttl"),
        initial=_count(arguments.initial, "--initial", least=0),
        interval_s=amount(arguments.interval, TIMES, "--interval"),
        price_per_hour=arguments.price,
    )


def _ways(arguments: argparse.Namespace) -> list[Way]:
    """Every greatest capacity with every target, or with the policies of the file; then the fixed fleets."""
    least = _count(arguments.min, "--min", least=0)
    most = [_count(one, "--max", least=least) for one in arguments.max or [max(5, least)]]
    fixed = [_count(one, "--fixed") for one in arguments.fixed]
    found: list[Way] = []
    for name, policies in _policies(arguments):
        for one in most:
            target = ScalableTarget(least, one, arguments.imitate_aws, concurrency=arguments.concurrency)
            found.append((f"{name}, {least} to {one}", target, policies))
    return found + [(f"always {one}", ScalableTarget(one, one), ()) for one in fixed]


def _policies(arguments: argparse.Namespace) -> list[tuple[str, tuple[ScalingPolicy, ...]]]:
    """Sets of policies, by name."""
    wake = (waking_policy(),) if arguments.wake_policy else ()
    if arguments.policies:
        if arguments.target:
            raise SettingError("policies come from a file or from a target", where="--policies, --target")
        path: Path = arguments.policies
        read = from_toml(path.read_text(encoding="utf-8"), Policies, where=str(path)).policies
        names = [one.name for one in (*read, *wake)]
        if len(set(names)) < len(names):
            raise SettingError("each policy must have a name of its own", where=str(path), value=", ".join(names))
        return [(path.name, (*read, *wake))]
    if arguments.fixed and not arguments.target and not arguments.max:
        return []
    out, inward = (
        _time(getattr(arguments, f"scale_{way}_cooldown"), f"--scale-{way}-cooldown") for way in ("out", "in")
    )
    found: list[tuple[str, tuple[ScalingPolicy, ...]]] = []
    for value in arguments.target or [5.0]:
        if not (math.isfinite(value) and value > 0):
            raise SettingError("a target must be above zero", where="--target", value=value)
        found.append((f"target {value:g}", (TargetTracking("target", value, arguments.metric, out, inward), *wake)))
    return found


def _count(value: int, option: str, *, least: int = 1) -> int:
    if value < least:
        raise SettingError(f"there must be {least} at least", where=option, value=value)
    return value


def _made_by(arguments: argparse.Namespace) -> str:
    """The words that make the page again."""
    words = ["modelwright", "serve", "plan"]
    for name, value in vars(arguments).items():
        if name not in ("action", "act", "json", "html") and value not in (None, False, []):
            values = value if isinstance(value, list) else [] if value is True else [value]
            given = [f"{one:g}" if isinstance(one, float) else str(one) for one in values]
            words += [f"--{name.replace('_', '-')}", *given]
    return shlex.join(words)
