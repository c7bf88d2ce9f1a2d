"""A snapshot in Prometheus' text format 0.0.4 (prometheus.io, "Exposition formats")."""

import re
from collections.abc import Iterable, Mapping, Sequence

from modelwright.records import ServiceSnapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Totals = Sequence[tuple[str, str, Mapping[str, str], float, float]]
"""Of each metric: namespace, name, dimensions, number of values and their sum."""

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


def exposition(snapshot: ServiceSnapshot, totals: Totals) -> str:
    """The text.

    Args:
        snapshot: of the service.
        totals: of what is counted; a counter falls when old minutes are forgotten, which Prometheus takes for a
            restart.
    """
    lines: list[str] = []
    for name, help, rows in _gauges(snapshot):
        lines += _family(f"modelwright_{name}", "gauge", help, rows)
    for namespace, metric in sorted({(one[0], one[1]) for one in totals}):
        if namespace not in ("AWS/SageMaker", "Modelwright/Serve") or metric in _GAUGES:
            continue
        found = [
            (dimensions, count, total)
            for space, name, dimensions, count, total in totals
            if (space, name) == (namespace, metric)
        ]
        name = f"modelwright_{_snake(metric)}"
        if metric in _TIMES:
            name = f"{name.removesuffix('_latency').removesuffix('_time')}_seconds"
            lines += [f"# HELP {name} {metric} of requests.", f"# TYPE {name} summary"]
            for dimensions, count, total in found:
                labels = _labels(_named(dimensions))
                lines += [f"{name}_sum{labels} {total * _TIMES[metric]:.9g}", f"{name}_count{labels} {count:.15g}"]
        else:
            rows = [(_named(dimensions), total) for dimensions, _, total in found]
            lines += _family(f"{name}_total", "counter", f"{metric}.", rows)
    return "\n".join(lines) + "\n"


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


def _named(dimensions: Mapping[str, str]) -> dict[str, str]:
    short = {"EndpointName": "endpoint", "VariantName": "variant"}
    return {short.get(key, re.sub(r"\W", "_", key)): value for key, value in dimensions.items()}


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = (
        (key, value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")) for key, value in labels.items()
    )
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped) + "}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])", "_", name).lower()
