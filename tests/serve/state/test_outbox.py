"""A message is written with what it tells of, and delivered at least once, in order, or kept with the reason."""

import msgspec
import pytest

from modelwright.clock import ManualClock
from modelwright.records import Answer, Delivery, EndpointSettings, Invocation, Notification, Retry
from modelwright.serve.state import (
    CONFIRMED,
    Kind,
    State,
    accept,
    cancel,
    claim,
    complete,
    delivered,
    due,
    endpoint_dimensions,
    fail,
    give_up,
    lose,
    messages,
    next_delivery_t,
    not_delivered,
    publish,
    redeliver,
    redrive,
)

URL = "http://127.0.0.1:9/hook"
TELLING = EndpointSettings("s3://b/out", success_topic="good", error_topic="bad", retry=Retry(attempts=1))


class Subscription(msgspec.Struct, frozen=True):
    name: str


TOPICS = Kind("topic", Subscription, "topic")
SUBSCRIPTIONS = Kind("subscription", Subscription, "subscription")


def told(delivery: Delivery) -> Notification:
    return msgspec.json.decode(delivery.body, type=Notification)


def ready(state: State) -> list[Delivery]:
    return state.submit(due).result()


@pytest.fixture
def telling(state: State, furnish) -> State:
    furnish(state, "telling", TELLING)
    return state


def test_every_end_is_told_to_the_topic_that_it_belongs_to(telling: State, clock: ManualClock) -> None:
    ends = ("completed", "failed", "dead", "cancelled", "expired")
    for name in ends:
        telling.submit(accept, Invocation("telling", name, "s3://b/in", ttl_s=60.0)).result()
    leases = telling.submit(claim, "one", "main", ["telling"], 3).result()
    assert ready(telling) == [], "nothing is told of what has not ended"
    telling.submit(complete, leases[0].number, leases[0].token, Answer(200)).result()
    telling.submit(fail, leases[1].number, leases[1].token, "Received server error (500)", Answer(500)).result()
    telling.submit(lose, leases[2].number, leases[2].token, "its instance died").result()
    telling.submit(cancel, "telling", "cancelled").result()
    clock.advance(60.0)
    telling.sweep().result()
    found = {told(delivery).state: (delivery.topic, told(delivery).reason) for delivery in ready(telling)}
    assert {state: topic for state, (topic, _) in found.items()} == {
        state: "good" if state == "completed" else "bad" for state in ends
    }
    assert found["failed"][1] == "Received server error (500)"


def test_a_refused_end_tells_nobody(telling: State) -> None:
    number = telling.submit(accept, Invocation("telling", "a", "s3://b/in")).result().number
    (lease,) = telling.submit(claim, "one", "main", ["telling"]).result()
    for _ in range(3):
        telling.submit(complete, number, lease.token, Answer(200)).result()
    assert len(telling.read(messages)) == 1


def test_a_topic_becomes_its_confirmed_subscriptions(telling: State) -> None:
    telling.submit(TOPICS.create, Subscription("good")).result()
    assert telling.submit(publish, "good", "nobody hears this").result() == []
    for name, status in (("b", CONFIRMED), ("a", CONFIRMED), ("c", "pending")):
        telling.submit(SUBSCRIPTIONS.create, Subscription(name), parent="good", status=status).result()
    telling.submit(publish, "good", "hear").result()
    telling.submit(publish, URL, "straight").result()
    assert [(one.receiver, one.body) for one in ready(telling)] == [("a", "hear"), ("b", "hear"), (URL, "straight")]
    telling.submit(SUBSCRIPTIONS.delete, "a").result()
    telling.submit(publish, "good", "again").result()
    assert [one.receiver for one in ready(telling)] == ["b"]


def test_a_message_is_due_again_when_nobody_tells_of_its_delivery(state: State, clock: ManualClock) -> None:
    (number,) = state.submit(publish, URL, "hear").result()
    (first,) = ready(state)
    assert ready(state) == []
    clock.advance(first.lease_s)
    (second,) = ready(state)
    assert [(one.number, one.attempt) for one in (first, second)] == [(number, 1), (number, 2)]
    assert state.submit(delivered, number).result()
    assert not state.submit(delivered, number).result()
    clock.advance(1e4)
    assert ready(state) == []


def test_messages_of_a_line_wait_for_one_another_and_others_do_not(state: State, clock: ManualClock) -> None:
    for line in ("x", "x", "y", ""):
        state.submit(publish, URL, line, line).result()
    state.submit(publish, "http://other/", "x", "x").result()
    assert [one.number for one in ready(state)] == [1, 3, 4, 5]
    state.submit(
        not_delivered, Delivery(1, "x", "", URL, "", 1, 60.0, 0.0), "it is down", Retry(2, first_s=5.0)
    ).result()
    clock.advance(5.0)
    assert [one.number for one in ready(state)] == [1]
    state.submit(give_up, 1, "it is down for good").result()
    assert [one.number for one in ready(state)] == [2], "what was given up holds nobody"


def test_an_end_after_a_redrive_is_told_after_the_one_before_it(telling: State, clock: ManualClock) -> None:
    number = telling.submit(accept, Invocation("telling", "a", "s3://b/in")).result().number
    (lease,) = telling.submit(claim, "one", "main", ["telling"]).result()
    telling.submit(lose, number, lease.token, "it hung").result()
    telling.submit(redrive, "telling").result()
    (lease,) = telling.submit(claim, "one", "main", ["telling"]).result()
    telling.submit(lose, number, lease.token, "it hung again").result()
    (first,) = ready(telling)
    telling.submit(delivered, first.number).result()
    (second,) = ready(telling)
    assert [told(one).reason for one in (first, second)] == ["it hung", "it hung again"]


def test_after_the_last_attempt_a_message_is_kept_with_the_reason_and_can_be_sent_again(
    telling: State, clock: ManualClock
) -> None:
    telling.submit(accept, Invocation("telling", "a", "s3://b/in")).result()
    telling.submit(cancel, "telling", "a").result()
    retry = Retry(attempts=3, first_s=10.0, longest_s=15.0)
    for attempt in (1, 2, 3):
        (delivery,) = ready(telling)
        assert delivery.attempt == attempt
        again = telling.submit(not_delivered, delivery, f"HTTP 503, time {attempt}", retry).result()
        assert again == (attempt < 3)
        assert not telling.read(messages, "waiting" if attempt == 3 else "undelivered")
        clock.advance(15.0)
    (kept,) = telling.read(messages, "undelivered")
    assert (kept.reason, kept.attempts, kept.request) == ("HTTP 503, time 3", 3, 1)
    failures = [one for one in telling.totals() if one.name == "NotificationFailures"]
    assert [(one.dimensions, one.gathered.total) for one in failures] == [(endpoint_dimensions("telling"), 1.0)]
    assert telling.read(next_delivery_t) is None
    assert telling.submit(redeliver, kept.number).result()
    assert [one.attempt for one in ready(telling)] == [1]


def test_a_late_word_of_failure_changes_nothing_of_a_newer_attempt(state: State, clock: ManualClock) -> None:
    state.submit(publish, URL, "hear").result()
    (first,) = ready(state)
    clock.advance(first.lease_s)
    (second,) = ready(state)
    state.submit(not_delivered, first, "it was slow", Retry(9, first_s=0.0)).result()
    assert ready(state) == [], "the second attempt still runs"
    state.submit(delivered, second.number).result()
    assert [message.state for message in state.read(messages)] == ["delivered"]


def test_it_is_known_when_the_next_message_is_due(state: State, clock: ManualClock) -> None:
    assert state.read(next_delivery_t) is None
    state.submit(publish, URL, "hear").result()
    assert state.read(next_delivery_t) == pytest.approx(state.now().t)
