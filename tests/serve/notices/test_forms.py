"""Each receiver is written to in its own form, which others' rules can check."""

import base64
import hmac
import json
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from modelwright.errors import SettingError, StoreError
from modelwright.records import Answer, Invocation, Notification, RequestState, to_json
from modelwright.serve.notices import (
    Attribute,
    Seal,
    confirm,
    open_seal,
    secret_text,
    set_topic_attribute,
    unsubscribe,
)
from modelwright.serve.notices.sagemaker import MOST_INCLUDED
from modelwright.serve.notices.webhooks import secret_bytes, webhook_headers
from modelwright.serve.signing import Asked, Keys, sign
from modelwright.serve.state import publish

TOPIC = "arn:aws:sns:us-east-1:000000000000:done"
ASKED = Invocation(
    "summarizer",
    "one",
    "s3://bucket/in",
    "",
    "s3://bucket/out/one.out",
    "s3://bucket/bad/one",
    "text/plain",
    "application/json",
)


def told(state: RequestState = "completed", include: bool = False, reason: str = "") -> str:
    answer = Answer(200, "application/json", 11)
    at = 1_643_150_760.455
    return to_json(Notification(state, ASKED, reason, answer, at, at + 0.153, include)).decode()


def signature_holds(seal: Seal, envelope: dict[str, Any]) -> bool:
    """As receivers check it: AWS, "Verifying the signatures of Amazon SNS messages"."""
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    if envelope["Type"] == "Notification":
        subject = ["Subject"] if "Subject" in envelope else []
        names = ["Message", "MessageId", *subject, "Timestamp", "TopicArn", "Type"]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names)
    key = x509.load_pem_x509_certificate(seal.certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}[envelope["SignatureVersion"]]
    key.verify(base64.b64decode(envelope["Signature"]), text.encode(), padding.PKCS1v15(), algorithm)
    return True


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_receiver_over_http_confirms_hears_and_is_told_the_end(office: Callable, run: Callable, version: str) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic(SignatureVersion=version)
            hook = await it.hook()
            record, confirmed = await it.subscribed(hook.url, "http")
            assert not confirmed
            await it.say("unheard")
            await it.settled()
            (asked,) = hook.seen
            assert asked.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
            assert signature_holds(it.seal, asked.json)
            link = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(asked.json["SubscribeURL"]).query))
            assert (link["Action"], link["TopicArn"]) == ("ConfirmSubscription", TOPIC)
            with pytest.raises(SettingError):
                await it.do(confirm, TOPIC, "another")
            assert (await it.do(confirm, TOPIC, link["Token"])).confirmed
            name = await it.say("heard", subject="News", attributes={"kind": Attribute("String", "good")})
            await it.settled()
            heard = hook.seen[-1]
            assert signature_holds(it.seal, heard.json)
            assert {one: heard.json[one] for one in ("Type", "MessageId", "TopicArn", "Subject", "Message")} == {
                "Type": "Notification",
                "MessageId": name,
                "TopicArn": TOPIC,
                "Subject": "News",
                "Message": "heard",
            }
            assert heard.json["MessageAttributes"] == {"kind": {"Type": "String", "Value": "good"}}
            assert heard.headers["x-amz-sns-message-id"] == name
            assert heard.headers["x-amz-sns-subscription-arn"] == record.name
            assert heard.headers["content-type"] == "text/plain; charset=UTF-8"
            await it.do(unsubscribe, record.name)
            await it.settled()
            assert hook.seen[-1].json["Type"] == "UnsubscribeConfirmation"
            assert signature_holds(it.seal, hook.seen[-1].json)

    run(work())


def test_a_raw_message_comes_without_an_envelope(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook()
            policy = json.dumps({"requestPolicy": {"headerContentType": "application/json"}})
            raw = {"RawMessageDelivery": "true", "DeliveryPolicy": policy}
            record, _ = await it.subscribed(hook.url, "http", **raw)
            await it.do(confirm, TOPIC, record.token)
            await it.settled()
            hook.seen.clear()
            await it.say('{"a": 1}', forms={"http": '{"a": 2}', "sqs": "for queues"})
            await it.settled()
            (heard,) = hook.seen
            assert heard.body == b'{"a": 2}', "a form of its own protocol"
            assert heard.headers["x-amz-sns-rawdelivery"] == "true"
            assert heard.headers["content-type"] == "application/json"

    run(work())


def test_a_requests_end_is_told_as_sagemaker_tells_it(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            hook = await it.hook()
            await it.subscribed(hook.url, RawMessageDelivery="true")
            await it.do(publish, TOPIC, told(), "request 1", None)
            await it.settled()
            assert hook.seen[-1].json == {
                "awsRegion": "us-east-1",
                "eventTime": "2022-01-25T22:46:00.608Z",
                "receivedTime": "2022-01-25T22:46:00.455Z",
                "invocationStatus": "Completed",
                "requestParameters": {
                    "accept": "application/json",
                    "contentType": "text/plain",
                    "endpointName": "summarizer",
                    "inputLocation": "s3://bucket/in",
                },
                "responseParameters": {"contentType": "application/json", "outputLocation": "s3://bucket/out/one.out"},
                "inferenceId": "one",
                "eventVersion": "1.0",
                "eventSource": "aws:sagemaker",
                "eventName": "InferenceResult",
            }
            for state, status in (("failed", "Failed"), ("dead", "Failed"), ("expired", "Expired")):
                await it.do(publish, TOPIC, told(state, reason="ClientError: it was late"), "request 1", None)
                await it.settled()
                heard = hook.seen[-1].json
                assert (heard["invocationStatus"], heard["failureReason"]) == (status, "ClientError: it was late")
                assert heard["responseParameters"]["failureLocation"] == "s3://bucket/bad/one"

    run(work())


@pytest.mark.parametrize(
    ("content", "included"),
    [
        (b'{"text":"x"}', {"content": '{"text":"x"}', "encoding": "UTF8"}),
        (b"\xff\x00", {"content": "/wA=", "encoding": "BASE64"}),
        (b"x" * MOST_INCLUDED, {"content": "x" * MOST_INCLUDED, "encoding": "UTF8"}),
        (b"x" * (MOST_INCLUDED + 1), None),
        (None, None),
    ],
)
def test_an_answer_is_included_where_it_is_asked_for_there_and_small(
    office: Callable, run: Callable, content: bytes | None, included: object
) -> None:
    async def work() -> None:
        async with office() as it:
            await it.objects.create_bucket("bucket")
            if content is not None:
                await it.objects.put("bucket", "out/one.out", content)
            hook = await it.hook()
            await it.do(publish, hook.url, told(include=True))
            await it.do(publish, hook.url, told(include=False))
            await it.settled()
            found = [one.json["data"].get("responseBody") for one in hook.seen]
            assert sorted(found, key=str) == sorted([included, None], key=str)

    run(work())


def test_a_plain_webhook_is_signed_by_the_standard(office: Callable, run: Callable) -> None:
    # the vector of the reference implementations, github.com/standard-webhooks/standard-webhooks
    secret = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = webhook_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    async def work() -> None:
        async with office() as it:
            await it.topic()
            named, unnamed = await it.hook(), await it.hook()
            await it.subscribed(named.url, WebhookSecret=secret_text(b"k" * 32))
            await it.subscribed(unnamed.url)
            await it.do(publish, TOPIC, told(), "request 1", None)
            await it.settled()
            for hook, key in ((named, b"k" * 32), (unnamed, it.seal.webhook_secret(unnamed.url))):
                (heard,) = hook.seen
                said = f"{heard.headers['webhook-id']}.{heard.headers['webhook-timestamp']}.".encode() + heard.body
                found = base64.b64encode(hmac.digest(key, said, "sha256")).decode()
                assert heard.headers["webhook-signature"] == f"v1,{found}"
                assert heard.json["type"] == "modelwright.inference.completed"

    run(work())


@pytest.mark.parametrize("bad", ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"])
def test_a_secret_that_is_none_is_refused_and_not_shown(bad: str) -> None:
    with pytest.raises(SettingError) as refused:
        secret_bytes(bad)
    assert not bad or bad not in str(refused.value).replace("whsec_ and", "")


def test_an_event_says_the_same_structured_and_binary(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            whole, parted = await it.hook(), await it.hook()
            await it.subscribed(whole.url, "modelwright:cloudevents")
            await it.subscribed(parted.url, "modelwright:cloudevents-binary")
            await it.say("hear", subject='é %"')
            await it.settled()
            event, heard = whole.seen[0].json, parted.seen[0]
            assert whole.seen[0].headers["content-type"].startswith("application/cloudevents+json")
            assert event.pop("data") == heard.json
            assert event.pop("datacontenttype") == heard.headers["content-type"]
            parted_said = {
                name[3:]: urllib.parse.unquote(value) for name, value in heard.headers.items() if name.startswith("ce-")
            }
            assert parted_said == event
            assert event["specversion"] == "1.0"
            assert event["subject"] == 'é %"'
            datetime.fromisoformat(event["time"])

    run(work())


def test_queues_and_topics_elsewhere_are_asked_in_aws_protocols_and_signed(office: Callable, run: Callable) -> None:
    keys = Keys("AKID", "secret")

    async def work() -> None:
        async with office(keys=keys) as it:
            await it.topic()
            queue, other = await it.hook(), await it.hook()
            address = f"http://127.0.0.1:{queue.port}/000000000000/line.fifo"
            await it.subscribed(address, "sqs")
            there = "arn:aws:sns:eu-west-1:123456789012:there"
            await it.subscribed(f"http://127.0.0.1:{other.port}/{there}", "modelwright:sns")
            attributes = {"kind": Attribute("String", "good"), "n": Attribute("Number", "1")}
            name = await it.say("hear & see", subject="News", attributes=attributes)
            await it.settled()
            sent = queue.seen[0]
            assert sent.headers["x-amz-target"] == "AmazonSQS.SendMessage"
            assert sent.json["QueueUrl"] == address
            assert sent.json["MessageDeduplicationId"] == name
            inner = json.loads(sent.json["MessageBody"])
            assert (inner["Message"], inner["MessageId"]) == ("hear & see", name)
            assert signature_holds(it.seal, inner)
            form = dict(urllib.parse.parse_qsl(other.seen[0].body.decode()))
            assert (form["Action"], form["TopicArn"], form["Message"]) == ("Publish", there, "hear & see")
            assert form["MessageAttributes.entry.1.Name"] == "kind"
            assert form["MessageAttributes.entry.2.Value.StringValue"] == "1"
            for hook, scope in ((queue, ("us-east-1", "sqs")), (other, ("eu-west-1", "sns"))):
                heard = hook.seen[0]
                names = ("host", "content-type", "x-amz-target")
                headers = {one: heard.headers[one] for one in names if one in heard.headers}
                at = datetime.strptime(heard.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                again = sign(Asked("POST", heard.target, (), headers), heard.body, keys, scope, at)
                assert heard.headers["authorization"] == again["authorization"]

    run(work())


def test_a_queue_that_asks_for_patience_is_given_it(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            refusal = b'{"__type":"com.amazonaws.sqs#RequestThrottled"}'
            answer = b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(refusal), refusal)
            queue = await it.hook(answer)
            await it.subscribed(f"http://127.0.0.1:{queue.port}/000000000000/line", "sqs", RawMessageDelivery="true")
            await it.say("hear")
            (message,) = await it.settled()
            assert (message.state, message.attempts) == ("delivered", 2)
            assert queue.seen[-1].json["MessageBody"] == "hear"

    run(work())


def test_a_topic_of_nobody_is_kept_with_that_reason(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.do(publish, f"{TOPIC}-gone", "hear")
            await it.do(publish, "gone", "hear")
            assert {one.state for one in await it.settled()} == {"undelivered"}
            assert all("no such" in one.reason for one in it.messages())

    run(work())


def test_a_seal_stays_the_same_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    first, again = open_seal(tmp_path / "keys", now), open_seal(tmp_path / "keys", now + timedelta(days=1))
    assert first.certificate == again.certificate
    assert first.webhook_secret("a") == again.webhook_secret("a") != again.webhook_secret("b")
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "keys").iterdir())
    assert "secret" not in repr(first)
    (tmp_path / "keys" / "key.pem").write_text("garbage")
    with pytest.raises(StoreError):
        open_seal(tmp_path / "keys", now)


def test_attributes_of_topics_are_checked(office: Callable, run: Callable) -> None:
    async def work() -> None:
        async with office() as it:
            await it.topic()
            for name, value in (("SignatureVersion", "3"), ("Nonsense", "1"), ("DeliveryPolicy", "{")):
                with pytest.raises(SettingError):
                    await it.do(set_topic_attribute, TOPIC, name, value)
            record = await it.do(set_topic_attribute, TOPIC, "DisplayName", "News")
            assert record.attributes == {"DisplayName": "News"}
            assert (await it.do(set_topic_attribute, TOPIC, "DisplayName", "")).attributes == {}

    run(work())
