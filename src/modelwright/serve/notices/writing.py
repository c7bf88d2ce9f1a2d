"""Each message in the form of its receiver: pure functions of what is to be said, to whom, and of who says it."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, final
from urllib.parse import urlsplit

from modelwright.records import Delivery, Notification, SubscriptionRecord, TopicRecord
from modelwright.serve.notices import cloudevents, envelope, queues
from modelwright.serve.notices.addresses import Receiver
from modelwright.serve.notices.letters import Attribute, Handshake, Opened, message_id
from modelwright.serve.notices.retrying import Policy, policy_of
from modelwright.serve.notices.sagemaker import event_of, stamp
from modelwright.serve.notices.seal import Seal
from modelwright.serve.notices.webhooks import secret_bytes, webhook_headers
from modelwright.serve.signing import Asked, Keys, sign


@final
@dataclass(frozen=True)
class Sender:
    """Who writes.

    Attributes:
        base: URL of the service, as receivers reach it, without a slash at its end.
        region: that the service says it is in.
        seal: what is signed with.
        keys: for queues and topics of other services; None sends to these without a signature.
    """

    base: str
    region: str
    seal: Seal
    keys: Keys | None = field(default=None, repr=False)


@final
@dataclass(frozen=True)
class Parcel:
    """A message, with all that is known of where it goes.

    Attributes:
        delivery: as it lay in the outbox.
        body: what it holds.
        receiver: to whom it goes.
        subscription: by which it goes there; None for a receiver that was named itself.
        topic: that it was published to; None for the same.
        response: what the message includes of an answer; None for nothing.
    """

    delivery: Delivery
    body: Opened
    receiver: Receiver
    subscription: SubscriptionRecord | None = None
    topic: TopicRecord | None = None
    response: bytes | None = None

    @property
    def policy(self) -> Policy:
        """How it is tried again."""
        own = self.subscription.attributes if self.subscription else {}
        shared = self.topic.attributes if self.topic else {}
        return policy_of(own.get("DeliveryPolicy", ""), shared.get("DeliveryPolicy", ""))

    @property
    def raw(self) -> bool:
        """Whether it goes out without an envelope."""
        own = self.subscription.attributes if self.subscription else {}
        return own.get("RawMessageDelivery", "").lower() == "true"

    @property
    def id(self) -> str:
        """Of the message."""
        return message_id(self.delivery, self.body)

    @property
    def attributes(self) -> dict[str, Attribute]:
        """Of the message, as somebody published it."""
        return {} if isinstance(self.body, Notification | Handshake) else self.body.attributes

    @property
    def subject(self) -> str:
        """Of the message; "" for none."""
        return "" if isinstance(self.body, Notification | Handshake) else self.body.subject


@final
@dataclass(frozen=True)
class Sheet:
    """What is posted.

    Attributes:
        url: where to.
        headers: with it.
        body: as it is sent.
    """

    url: str
    headers: dict[str, str]
    body: bytes


def text_of(parcel: Parcel, region: str) -> str:
    """What the message says, as text."""
    if isinstance(parcel.body, Notification):
        return json.dumps(event_of(parcel.body, region, parcel.response), separators=(",", ":"), ensure_ascii=False)
    if isinstance(parcel.body, Handshake):
        return ""
    protocol = parcel.subscription.protocol if parcel.subscription else ""
    return parcel.body.forms.get(protocol, parcel.body.message)


def write(sender: Sender, parcel: Parcel, now: datetime) -> Sheet:
    """A message in its receiver's form.

    Args:
        sender: who writes.
        parcel: the message.
        now: when it is sent, in UTC.
    """
    form = parcel.receiver.form
    if isinstance(parcel.body, Handshake) or form == "sns":
        return _enveloped(sender, parcel)
    if form in ("sqs", "relay"):
        return _to_service(sender, parcel, now)
    return _told(sender, parcel, now)


def _enveloped(sender: Sender, parcel: Parcel) -> Sheet:
    """SNS's own form."""
    name = parcel.subscription.name if parcel.subscription else ""
    if isinstance(parcel.body, Handshake):
        name = parcel.body.subscription
        made = envelope.confirmation(parcel.body, parcel.delivery.published_at, sender.base)
    else:
        made = _notification(sender, parcel)
    raw = parcel.raw and made["Type"] == "Notification"
    headers = envelope.headers(made, name, raw=raw) | {"content-type": parcel.policy.content_type}
    if raw:
        return Sheet(parcel.receiver.url, headers, str(made["Message"]).encode())
    return Sheet(parcel.receiver.url, headers, _json(_signed(sender, parcel, made, name)))


def _notification(sender: Sender, parcel: Parcel) -> dict[str, Any]:
    said = text_of(parcel, sender.region)
    at, topic = parcel.delivery.published_at, parcel.delivery.topic
    return envelope.notification(said, parcel.id, at, topic=topic, subject=parcel.subject, attributes=parcel.attributes)


def _signed(sender: Sender, parcel: Parcel, made: dict[str, Any], name: str) -> dict[str, Any]:
    version = parcel.topic.attributes.get("SignatureVersion", "1") if parcel.topic else "1"
    return envelope.signed(made, sender.seal, "2" if version == "2" else "1", sender.base, name)


def _to_service(sender: Sender, parcel: Parcel, now: datetime) -> Sheet:
    """A queue's or another topic's form. A queue that was named itself gets what the message says, and no envelope."""
    receiver, service = parcel.receiver, "sqs" if parcel.receiver.form == "sqs" else "sns"
    if service == "sns":
        said = text_of(parcel, sender.region)
        body, headers = queues.publish(receiver.target, said, parcel.subject, parcel.attributes)
    elif parcel.raw or parcel.subscription is None:
        said = text_of(parcel, sender.region)
        body, headers = queues.send_message(receiver.target, said, parcel.id, parcel.delivery.line, parcel.attributes)
    else:
        made = _signed(sender, parcel, _notification(sender, parcel), parcel.subscription.name)
        body, headers = queues.send_message(receiver.target, _json(made).decode(), parcel.id, parcel.delivery.line, {})
    if sender.keys is not None:
        parts = urlsplit(receiver.url)
        asked = Asked("POST", parts.path or "/", (), {"host": parts.netloc.rpartition("@")[2], **headers})
        headers |= sign(asked, body, sender.keys, (receiver.region or sender.region, service), now)
    return Sheet(receiver.url, headers, body)


def _told(sender: Sender, parcel: Parcel, now: datetime) -> Sheet:
    """A plain webhook's form, or an event's."""
    at, url = stamp(parcel.delivery.published_at), parcel.receiver.url
    data: Any = text_of(parcel, sender.region)
    if isinstance(parcel.body, Notification):
        kind, about = f"modelwright.inference.{parcel.body.state}", parcel.body.invocation.inference_id
        source = f"{sender.base}/endpoints/{parcel.body.invocation.endpoint}"
        data = json.loads(data)
    else:
        kind, about, source = "modelwright.message", parcel.subject, parcel.delivery.topic
        data = {"message": data, "attributes": {name: one.value for name, one in parcel.attributes.items()}}
    if parcel.receiver.form == "webhook":
        said = (
            text_of(parcel, sender.region).encode()
            if parcel.raw
            else _json({"type": kind, "timestamp": at, "data": data})
        )
        own = parcel.subscription.attributes.get("WebhookSecret", "") if parcel.subscription else ""
        secret = secret_bytes(own) if own else sender.seal.webhook_secret(url)
        headers = webhook_headers(secret, f"msg_{parcel.id}", int(now.timestamp()), said)
        return Sheet(url, {"content-type": "application/json", **headers}, said)
    attributes = cloudevents.event(kind, source, parcel.id, at, about)
    formed = cloudevents.binary if parcel.receiver.form == "cloudevents-binary" else cloudevents.structured
    body, headers = formed(attributes, data)
    return Sheet(url, headers, body)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
