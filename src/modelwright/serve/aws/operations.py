"""What the JSON protocols share: an operation's input is read into a record, and its output told back."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from modelwright.errors import RefusedError
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.aws.forms import json_reply
from modelwright.serve.service import Service

T = TypeVar("T")

Operation = Callable[[Service, Any], Awaitable[Any]]
"""Answers an input that was read into its record with an output of plain values."""

Operations = Mapping[str, tuple[type[Any], Operation]]
"""Name of an operation -> the record of its input, and what answers it."""


async def perform(service: Service, request: Request, operations: Operations, version: str, invalid: str) -> Reply:
    """Answer a request of a JSON protocol.

    Args:
        service: behind it.
        request: what was asked.
        operations: that there are.
        version: of JSON, "1.0" or "1.1".
        invalid: the service's code for an input that breaks a rule.

    Raises:
        ModelwrightError: it is refused.
    """
    name = request.headers.get("x-amz-target", "").rpartition(".")[2]
    if name not in operations:
        raise RefusedError("UnknownOperationException", "the operation must be one that is served here", value=name)
    kind, operation = operations[name]
    given = read(await request.body() or b"{}", kind, invalid)
    return json_reply(await operation(service, given), request.id, version)


def read(content: bytes, kind: type[T], invalid: str) -> T:
    """JSON as a record.

    Raises:
        RefusedError: it is no JSON, or a member is missing, of another type or out of range.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as failure:
        raise RefusedError(invalid, f"1 validation error detected: {failure}") from failure
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise RefusedError("SerializationException", f"a body must be JSON ({failure})") from failure


def converted(said: Mapping[str, Any], kind: type[T], invalid: str) -> T:
    """A part of an input that is kept as it was said, as a record.

    Raises:
        RefusedError: a member is missing, of another type or out of range.
    """
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as failure:
        raise RefusedError(invalid, f"1 validation error detected: {failure}", value=said) from failure


def told(content: Mapping[str, Any]) -> dict[str, Any]:
    """An output without the members that have no value."""
    return {name: value for name, value in content.items() if value is not None and value != ""}


def arn(service: Service, kind: str, rest: str) -> str:
    """An Amazon resource name."""
    return f"arn:aws:{kind}:{service.site.region}:{service.site.account}:{rest}"
