"""A request goes one way through its states, and nothing of it is lost or done twice."""

import pytest
from msgspec.structs import replace

from modelwright.clock import ManualClock
from modelwright.errors import ConflictError, RecordError, UnknownNameError
from modelwright.records import Answer, EndpointSettings, Invocation, Lease, RequestState, Retry
from modelwright.serve.state import (
    State,
    accept,
    cancel,
    cancel_queued,
    claim,
    complete,
    fail,
    give_back,
    lose,
    redrive,
    renew,
    request,
    requests_named,
)

ANSWER = Answer(200, "application/json", 12, 0.01, 0.5, 0.02)


def ask(name: str, **changes: object) -> Invocation:
    return replace(Invocation("summarizer", name, f"s3://bucket/{name}"), **changes)


def put(state: State, name: str, **changes: object) -> int:
    return state.submit(accept, ask(name, **changes)).result().number


def take(state: State, count: int = 1, instance: str = "one") -> list[Lease]:
    return state.submit(claim, instance, "main", ["summarizer"], count).result()


def standing(state: State, number: int) -> RequestState:
    record = state.read(request, number)
    assert record is not None
    return record.state


def counted(state: State, name: str) -> float:
    return sum(one.gathered.total for one in state.totals() if one.name == name)


def test_an_answer_ends_a_request_once_and_every_later_one_is_refused_and_marked(state: State) -> None:
    number = put(state, "a")
    (lease,) = take(state)
    assert state.submit(complete, number, lease.token, ANSWER).result()
    assert not state.submit(complete, number, lease.token, replace(ANSWER, bytes=99)).result()
    assert state.submit(fail, number, lease.token, "too late").result() is None
    record = state.read(request, number)
    assert record is not None
    assert (record.state, record.answer, record.duplicates, record.server) == ("completed", ANSWER, 2, None)
    assert counted(state, "DuplicateAnswers") == 2
    assert counted(state, "InvocationsProcessed") == 1


def test_the_answer_of_an_attempt_that_was_given_up_is_refused_whatever_the_next_one_does(state: State) -> None:
    number = put(state, "a")
    (first,) = take(state)
    assert state.submit(lose, number, first.token, "its instance was killed").result() == "queued"
    assert not state.submit(complete, number, first.token, ANSWER).result()
    (second,) = take(state, instance="two")
    assert (second.number, second.attempt) == (number, 2)
    assert second.token > first.token
    assert not state.submit(complete, number, first.token, ANSWER).result()
    assert state.submit(complete, number, second.token, ANSWER).result()


def test_a_higher_priority_runs_first_and_of_equal_ones_the_older(state: State) -> None:
    for name, priority in (("low", -5), ("first", 0), ("second", 0), ("high", 7)):
        put(state, name, priority=priority)
    order = [lease.invocation.inference_id for lease in [*take(state), *take(state, 3)]]
    assert order == ["high", "first", "second", "low"]
    assert take(state) == []


def test_an_instance_of_several_endpoints_shares_itself_among_them_evenly(state: State, furnish) -> None:
    furnish(state, "other")
    for number in range(6):
        put(state, f"many-{number}")
    for number in range(2):
        state.submit(accept, Invocation("other", f"few-{number}", "s3://bucket/in")).result()
    state.submit(accept, Invocation("other", "urgent", "s3://bucket/in", priority=1)).result()
    taken = state.submit(claim, "one", "main", ["summarizer", "other"], 5).result()
    assert [lease.invocation.endpoint for lease in taken] == [
        "other",
        "summarizer",
        "summarizer",
        "other",
        "summarizer",
    ]
    assert taken[0].invocation.inference_id == "urgent"


def test_the_same_request_again_is_answered_with_the_first_and_another_of_its_id_is_refused(state: State) -> None:
    number = put(state, "a", output_location="s3://bucket/out/1")
    again = state.submit(accept, ask("a", output_location="s3://bucket/out/2")).result()
    assert (again.number, again.invocation.output_location) == (number, "s3://bucket/out/1")
    (lease,) = take(state)
    state.submit(complete, number, lease.token, ANSWER).result()
    assert state.submit(accept, ask("a")).result().state == "completed"
    for other in (ask("a", input_location="s3://bucket/b"), ask("a", priority=1), ask("a", input_digest="00")):
        with pytest.raises(ConflictError, match="same in all that they ask"):
            state.submit(accept, other).result()
    assert len(state.read(requests_named, "a")) == 1
    assert counted(state, "AcceptedRequests") == 1


def test_the_same_id_at_two_endpoints_is_two_requests(state: State, furnish) -> None:
    furnish(state, "other")
    put(state, "a")
    state.submit(accept, Invocation("other", "a", "s3://bucket/in")).result()
    assert [record.invocation.endpoint for record in state.read(requests_named, "a")] == ["summarizer", "other"]
    assert len(state.read(requests_named, "a", "other")) == 1


@pytest.mark.parametrize("attempts", [1, 3])
def test_attempts_without_an_answer_are_used_up_and_then_the_request_is_dead(
    state: State, furnish, attempts: int
) -> None:
    furnish(state, "other", EndpointSettings("s3://bucket/out", retry=Retry(attempts=attempts)))
    number = state.submit(accept, Invocation("other", "a", "s3://bucket/in")).result().number
    for attempt in range(1, attempts + 1):
        (lease,) = state.submit(claim, "one", "main", ["other"]).result()
        assert lease.attempt == attempt
        left = state.submit(lose, number, lease.token, "it hung").result()
        assert left == ("dead" if attempt == attempts else "queued")
    assert state.submit(claim, "one", "main", ["other"]).result() == []
    record = state.read(request, number)
    assert record is not None
    assert (record.state, record.reason, record.attempts) == ("dead", "it hung", attempts)
    assert counted(state, "InvocationFailures") == counted(state, "DeadRequests") == 1


def test_the_dead_come_back_as_if_they_had_just_been_accepted(state: State, clock: ManualClock, furnish) -> None:
    furnish(state, "other", EndpointSettings("s3://bucket/out", retry=Retry(attempts=1)))
    numbers = [state.submit(accept, Invocation("other", n, "s3://bucket/in")).result().number for n in "abc"]
    for lease in state.submit(claim, "one", "main", ["other"], 3).result():
        state.submit(lose, lease.number, lease.token, "it hung").result()
    clock.advance(30_000.0)  # longer than they may wait
    assert state.submit(redrive, "other", "b").result() == numbers[1:2]
    assert state.submit(redrive, "other").result() == [numbers[0], numbers[2]]
    assert state.submit(redrive, "other").result() == []
    assert state.sweep().result()[0].expired == ()
    taken = state.submit(claim, "one", "main", ["other"], 3).result()
    assert [(lease.number, lease.attempt) for lease in taken] == [(number, 1) for number in numbers]


def test_an_error_that_the_model_answers_is_the_end_unless_the_endpoint_tries_errors_again(
    state: State, clock: ManualClock, furnish
) -> None:
    number = put(state, "a")
    (lease,) = take(state)
    error = replace(ANSWER, status=500)
    assert state.submit(fail, number, lease.token, "Received server error (500)", error).result() == "failed"
    assert counted(state, "Invocation5XXErrors") == 1
    retry = Retry(attempts=2, errors=True, first_s=8.0)
    furnish(state, "other", EndpointSettings("s3://bucket/out", retry=retry))
    again = state.submit(accept, Invocation("other", "a", "s3://bucket/in")).result().number
    (lease,) = state.submit(claim, "one", "main", ["other"]).result()
    assert state.submit(fail, again, lease.token, "Received server error (500)", error).result() == "queued"
    assert state.submit(claim, "one", "main", ["other"]).result() == [], "it waits first"
    clock.advance(8.0)
    (lease,) = state.submit(claim, "one", "main", ["other"]).result()
    assert state.submit(fail, again, lease.token, "Received server error (500)", error).result() == "failed"


@pytest.mark.parametrize(("status", "step"), [(400, "model"), (404, "model"), (None, "download")])
def test_what_is_wrong_with_the_request_itself_is_never_tried_again(
    state: State, furnish, status: int | None, step
) -> None:
    furnish(state, "other", EndpointSettings("s3://bucket/out", retry=Retry(attempts=9, errors=True)))
    number = state.submit(accept, Invocation("other", "a", "s3://bucket/in")).result().number
    (lease,) = state.submit(claim, "one", "main", ["other"]).result()
    assert state.submit(fail, number, lease.token, "no", Answer(status), step).result() == "failed"


def test_what_is_given_back_was_no_attempt(state: State, clock: ManualClock) -> None:
    number = put(state, "a")
    for _ in range(5):
        (lease,) = take(state)
        assert lease.attempt == 1
        assert state.submit(give_back, number, lease.token, 3.0).result()
        assert not state.submit(give_back, number, lease.token).result()
        assert take(state) == []
        clock.advance(3.0)


def test_a_cancelled_request_stays_so_and_its_instance_learns_of_it(state: State) -> None:
    waiting, running = put(state, "a"), put(state, "b", priority=1)
    (lease,) = take(state)
    assert (lease.number, state.submit(renew, ["one"]).result()) == (running, {(running, lease.token)})
    for name in ("a", "b", "b"):
        assert state.submit(cancel, "summarizer", name).result().state == "cancelled"
    assert state.submit(renew, ["one"]).result() == set()
    assert not state.submit(complete, running, lease.token, ANSWER).result()
    assert (standing(state, waiting), standing(state, running), take(state)) == ("cancelled", "cancelled", [])
    with pytest.raises(UnknownNameError):
        state.submit(cancel, "summarizer", "nobody").result()


def test_what_has_ended_otherwise_cannot_be_cancelled(state: State) -> None:
    number = put(state, "a")
    (lease,) = take(state)
    state.submit(complete, number, lease.token, ANSWER).result()
    with pytest.raises(ConflictError, match="stays as it is"):
        state.submit(cancel, "summarizer", "a").result()
    assert standing(state, number) == "completed"


def test_all_that_waits_can_be_taken_back_at_once_and_what_runs_goes_on(state: State) -> None:
    numbers = [put(state, name) for name in "abcd"]
    (lease,) = take(state)
    assert [state.submit(cancel_queued, "summarizer", "it is deleted", 2).result() for _ in range(3)] == [2, 1, 0]
    assert [standing(state, number) for number in numbers] == ["running", *["cancelled"] * 3]
    assert state.submit(complete, lease.number, lease.token, ANSWER).result()


def test_what_breaks_a_rule_is_refused_with_a_lesson(state: State) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'summarizer'"):
        state.submit(accept, Invocation("sumarizer", "a", "s3://bucket/in")).result()
    for broken in ({"inference_id": "x" * 65}, {"inference_id": "a\x00b"}, {"ttl_s": 0.0}, {"priority": 10**9}):
        with pytest.raises(RecordError):
            state.submit(accept, ask("a", **broken)).result()
    with pytest.raises(RecordError, match="whole characters"):
        state.submit(accept, ask("a", custom_attributes="\ud800")).result()
    number = put(state, "a", custom_attributes='\x00"é\N{PILE OF POO}')
    (lease,) = take(state)
    assert lease.invocation.custom_attributes == '\x00"é\N{PILE OF POO}'
    assert state.submit(fail, number, lease.token, "bytes \x00 and \ud800").result() == "failed"


def test_times_are_counted_in_the_units_of_cloudwatch(state: State, clock: ManualClock) -> None:
    number = put(state, "a")
    clock.advance(4.0)
    (lease,) = take(state)
    clock.advance(2.0)
    state.submit(complete, number, lease.token, ANSWER).result()
    wanted = {
        "TimeInBacklog": 4_000.0,
        "TotalProcessingTime": 6_000.0,
        "ModelLatency": 500_000.0,
        "RequestDownloadLatency": 10_000.0,
        "ResponseUploadLatency": 20_000.0,
        "Invocation4XXErrors": 0.0,
        "Invocation5XXErrors": 0.0,
        "InvocationsProcessed": 1.0,
    }
    assert {name: pytest.approx(counted(state, name)) for name in wanted} == wanted
