"""A snapshot in Prometheus' text format 0.0.4 (prometheus.io, "Exposition formats")."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from modelwright.records import ServiceSnapshot
from modelwright.serve.state import Gathered, Total, middle_of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Of the histograms' buckets, seconds. A value within 1 % of one may be counted on its other side."""

_TIMES = {
    "RequestDownloadLatency": 1e-6,
    "ModelLatency": 1e-6,
    "ResponseUploadLatency": 1e-6,
    "TimeInBacklog": 1e-3,
    "TotalProcessingTime": 1e-3,
}
"""Metrics that are times -> seconds of their unit."""
_GAUGES = ("ApproximateBacklogSize", "ApproximateBacklogSizePerInstance", "ApproximateAgeOfOldestRequest",
           "HasBacklogWithoutCapacity")  # fmt: skip

Row = tuple[Mapping[str, str], float]


def exposition(snapshot: ServiceSnapshot, totals: Sequence[Total]) -> str:
    """The text.

    Args:
        snapshot: of the service.
        totals: of what is counted since the server began, as Prometheus expects of a counter.
    """
    lines: list[str] = []
    for name, help, rows in _gauges(snapshot):
        lines += _family(f"modelwright_{name}", "gauge", help, rows)
    for metric in sorted({one.name for one in totals} - set(_GAUGES)):
        found = [(_named(one.dimensions), one.gathered) for one in totals if one.name == metric]
        name = f"modelwright_{_snake(metric)}"
        if metric in _TIMES:
            name = f"{name.removesuffix('_latency').removesuffix('_time')}_seconds"
            lines += [f"# HELP {name} {metric} of requests.", f"# TYPE {name} histogram"]
            for labels, values in found:
                lines += _histogram(name, labels, values, _TIMES[metric])
        else:
            rows = [(labels, values.total) for labels, values in found]
            lines += _family(f"{name}_total", "counter", f"{metric}.", rows)
    return "\n".join(lines) + "\n"


def _histogram(name: str, labels: Mapping[str, str], values: Gathered, unit: float) -> Iterator[str]:
    """Of times, which are all known one by one; a unit is so many seconds."""
    spread = sorted((middle_of(bucket) * unit, count) for bucket, count in values.spread.items())
    for bound in _BOUNDS_S:
        below = sum(count for middle, count in spread if middle <= bound)
        yield f"{name}_bucket{_labels({**labels, 'le': f'{bound:g}'})} {below:.15g}"
    yield f"{name}_bucket{_labels({**labels, 'le': '+Inf'})} {values.count:.15g}"
    yield f"{name}_sum{_labels(labels)} {values.total * unit:.9g}"
    yield f"{name}_count{_labels(labels)} {values.count:.15g}"


def _gauges(snapshot: ServiceSnapshot) -> Iterable[tuple[str, str, list[Row]]]:
    every = snapshot.endpoints
    yield "info", "Of the server.", [({"version": snapshot.version, "region": snapshot.region}, 1.0)]
    yield "draining", "Whether the server takes nothing new.", [({}, float(snapshot.draining))]
    yield "undelivered_messages", "Messages that could not be delivered.", [({}, float(snapshot.undelivered))]
    for state in ("queued", "running"):
        rows: list[Row] = [({"endpoint": one.name}, float(getattr(one, state))) for one in every]
        yield f"requests_{state}", f"Requests that are {state}.", rows
    yield (
        "oldest_request_age_seconds",
        "Of the oldest request that is not finished.",
        [({"endpoint": one.name}, one.oldest_s) for one in every],
    )
    rows = [({"endpoint": one.name, "status": one.status}, 1.0) for one in every]
    yield "endpoint_status", "1 for the status that an endpoint has.", rows
    rows = [
        ({"endpoint": one.name, "variant": each.name}, float(each.wanted)) for one in every for each in one.variants
    ]
    yield "instances_wanted", "Instances that there shall be.", rows
    rows = []
    for one in every:
        for variant in one.variants:
            for status in ("starting", "ready", "draining"):
                count = sum((each.variant, each.status) == (variant.name, status) for each in one.instances)
                rows.append(({"endpoint": one.name, "variant": variant.name, "status": status}, float(count)))
    yield "instances", "Instances by what they are at.", rows


def _family(name: str, kind: str, help: str, rows: Iterable[Row]) -> list[str]:
    found = [f"{name}{_labels(labels)} {value:.15g}" for labels, value in rows]
    return [f"# HELP {name} {help}", f"# TYPE {name} {kind}", *found] if found else []


def _named(dimensions: str) -> dict[str, str]:
    short = {"EndpointName": "endpoint", "VariantName": "variant"}
    said = msgspec.json.decode(dimensions, type=dict[str, str])
    return {short[key]: value for key, value in said.items()}


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = (
        (key, value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")) for key, value in labels.items()
    )
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped) + "}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])", "_", name).lower()
