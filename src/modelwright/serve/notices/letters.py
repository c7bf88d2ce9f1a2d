"""What stands in a message's body on its way out, and the ids by which a receiver knows a repetition."""

import uuid
from typing import Literal

import msgspec

from modelwright.errors import RecordError
from modelwright.records import Delivery, Notification, from_json

Type = Literal["String", "String.Array", "Number", "Binary"]


class Attribute(msgspec.Struct, frozen=True):
    """An attribute of a message.

    Attributes:
        type: as SNS names it; a type of one's own such as "Number.int" is kept as it was said.
        value: as text; of a "Binary" one in Base64.
    """

    type: str
    value: str


class Letter(msgspec.Struct, frozen=True, tag_field="letter", tag="message"):
    """A message that somebody published to a topic.

    Attributes:
        id: by which it is known; the same for all receivers and for every repetition.
        message: the text.
        subject: "" for none.
        attributes: by name.
        forms: texts for receivers of a protocol, where these differ: protocol -> text.
    """

    id: str
    message: str
    subject: str = ""
    attributes: dict[str, Attribute] = {}
    forms: dict[str, str] = {}


class Handshake(msgspec.Struct, frozen=True, tag_field="letter", tag="handshake"):
    """What a receiver is told when it has been subscribed to a topic, or is not any more.

    Attributes:
        id: by which it is known.
        kind: as SNS names it.
        topic: the topic's ARN.
        subscription: the subscription's ARN.
        protocol, endpoint: of the subscription.
        token: by which it is confirmed.
    """

    id: str
    kind: Literal["SubscriptionConfirmation", "UnsubscribeConfirmation"]
    topic: str
    subscription: str
    protocol: str
    endpoint: str
    token: str


Opened = Letter | Handshake | Notification
"""A body as it is read."""

_IDS = uuid.UUID("4a3a1c5e-7f0e-5b52-9f0b-5a3d5c5f8e11")


def opened(delivery: Delivery) -> Opened:
    """What a message's body holds. A text of no form is a letter as it stands."""
    for kind in (Letter | Handshake, Notification):
        try:
            return from_json(delivery.body, kind, where="message")  # type: ignore[return-value, arg-type]  # unions are kinds, too
        except RecordError:
            continue
    return Letter(id_of(f"{delivery.topic} {delivery.published_at} {delivery.body}"), delivery.body)


def id_of(text: str) -> str:
    """The id of what a text says: always the same one."""
    return str(uuid.uuid5(_IDS, text))


def message_id(delivery: Delivery, body: Opened) -> str:
    """The id of a message, which a repetition keeps, and which all receivers of one topic see."""
    if isinstance(body, Notification):
        return id_of(f"{delivery.topic} {delivery.request} {delivery.body}")
    return body.id
