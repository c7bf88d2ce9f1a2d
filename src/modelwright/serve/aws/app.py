"""The HTTP face: one ASGI application that unmodified clients of several of AWS's services talk to."""

import itertools
import logging
import secrets
from collections.abc import Mapping
from typing import final
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from modelwright.errors import ModelwrightError, RefusedError
from modelwright.serve.aws.access import Access, service_of, signed_by
from modelwright.serve.aws.autoscaling import answer as autoscaling
from modelwright.serve.aws.cloudwatch import answer as cloudwatch
from modelwright.serve.aws.exchange import MOST_BYTES, Reply, Request
from modelwright.serve.aws.forms import Protocol, error_reply
from modelwright.serve.aws.refusals import refused
from modelwright.serve.aws.runtime import MOST_AT_ONCE
from modelwright.serve.aws.runtime import answer as runtime
from modelwright.serve.aws.s3 import answer as s3
from modelwright.serve.aws.sagemaker import answer as sagemaker
from modelwright.serve.aws.sns import answer as sns
from modelwright.serve.aws.sts import answer as sts
from modelwright.serve.service import LOGGER, Service

OTHERS = "/-/"
"""Paths below belong to another application: no bucket can be called so."""

_QUERY = ("sns", "sts")
_PROTOCOLS: Mapping[str, Protocol] = {"s3": "s3", "sns": "query", "sts": "query", "query": "query"}


@final
class AwsApp:
    """Answers AWS's clients.

    Args:
        service: that is behind it.
        access: who may call.
        others: answers what is asked below `OTHERS`; None for nobody.
    """

    def __init__(self, service: Service, access: Access, others: ASGIApp | None = None) -> None:
        self._service = service
        self._access = access
        self._others = others
        self._run, self._numbers = secrets.token_hex(8), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive, f"{self._run}{next(self._numbers):016x}")
        try:
            reply = await self._answered(request, scope, receive, send)
            if reply is not None:
                await reply.send(send, head=request.method == "HEAD")
        except ConnectionResetError:
            return

    async def _answered(self, request: Request, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        try:
            self._access.check_caller(request)
            if self._others is not None and request.path.startswith(OTHERS):
                await self._others(scope, receive, send)
                return None
            return await self._route(request)
        except ModelwrightError as failure:
            code, status, message = refused(failure, _table(request))
            if status >= 500:
                LOGGER.warning("refused", extra={"fields": {"path": request.path[:200], "error": message}})
            return error_reply(_protocol(request), code, status, message, request.id)
        except ConnectionResetError:
            raise
        except Exception:  # noqa: BLE001  # a defect of this program: the client is told so, and the log why
            LOGGER.log(logging.ERROR, "failed", exc_info=True, extra={"fields": {"path": request.path[:200]}})
            rule = f"the server failed; its log says why, at request {request.id}"
            return error_reply(_protocol(request), "InternalFailure", 500, rule, request.id)

    async def _route(self, request: Request) -> Reply:
        signed = signed_by(request)
        request.service = service_of(request, signed)
        at_once = request.path.startswith("/endpoints/")
        most = MOST_AT_ONCE if at_once else MOST_BYTES
        now = self._service.clock.now()
        fields: dict[str, str] = {}
        await self._access.check_signature(request, signed, now, most)
        if request.service in _QUERY or request.service == "query":
            fields = await _fields(request)
        if request.service == "query":
            request.service = "sts" if fields.get("Version") == "2011-06-15" else "sns"
        if request.service == "s3":
            return await s3(self._service, request)
        if request.service == "sns":
            return await sns(self._service, request, fields)
        if request.service == "sts":
            return sts(self._service, request, fields, signed.key if signed else "")
        if at_once and request.service == "sagemaker" and "x-amz-target" not in request.headers:
            return await runtime(self._service, request)
        operations = {
            "sagemaker": sagemaker,
            "application-autoscaling": autoscaling,
            "monitoring": cloudwatch,
        }
        if request.service not in operations:
            raise RefusedError(
                "UnknownOperationException", "the service must be one that is served here", value=request.service
            )
        return await operations[request.service](self._service, request)


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a form, in the query and in the body; those of a link are in the query alone."""
    if request.method == "GET":
        return dict(request.query)
    content = (await request.body()).decode("utf-8", "replace")
    try:
        return dict(request.query) | dict(parse_qsl(content, keep_blank_values=True, max_num_fields=2000))
    except ValueError as failure:
        raise RefusedError("MalformedQueryString", f"a form must be readable ({failure})") from failure


def _protocol(request: Request) -> Protocol:
    if request.service in _PROTOCOLS:
        return _PROTOCOLS[request.service]
    if request.path.startswith("/endpoints/") and "x-amz-target" not in request.headers:
        return "rest-json"
    return "json" if request.service else "s3"


def _table(request: Request) -> str:
    runtime_call = request.path.startswith("/endpoints/") and "x-amz-target" not in request.headers
    return "runtime" if runtime_call else request.service
