"""Topics, and who has subscribed to them, as they are kept."""

from typing import Annotated

import msgspec

TopicArn = Annotated[str, msgspec.Meta(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]*:[0-9]{12}:[A-Za-z0-9_-]{1,256}$")]
"""A topic's name, as SNS allows them; topics that keep an order of their own (.fifo) are not kept here."""


class TopicRecord(msgspec.Struct, frozen=True):
    """What messages are published to.

    Attributes:
        name: the topic's ARN.
        attributes: as SNS names them, such as DisplayName and SignatureVersion.
        created_at: wall clock, seconds since 1970 in UTC.
    """

    name: TopicArn
    attributes: dict[str, str] = {}
    created_at: float = 0.0


class SubscriptionRecord(msgspec.Struct, frozen=True):
    """A receiver of a topic's messages.

    Attributes:
        name: the subscription's ARN.
        topic: the topic's ARN.
        protocol: in which form messages go out: http, https, sqs, or one of Modelwright's own.
        endpoint: where they go: an URL, or the ARN of a queue.
        token: whoever knows it can confirm the subscription.
        attributes: as SNS names them, such as RawMessageDelivery, FilterPolicy and DeliveryPolicy.
        created_at: wall clock, seconds since 1970 in UTC.
        confirmed: messages are copied to it.
    """

    name: str
    topic: TopicArn
    protocol: str
    endpoint: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    token: str
    attributes: dict[str, str] = {}
    created_at: float = 0.0
    confirmed: bool = False
