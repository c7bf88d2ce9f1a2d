"""What is counted is what happened; what the autoscaler reads is what is there; what is over is forgotten in time."""

import pytest

from modelwright.clock import ManualClock
from modelwright.errors import SettingError, UnknownNameError
from modelwright.records import Answer, EndpointSettings, InstanceRecord, Invocation
from modelwright.serve.state import (
    GAUGES,
    Gathered,
    State,
    accept,
    add_instance,
    cancel,
    claim,
    clean_up,
    complete,
    counts,
    delivered,
    dimensions_of,
    due,
    endpoint_dimensions,
    listed,
    messages,
    put,
    reading,
    request,
    requests,
    requests_named,
    sample,
    series,
    set_instance,
)

AWS = "AWS/SageMaker"
ALWAYS = (0.0, 1e12)


def come(state: State, *names: str, endpoint: str = "summarizer") -> list[int]:
    return [state.submit(accept, Invocation(endpoint, name, "s3://b/in")).result().number for name in names]


def finish(state: State, model_s: float, endpoint: str = "summarizer") -> int:
    (lease,) = state.submit(claim, "one", "main", [endpoint]).result()
    assert state.submit(complete, lease.number, lease.token, Answer(200, model_s=model_s)).result()
    return lease.number


def test_a_minute_gathers_its_values(state: State, clock: ManualClock) -> None:
    come(state, *"abcd")
    for model_s in (0.5, 0.1, 0.3):
        finish(state, model_s)
    clock.advance(60.0)
    finish(state, 7.0)
    where = endpoint_dimensions("summarizer", "main")
    first, second = state.read(series, AWS, "ModelLatency", where, ALWAYS)
    assert (first.count, first.least, first.most) == (3, 100_000.0, 500_000.0)
    assert first.mean == pytest.approx(300_000.0)
    assert (second.at - first.at, second.count, second.total) == (60.0, 1, 7_000_000.0)
    assert first.at % 60 == 0
    assert state.read(series, AWS, "ModelLatency", where, (second.at, second.at + 60)) == [second]
    assert state.read(series, AWS, "ModelLatency", endpoint_dimensions("summarizer"), ALWAYS) == []


def test_what_clients_put_is_kept_beside_under_its_own_names(state: State) -> None:
    where = dimensions_of({"b": "2", "a": "1"})
    assert where == '{"a":"1","b":"2"}'
    for values in ((1.0, 5.0, 5.0, 5.0), (2.0, 5.0, 1.0, 4.0)):
        state.submit(put, "Mine", "Depth", where, 6061.0, Gathered(*values, {})).result()
    (found,) = state.read(series, "Mine", "Depth", where, ALWAYS)
    assert (found.at, found.count, found.total, found.least, found.most) == (6060.0, 3.0, 10.0, 1.0, 5.0)
    assert state.read(listed, "Mine") == [("Mine", "Depth", {"a": "1", "b": "2"})]
    assert state.read(listed, name="Width") == []


def test_counts_of_every_run_are_added_up(new_database, clock: ManualClock, furnish) -> None:
    address = new_database()
    for run in range(3):
        state = State.open(address, clock)
        if not run:
            furnish(state)
        come(state, f"{run}")
        finish(state, 1.0)
        state.close()
    state = State.open(address, clock)
    (found,) = state.read(series, AWS, "InvocationsProcessed", endpoint_dimensions("summarizer", "main"), ALWAYS)
    assert found.count == found.total == 3
    state.close()


def test_a_reading_counts_what_waits_what_runs_and_who_works(state: State, clock: ManualClock, furnish) -> None:
    furnish(state, "other")
    come(state, "x", endpoint="other")
    empty = state.read(reading, state.now(), "summarizer", "main")
    assert (empty.backlog, empty.capacity, empty.oldest_age_s) == (0, 0, 0.0)
    come(state, "a")
    clock.advance(30.0)
    come(state, "b", "c")
    for number, status in enumerate(("ready", "ready", "starting", "draining")):
        state.submit(add_instance, InstanceRecord(f"{number}", "summarizer", "main")).result()
        state.submit(set_instance, f"{number}", status).result()
    state.submit(claim, "0", "main", ["summarizer"]).result()
    clock.advance(10.0)
    read = state.read(reading, state.now(), "summarizer", "main")
    assert (read.queued, read.running, read.instances, read.starting, read.draining) == (2, 1, 2, 1, 1)
    assert read.oldest_age_s == pytest.approx(40.0)
    assert read.at == pytest.approx(state.now().t)
    assert read.metric("ApproximateBacklogSizePerInstance") == 1.5
    with pytest.raises(UnknownNameError):
        state.read(reading, state.now(), "nobody")


def test_a_reading_tells_the_means_of_the_last_whole_minute(state: State, clock: ManualClock) -> None:
    come(state, *"abc")
    finish(state, 0.2)
    finish(state, 0.4)
    assert state.read(reading, state.now(), "summarizer", "main").metric("ModelLatency") is None
    clock.advance(60.0)
    finish(state, 9.0)
    assert state.read(reading, state.now(), "summarizer", "main").metric("ModelLatency") == pytest.approx(300_000.0)
    clock.advance(120.0)
    assert state.read(reading, state.now(), "summarizer", "main").metric("ModelLatency") is None


def test_gauges_are_sampled_of_each_asynchronous_endpoint(state: State, clock: ManualClock) -> None:
    come(state, "a", "b")
    clock.advance(12.0)
    state.submit(sample).result()
    found = {
        name: [one.total for one in state.read(series, AWS, name, endpoint_dimensions("summarizer"), ALWAYS)]
        for name in GAUGES
    }
    assert found == {
        "ApproximateBacklogSize": [2.0],
        "ApproximateBacklogSizePerInstance": [2.0],
        "ApproximateAgeOfOldestRequest": [pytest.approx(12.0)],
        "HasBacklogWithoutCapacity": [1.0],
    }


def test_what_has_ended_is_forgotten_after_its_time_and_not_before_it_was_told(
    state: State, clock: ManualClock, furnish
) -> None:
    furnish(state, "telling", EndpointSettings("s3://b/out", success_topic="http://r/", keep_s=100.0))
    done, told = come(state, "a", "b", endpoint="telling")
    (waiting,) = come(state, "c")
    finish(state, 1.0, "telling")
    finish(state, 1.0, "telling")
    (first, _) = state.submit(due).result()
    state.submit(delivered, first.number).result()
    clock.advance(99.0)
    assert state.submit(clean_up).result() == 0
    clock.advance(1.0)
    assert state.submit(clean_up).result() == 1
    assert state.read(request, done) is None
    assert state.read(request, told) is not None, "its message still waits"
    clock.advance(8 * 86_400.0)
    assert state.submit(clean_up).result() == 1, "the message that was delivered"
    for message in state.submit(due).result():
        state.submit(delivered, message.number).result()
    assert state.submit(clean_up).result() == 1
    assert state.read(messages)[0].request == told
    assert state.read(request, waiting) is not None, "what waits is swept and not forgotten"


def test_metrics_are_forgotten_after_fifteen_days(state: State, clock: ManualClock) -> None:
    come(state, "a")
    clock.advance(14.9 * 86_400.0)
    state.submit(clean_up).result()
    assert state.read(listed)
    clock.advance(0.2 * 86_400.0)
    state.submit(clean_up).result()
    assert state.read(listed) == []


def test_forgetting_goes_little_by_little(state: State, clock: ManualClock, furnish) -> None:
    furnish(state, "brief", EndpointSettings("s3://b/out", keep_s=1.0))
    come(state, *"abcde", endpoint="brief")
    for name in "abcde":
        state.submit(cancel, "brief", name).result()
    clock.advance(1.0)
    assert [state.submit(clean_up, 2).result() for _ in range(4)] == [2, 2, 1, 0]


def test_lists_of_requests_come_page_by_page_in_either_order(state: State, clock: ManualClock, furnish) -> None:
    furnish(state, "other")
    begin = state.now().at
    for number in range(9):
        come(state, f"{number}", endpoint="other" if number % 3 == 2 else "summarizer")
        clock.advance(10.0)
    finish(state, 1.0)

    def numbers(endpoint: str = "", states=(), **wanted) -> list[int]:
        return [record.number for record in state.read(requests, endpoint, states, **wanted).records]

    assert numbers() == list(range(9, 0, -1))
    assert numbers("other", newest_first=False) == [3, 6, 9]
    assert numbers(states=["completed"]) == [1]
    assert numbers("summarizer", ["queued", "running"], accepted=(begin + 10, begin + 40)) == [4, 2]
    found, after = [], None
    while True:
        page = state.read(requests, "summarizer", after=after, limit=2)
        found += [record.number for record in page.records]
        come(state, f"later-{len(found)}")
        after = page.after
        if after is None:
            break
    assert found == [8, 7, 5, 4, 2, 1], "what comes meanwhile moves nothing"
    assert state.read(counts)["other"] == {"queued": 3}
    assert state.read(requests_named, "nobody") == []
    for broken in ({"limit": 0}, {"states": ["asleep"]}):
        with pytest.raises(SettingError):
            state.read(requests, **broken)
