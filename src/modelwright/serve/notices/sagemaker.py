"""What SageMaker tells of an asynchronous request that has come to its end.

Source: Amazon SageMaker Developer Guide, "Check prediction results"; public samples of messages. They show no message
of an answer that is included, nor of a request that was cancelled, which SageMaker does not know.
"""

import base64
from datetime import UTC, datetime
from typing import Any

from modelwright.records import Notification, RequestState

MOST_INCLUDED = 128 * 1024
"""Bytes of an answer that stand in a message, where they are asked for."""

_STATUS: dict[RequestState, str] = {
    "completed": "Completed",
    "failed": "Failed",
    "dead": "Failed",
    "expired": "Expired",
    "cancelled": "Cancelled",
}


def event_of(told: Notification, region: str, response: bytes | None = None) -> dict[str, Any]:
    """The message as SageMaker writes it.

    Args:
        told: what happened.
        region: that stands in it.
        response: the answer, or the account of the failure, where it is included.
    """
    asked, answer = told.invocation, told.answer
    requested = {
        "accept": asked.accept,
        "contentType": asked.content_type,
        "endpointName": asked.endpoint,
        "inputLocation": asked.input_location,
    }
    event: dict[str, Any] = {
        "awsRegion": region,
        "eventTime": stamp(told.finished_at),
        "receivedTime": stamp(told.received_at),
        "invocationStatus": _STATUS[told.state],
        "requestParameters": {name: value for name, value in requested.items() if value},
    }
    if told.state == "completed":
        kept = {"contentType": answer.content_type if answer else "", "outputLocation": asked.output_location}
    else:
        event["failureReason"] = told.reason
        kept = {"contentType": answer.content_type if answer else "", "failureLocation": asked.failure_location}
    event["responseParameters"] = {name: value for name, value in kept.items() if value}
    if response is not None:
        event["responseBody"] = _included(response)
    event |= {"inferenceId": asked.inference_id, "eventVersion": "1.0", "eventSource": "aws:sagemaker"}
    return event | {"eventName": "InferenceResult"}


def stamp(seconds: float) -> str:
    """A moment of the wall clock as AWS writes it: 2022-01-25T22:46:00.608Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _included(response: bytes) -> dict[str, str]:
    try:
        return {"content": response.decode(), "encoding": "UTF8"}
    except UnicodeDecodeError:
        return {"content": base64.b64encode(response).decode(), "encoding": "BASE64"}
