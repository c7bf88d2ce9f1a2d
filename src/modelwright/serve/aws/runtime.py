"""sagemaker-runtime: InvokeEndpointAsync and InvokeEndpoint.

Where AWS's documentation is silent: an answer is kept as S3OutputPath/[extension/]filename, with "<inference id>.out"
where no filename is given, and the account of a failure as S3FailurePath/<the same name> with "-error" before its
ending. An inference id that comes again with the same request is answered as the first time; with another one it is
refused.
"""

import contextlib
import re
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from modelwright.errors import BusyError, InstanceError, RefusedError, UnknownNameError
from modelwright.records import EndpointRecord, Invocation
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.instances import Answering, invocation_headers
from modelwright.serve.objects import address_of
from modelwright.serve.service import Service
from modelwright.serve.state import ENDPOINTS

MOST_INLINE = 128_000
"""Bytes of an asynchronous request's own body."""

MOST_AT_ONCE = 25 * 1024 * 1024
"""Bytes of the body of a call that is answered at once."""

DEADLINE_S = 60.0
"""For a call that is answered at once, as in SageMaker; X-Modelwright-Deadline asks for another one."""

_PREFIX = "x-amzn-sagemaker-"
_PATH = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
_LABEL = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_ADDRESS = re.compile(r"(https|s3)://([^/]+)/?(.*)", re.DOTALL)
_MOST_TOLD = 4096


async def answer(service: Service, request: Request) -> Reply:
    """Answer one request.

    Raises:
        ModelwrightError: it is refused.
    """
    found = _PATH.fullmatch(request.path)
    if found is None or request.method != "POST":
        raise RefusedError("UnknownOperationException", "the operation must be one of sagemaker-runtime", status=404)
    name, way = found.groups()
    if len(name) > 63 or not _LABEL.fullmatch(name):
        raise _invalid("EndpointName", "must be letters, digits and hyphens, 63 at most", name)
    if way == "async-invocations":
        return await _invoke_async(service, request, name)
    return await _invoke(service, request, name)


async def _invoke_async(service: Service, request: Request, name: str) -> Reply:
    stand = service.endpoints.stands.get(name)
    record = stand.record if stand else await service.ledger.read(ENDPOINTS.get, name)
    if record.settings is None:
        raise _invalid("EndpointName", "must be of an endpoint with AsyncInferenceConfig", name)
    body = await request.body(MOST_INLINE, "ValidationError")
    location = _header(request, "inputlocation", 1024)
    if bool(body) == bool(location):
        raise _invalid("InputLocation", "must be given, or a body, and not both", location)
    if location and not _ADDRESS.fullmatch(location):
        raise _invalid("InputLocation", "must be at s3:// or https://", location)
    inference_id = _header(request, "inference-id", 64) or service.ids()
    outcome, failure = _places(service, record, request, inference_id)
    invocation = Invocation(
        endpoint=name,
        inference_id=inference_id,
        input_location=location,
        output_location=outcome,
        failure_location=failure,
        content_type=_header(request, "content-type", 1024),
        accept=_header(request, "accept", 1024),
        custom_attributes=_header(request, "custom-attributes", 1024),
        priority=_whole(request, "x-modelwright-priority", (-1000, 1000), 0),
        ttl_s=_whole(request, f"{_PREFIX}requestttlseconds", (60, 21_600), 21_600),
        timeout_s=_whole(request, f"{_PREFIX}invocationtimeoutseconds", (1, 3600), 900),
    )
    taken = await service.accept(invocation, body or None)
    headers = {
        "content-type": "application/json",
        "x-amzn-requestid": request.id,
        "x-amzn-sagemaker-outputlocation": taken.invocation.output_location,
    }
    if taken.invocation.failure_location:
        headers["x-amzn-sagemaker-failurelocation"] = taken.invocation.failure_location
    return Reply(msgspec.json.encode({"InferenceId": inference_id}), 202, headers)


async def _invoke(service: Service, request: Request, name: str) -> Reply:
    variant = _header(request, "target-variant", 63)
    deadline_s = float(_whole(request, "x-modelwright-deadline", (1, 3600), int(DEADLINE_S)))
    if (request.length or 0) > MOST_AT_ONCE:
        raise _invalid("Body", f"must have at most {MOST_AT_ONCE} bytes", request.length)
    headers = invocation_headers(
        request.headers.get("content-type", ""),
        request.headers.get("accept", ""),
        _header(request, "custom-attributes", 1024),
        _header(request, "inference-id", 64) or request.id,
    )
    if name not in service.endpoints.stands:
        raise UnknownNameError("endpoint", name, service.endpoints.stands)
    async with contextlib.AsyncExitStack() as held:
        try:
            calling = service.call(name, variant, headers, _limited(request), deadline_s)
            answering, chosen = await held.enter_async_context(calling)
            if not 200 <= answering.status < 300:
                return await _model_error(answering, request.id)
        except InstanceError as failure:
            status = 504 if failure.fate == "late" else 500
            return _error(f"The model gave no answer: {failure}", status, failure.rule, request.id)
        except BusyError as failure:
            raise RefusedError("ServiceUnavailable", str(failure).rstrip("."), status=503) from failure
        told = {"content-type": answering.content_type or "application/octet-stream", "x-amzn-requestid": request.id}
        told["x-amzn-invoked-production-variant"] = chosen
        if attributes := answering.headers.get(f"{_PREFIX}custom-attributes"):
            told[f"{_PREFIX}custom-attributes"] = attributes
        return Reply(_released(answering, held.pop_all()), 200, told)


async def _limited(request: Request) -> AsyncIterator[bytes]:
    """The body, which is broken off where it is too long."""
    total = 0
    async for piece in request.pieces():
        total += len(piece)
        if total > MOST_AT_ONCE:
            raise _invalid("Body", f"must have at most {MOST_AT_ONCE} bytes", total)
        yield piece


async def _released(answering: Answering, held: contextlib.AsyncExitStack) -> AsyncIterator[bytes]:
    """The answer's body; the instance is free when it has been read, or given up."""
    async with held:
        async for piece in answering.body:
            yield piece


async def _model_error(answering: Answering, request_id: str) -> Reply:
    said = bytearray()
    async for piece in answering.body:
        said += piece[: _MOST_TOLD - len(said)]
    return _error(f"Received error ({answering.status}) from model.", answering.status,
                  said.decode("utf-8", "replace"), request_id)  # fmt: skip


def _error(message: str, status: int, said: str, request_id: str) -> Reply:
    content = {"Message": message, "OriginalStatusCode": status, "OriginalMessage": said}
    headers = {"content-type": "application/json", "x-amzn-requestid": request_id, "x-amzn-errortype": "ModelError"}
    return Reply(msgspec.json.encode(content), 424, headers)


def _places(service: Service, record: EndpointRecord, request: Request, inference_id: str) -> tuple[str, str]:
    """Where the answer goes, and the account of a failure."""
    settings = record.settings
    ours = address_of(service.site.buckets[0], f"async-endpoint-outputs/{record.name}")
    base = (settings.output_path if settings and settings.output_path else ours).rstrip("/")
    failures = (settings.failure_path if settings else "").rstrip("/")
    extension = _header(request, "s3outputpathextension", 512).strip("/")
    filename = _header(request, "filename", 32) or f"{urllib.parse.quote(inference_id, safe='-_.~')}.out"
    stem, dot, ending = filename.rpartition(".")
    wrong = f"{stem}-error.{ending}" if dot else f"{filename}-error"
    parts = [extension] if extension else []
    outcome = "/".join((base, *parts, filename))
    return outcome, "/".join((failures, *parts, wrong)) if failures else ""


def _header(request: Request, name: str, most: int) -> str:
    value = request.headers.get(f"{_PREFIX}{name}", "")
    if len(value) > most or not value.isascii() or not (value.isprintable() or not value):
        raise _invalid(name, f"must be at most {most} ASCII characters that can be seen", value[:80])
    return value


def _whole(request: Request, name: str, bounds: tuple[int, int], default: int) -> int:
    told = request.headers.get(name)
    if told is None:
        return default
    try:
        value = int(told)
    except ValueError:
        raise _invalid(name, "must be a whole number", told) from None
    if not bounds[0] <= value <= bounds[1]:
        raise _invalid(name, f"must be {bounds[0]} to {bounds[1]}", value)
    return value


def _invalid(where: str, rule: str, value: Any) -> RefusedError:
    return RefusedError("ValidationError", f"{where} {rule}", value=value)
