"""What is watched: no request is lost between two resolutions, and Prometheus can read what it is told."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelwright.records import EndpointSnapshot, InstanceSnapshot, ServiceSnapshot, VariantSnapshot
from modelwright.records.watching import Point
from modelwright.serve.state import AWS, Gathered, Total, endpoint_dimensions
from modelwright.serve.watching import History, exposition

numbers = st.integers(0, 50)
LINE = re.compile(r'([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.e+-]+)')


@given(st.lists(st.tuples(st.floats(0.2, 40.0), numbers, numbers, numbers), max_size=60))
def test_the_coarse_history_holds_the_sum_of_all_ends_and_the_most_of_all_else(steps: list[Any]) -> None:
    history, at, points = History(), 1_000_000.0, []
    for step, queued, ready, ended in steps:
        at += step
        points.append(Point(at, queued, 0, ready, 0, 0, ready, ended))
        history.add(points[-1])
    coarse = history.points(coarse=True)
    assert sum(one.ended for one in coarse) == sum(one.ended for one in points)
    assert len({one.at for one in coarse}) == len(coarse)
    for one in coarse:
        within = [point for point in points if one.at <= point.at < one.at + 15.0]
        assert one.queued == max(point.queued for point in within)
        assert one.ready == max(point.ready for point in within)
    assert history.points() == points
    if points:
        assert history.points(points[0].at) == points[1:]


def snapshot(name: str) -> ServiceSnapshot:
    variant = VariantSnapshot("main", "model", 2, 0, 5)
    instance = InstanceSnapshot("one-1", "main", "ready", 1)
    endpoint = EndpointSnapshot(name, "InService", "", True, (variant,), (instance,), 3, 1, 2.5, {"completed": 7}, 0.5)
    return ServiceSnapshot(1.0, "0", "us-east-1", "bucket", 1.0, False, 0, (endpoint,))


@given(st.text(min_size=1, max_size=12))
def test_every_line_for_prometheus_is_one_that_it_reads_and_none_comes_twice(name: str) -> None:
    where = endpoint_dimensions(name, "main")
    latency = Gathered.one(1e6)
    latency.take(Gathered.one(2e6))
    totals = [
        Total(AWS, "InvocationsProcessed", where, Gathered(7.0, 7.0, 1.0, 1.0, {})),
        Total(AWS, "ModelLatency", where, latency),
        Total(AWS, "TimeInBacklog", where, Gathered.one(500.0)),
        Total(AWS, "Invocation4XXErrors", where, Gathered(7.0, 1.0, 0.0, 1.0, {})),
        Total(AWS, "ApproximateBacklogSize", where, Gathered.one(4.0)),
    ]
    text = exposition(snapshot(name), totals)
    assert text.endswith("\n")
    samples = {}
    for line in text[:-1].split("\n"):
        if line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        assert found, line
        key = found[1], found[2]
        assert key not in samples
        samples[key] = float(found[3])
    by_name: dict[str, list[float]] = {}
    for (metric, _), value in samples.items():
        by_name.setdefault(metric, []).append(value)
    assert by_name["modelwright_requests_queued"] == [3.0]
    assert by_name["modelwright_invocations_processed_total"] == [7.0]
    assert by_name["modelwright_model_seconds_sum"] == [3.0]
    assert by_name["modelwright_model_seconds_bucket"] == sorted(by_name["modelwright_model_seconds_bucket"])
    bounds = {key[1].rpartition('le="')[2]: value for key, value in samples.items() if "model_seconds_b" in key[0]}
    assert [bounds[f'{bound}"}}'] for bound in ("0.5", "2.5", "+Inf")] == [0.0, 2.0, 2.0]
    assert by_name["modelwright_model_seconds_count"] == [2.0]
    assert by_name["modelwright_time_in_backlog_seconds_sum"] == [0.5]
    assert "modelwright_approximate_backlog_size_total" not in by_name
    assert by_name["modelwright_invocation_4_xx_errors_total"] == [1.0]
    assert sorted(by_name["modelwright_instances"]) == [0.0, 0.0, 1.0]
