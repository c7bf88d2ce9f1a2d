"""Messages to services that speak AWS's protocols: a queue's SendMessage, another topic's Publish.

Source: Amazon SQS API Reference (AWS JSON 1.0), Amazon SNS API Reference (query).
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from modelwright.serve.notices.letters import Attribute

_THROTTLED = (b"hrottl", b"RequestLimitExceeded", b"TooManyRequests", b"ServiceUnavailable")


def send_message(
    queue: str, body: str, message_id: str, line: str, attributes: Mapping[str, Attribute]
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of SQS's SendMessage.

    Args:
        queue: its URL.
        body: the message.
        message_id: by which a queue that keeps order knows a repetition.
        line: messages of one line keep their order there.
        attributes: by name.
    """
    asked: dict[str, Any] = {"QueueUrl": queue, "MessageBody": body}
    if attributes:
        asked["MessageAttributes"] = {name: _attribute(one) for name, one in attributes.items()}
    if queue.endswith(".fifo"):
        asked |= {"MessageGroupId": (line or message_id)[:128], "MessageDeduplicationId": message_id}
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}
    return json.dumps(asked, ensure_ascii=False).encode(), headers


def publish(
    topic: str, message: str, subject: str, attributes: Mapping[str, Attribute]
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of SNS's Publish.

    Args:
        topic: the other topic's ARN.
        message: the text.
        subject: "" for none.
        attributes: by name.
    """
    asked = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic, "Message": message}
    asked |= {"Subject": subject} if subject else {}
    for number, (name, one) in enumerate(attributes.items(), 1):
        at = f"MessageAttributes.entry.{number}"
        kind = "BinaryValue" if one.type.startswith("Binary") else "StringValue"
        asked |= {f"{at}.Name": name, f"{at}.Value.DataType": one.type, f"{at}.Value.{kind}": one.value}
    return urlencode(asked).encode(), {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def throttled(status: int, answer: bytes) -> bool:
    """Whether a refusal only asks for patience, which these protocols may say with status 400."""
    return status in (400, 403) and any(word in answer for word in _THROTTLED)


def _attribute(one: Attribute) -> dict[str, str]:
    if one.type.startswith("Binary"):
        return {"DataType": one.type, "BinaryValue": one.value}
    return {"DataType": "String" if one.type == "String.Array" else one.type, "StringValue": one.value}
