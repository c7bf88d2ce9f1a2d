"""Who may be subscribed, how often they are tried, and which addresses a guest may not name."""

import itertools
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import ConflictError, RecordError, SettingError, UnknownNameError
from modelwright.serve.notices import (
    PROTOCOLS,
    SUBSCRIPTIONS,
    check_reach,
    confirm,
    create_topic,
    direct_receiver,
    receiver_of,
    set_subscription_attribute,
    subscribe,
    topic_arn,
)
from modelwright.serve.notices.addresses import public
from modelwright.serve.notices.retrying import LONGEST_S, Waits, policy_of, worth_another
from modelwright.serve.state import publish

TOPIC = topic_arn("us-east-1", "000000000000", "done")

PRIVATE = """
    127.0.0.1 127.8.8.8 [::1] 10.0.0.1 172.16.5.5 192.168.1.1 169.254.169.254 0.0.0.0 [::] [fe80::1] [fd00::1] localhost
    [::ffff:127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::] 100.64.0.1 224.0.0.1 255.255.255.255 a.localhost
"""


def test_a_receiver_is_subscribed_once_however_often_it_asks(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook()
            first, confirmed = await it.subscribed(hook.url, "http")
            again, _ = await it.subscribed(hook.url, "http")
            await it.settled()
            assert (first, confirmed) == (again, False)
            assert [one.json["Type"] for one in hook.seen] == ["SubscriptionConfirmation"] * 2, "it is asked again"
            await it.do(confirm, TOPIC, first.token)
            assert (await it.do(confirm, TOPIC, first.token)).confirmed, "twice is once"
            assert (await it.subscribed(hook.url, "http"))[1]
            await it.settled()
            assert len(hook.seen) == 2
            with pytest.raises(ConflictError):
                await it.subscribed(hook.url, "http", RawMessageDelivery="true")
            await it.do(set_subscription_attribute, first.name, "RawMessageDelivery", "true")
            assert (await it.subscribed(hook.url, "http", RawMessageDelivery="true"))[1]
            assert len(it.state.read(SUBSCRIPTIONS.children, TOPIC)) == 1

    run(work())


def test_what_cannot_be_kept_is_refused(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook()
            with pytest.raises(UnknownNameError):
                await it.do(subscribe, f"{TOPIC}-gone", "http", hook.url, str)
            for protocol, endpoint in (("email", "a@b.c"), ("http", "https://a/"), ("https", "https://"), ("sqs", "q")):
                with pytest.raises(SettingError):
                    await it.subscribed(endpoint, protocol)
            for name, value in (
                ("Nonsense", "1"),
                ("RedrivePolicy", "{}"),
                ("RawMessageDelivery", "yes"),
                ("FilterPolicy", "[]"),
                ("DeliveryPolicy", '{"throttlePolicy": {"maxReceivesPerSecond": 1}}'),
                ("WebhookSecret", "whsec_c2hvcnQ="),
            ):
                with pytest.raises(SettingError):
                    await it.subscribed(hook.url, **{name: value})
            for name in (topic_arn("us-east-1", "000000000000", "line.fifo"), "done"):
                with pytest.raises(RecordError):
                    await it.do(create_topic, name)
            with pytest.raises(ConflictError):
                await it.do(create_topic, TOPIC, {"DisplayName": "Other"})
            for message, subject in (("", ""), ("x" * 300_000, ""), ("x", "two\nlines")):
                with pytest.raises(SettingError):
                    await it.say(message, subject=subject)

    run(work())


def test_a_subscription_hears_what_its_filter_wants(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook()
            wanted = {"FilterPolicy": '{"invocationStatus": ["Failed"]}', "FilterPolicyScope": "MessageBody"}
            await it.subscribed(hook.url, RawMessageDelivery="true", **wanted)
            for status in ("Completed", "Failed", "Expired"):
                await it.do(publish, TOPIC, json.dumps({"invocationStatus": status}))
            assert {one.state for one in await it.settled()} == {"delivered"}
            assert [one.json["invocationStatus"] for one in hook.seen] == ["Failed"]

    run(work())


@pytest.mark.parametrize("host", PRIVATE.split())
def test_a_guest_may_not_name_this_machine_or_its_network(host: str) -> None:
    receiver = receiver_of("http", f"http://{host}:8080/hook")
    check_reach(receiver, private=True)
    with pytest.raises(SettingError):
        check_reach(receiver, private=False)


def test_addresses_of_the_internet_may_be_named() -> None:
    for host in ("8.8.8.8", "[2001:4860:4860::8888]", "example.org", "[::ffff:8.8.8.8]"):
        check_reach(receiver_of("https", f"https://{host}/hook"), private=False)
    assert public("64:ff9b::808:808")


def test_a_name_that_stands_for_this_machine_is_not_reached(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office(private=False) as it:
            hook = await it.hook()
            for host in ("localhost", "127.0.0.1", "0x7f.1", "2130706433"):
                await it.do(publish, f"http://{host}:{hook.port}/hook", "hear")
            found = await it.settled()
            assert {one.state for one in found} == {"undelivered"}
            assert all("its own network" in one.reason for one in found)
            assert hook.connections == 0

    run(work())


def test_a_receiver_in_place_of_a_topic_may_say_its_form() -> None:
    forms = {
        "https://h/x": "webhook",
        "webhook+http://h/x": "webhook",
        "cloudevents+https://h/x": "cloudevents",
        "cloudevents-binary+https://h/x": "cloudevents-binary",
        "sqs+https://sqs.eu-west-1.amazonaws.com/123456789012/line": "sqs",
        "arn:aws:sqs:eu-west-1:123456789012:line": "sqs",
        "arn:aws:sns:eu-west-1:123456789012:done": "relay",
        "sns+https://h/arn:aws:sns:eu-west-1:123456789012:done": "relay",
    }
    for address, form in forms.items():
        receiver = direct_receiver(address)
        assert receiver is not None
        assert receiver.form == form
        assert receiver.region == ("eu-west-1" if "eu-west-1" in address else "")
    queue = direct_receiver("arn:aws:sqs:eu-west-1:123456789012:line")
    assert queue is not None
    assert queue.target == "https://sqs.eu-west-1.amazonaws.com/123456789012/line"
    assert direct_receiver("done") is direct_receiver("ftp://h/x") is direct_receiver("mail+https://h/") is None


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 40),
    st.floats(0, 10),
    st.floats(0, 10),
    st.sampled_from(["linear", "arithmetic", "geometric", "exponential"]),
)
def test_waits_of_a_policy_keep_its_bounds_and_grow(
    at_once: int, least: int, most: int, steps: int, low: float, wide: float, function: str
) -> None:
    total = at_once + least + most + steps
    waits = Waits(low, low + wide, total, at_once, least, most, function)  # type: ignore[arg-type]
    found = [waits.after(attempt) for attempt in range(1, total + 1)]
    assert found[:at_once] == [0.0] * at_once
    assert found[at_once : at_once + least] == [low] * least
    assert all(low - 1e-9 <= wait <= low + wide + 1e-9 for wait in found[at_once:])
    assert all(before <= after + 1e-9 for before, after in itertools.pairwise(found))
    if steps:
        assert found[at_once + least + steps - 1] == pytest.approx(low + wide)


def test_a_policy_of_a_topic_holds_where_a_subscription_has_none_or_may_not() -> None:
    def policy(retries: int) -> str:
        return json.dumps({"healthyRetryPolicy": {"numRetries": retries}})

    def shared(retries: int, disable: bool = False) -> str:
        http = {"defaultHealthyRetryPolicy": {"numRetries": retries}, "disableSubscriptionOverrides": disable}
        return json.dumps({"http": http})

    assert policy_of(policy(1), shared(2)).retry(1).attempts == 2
    assert policy_of("", shared(2)).retry(1).attempts == 3
    assert policy_of(policy(1), shared(2, True)).retry(1).attempts == 3
    for bad in (
        {"numRetries": 101},
        {"numRetries": 1, "numNoDelayRetries": 2},
        {"minDelayTarget": 30, "maxDelayTarget": 20},
        {"minDelayTarget": 3600, "maxDelayTarget": 3600, "numRetries": 2},
        {"backoffFunction": "sudden"},
    ):
        with pytest.raises(SettingError):
            policy_of(json.dumps({"healthyRetryPolicy": bad}))
    assert LONGEST_S == 3600.0


def test_only_what_may_change_is_worth_another_attempt() -> None:
    assert [status for status in range(300, 600) if worth_another(status)] == [408, 425, 429, *range(500, 600)]


def test_every_protocol_has_a_form() -> None:
    assert set(PROTOCOLS.values()) == {"sns", "webhook", "cloudevents", "cloudevents-binary", "sqs", "relay"}
