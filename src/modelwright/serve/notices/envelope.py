"""SNS's envelope, as it reaches receivers over HTTP(S), and by what it is signed.

Source: Amazon SNS Developer Guide, "Parsing Amazon SNS message formats" and "Verifying the signatures of Amazon SNS
messages". A receiver's library that insists on certificates of amazonaws.com refuses ours, whoever serves them.
"""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlencode

from modelwright.serve.notices.letters import Attribute, Handshake
from modelwright.serve.notices.sagemaker import stamp
from modelwright.serve.notices.seal import CERTIFICATE_PATH, Seal

Version = Literal["1", "2"]

_SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def notification(
    message: str,
    message_id: str,
    at: float,
    *,
    topic: str,
    subject: str = "",
    attributes: Mapping[str, Attribute] | None = None,
) -> dict[str, Any]:
    """A message in its envelope, not yet signed.

    Args:
        message: the text.
        message_id: a repetition keeps it.
        at: when it was published, wall clock, seconds since 1970 in UTC.
        topic: the topic's ARN.
        subject: "" for none.
        attributes: by name.
    """
    made: dict[str, Any] = {"Type": "Notification", "MessageId": message_id, "TopicArn": topic}
    made |= {"Subject": subject} if subject else {}
    made |= {"Message": message, "Timestamp": stamp(at)}
    if attributes:
        made["MessageAttributes"] = {name: {"Type": one.type, "Value": one.value} for name, one in attributes.items()}
    return made


def confirmation(shake: Handshake, at: float, base: str) -> dict[str, Any]:
    """What a receiver is sent that has been subscribed, or is not any more; not yet signed.

    Args:
        shake: what happened.
        at: when, wall clock, seconds since 1970 in UTC.
        base: URL of the service.
    """
    asked = {"Action": "ConfirmSubscription", "TopicArn": shake.topic, "Token": shake.token}
    said = f"You have chosen to subscribe to the topic {shake.topic}.\nTo confirm the subscription, visit the "
    said += "SubscribeURL included in this message."
    if shake.kind == "UnsubscribeConfirmation":
        asked = {"Action": "Subscribe", "TopicArn": shake.topic, "Protocol": shake.protocol, "Endpoint": shake.endpoint}
        said = f"The subscription {shake.subscription} has ended.\nTo receive messages again, subscribe again."
    made = {"Type": shake.kind, "MessageId": shake.id, "Token": shake.token, "TopicArn": shake.topic, "Message": said}
    return made | {"SubscribeURL": f"{base}/?{urlencode(asked)}", "Timestamp": stamp(at)}


def signed(made: dict[str, Any], seal: Seal, version: Version, base: str, subscription: str) -> dict[str, Any]:
    """An envelope with its signature, and with the URL by which a receiver may unsubscribe.

    Args:
        made: the envelope.
        seal: that signs.
        version: 1 for SHA-1, 2 for SHA-256.
        base: URL of the service.
        subscription: its ARN; "" for a receiver that was named itself.
    """
    sealed = {"SignatureVersion": version, "Signature": seal.sign(signed_text(made), version)}
    sealed["SigningCertURL"] = base + CERTIFICATE_PATH
    if made["Type"] == "Notification" and subscription:
        asked = {"Action": "Unsubscribe", "SubscriptionArn": subscription}
        sealed["UnsubscribeURL"] = f"{base}/?{urlencode(asked)}"
    return made | sealed


def signed_text(made: Mapping[str, Any]) -> str:
    """What is signed: each field that is there as a line with its name and one with its value, in SNS's order."""
    there = (name for name in _SIGNED if name in made)
    return "".join(f"{name}\n{made[name]}\n" for name in there)


def headers(made: Mapping[str, Any], subscription: str, *, raw: bool = False) -> dict[str, str]:
    """The headers that SNS sends with an envelope, or with the message alone where that was asked for."""
    found = {
        "x-amz-sns-message-type": made["Type"],
        "x-amz-sns-message-id": made["MessageId"],
        "x-amz-sns-topic-arn": made["TopicArn"],
        "user-agent": "Amazon Simple Notification Service Agent",
    }
    found |= (
        {"x-amz-sns-subscription-arn": subscription}
        if subscription and made["Type"] != "SubscriptionConfirmation"
        else {}
    )
    return found | ({"x-amz-sns-rawdelivery": "true"} if raw else {})
