"""The container contract over HTTP: GET /ping and POST /invocations, as an ASGI application."""

import asyncio
import http
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, final

import msgspec

from modelwright.clock import Clock
from modelwright.errors import BusyError, RecordError, SettingError, ShapeError
from modelwright.serve.instances.batching import Desk
from modelwright.serve.instances.calls import Call, Reply

ACCEPT = "accept"
CONTENT_TYPE = "content-type"
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"

STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (BusyError, 503),
    (SettingError, 415),
    (RecordError, 400),
    (ShapeError, 400),
    (Exception, 500),
)
"""What a handler raises -> HTTP's status; the first row that fits decides."""

IN_MEMORY = 8 * 1024 * 1024
"""Bytes of an input that are held in memory; longer ones lie on the disk."""

Log = Callable[[dict[str, Any]], None]


@final
class Contract:
    """The application of one instance.

    Args:
        clock: tells how long a call took.
        log: takes a structured line a call.
    """

    def __init__(self, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self.desk: Desk | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        match scope["type"], scope.get("method"), scope.get("path"):
            case "http", "GET" | "HEAD", "/ping":
                await _send(send, Reply(b"", "text/plain", 200 if self.desk else 503))
            case "http", "POST", "/invocations":
                await self._invoke(scope, receive, send)
            case "http", _, "/ping" | "/invocations":
                await _send(send, _told(405, "/ping takes GET and /invocations takes POST."))
            case "http", _, _:
                await _send(send, _told(404, "There are /ping and /invocations here."))

    async def _invoke(self, scope: Any, receive: Any, send: Any) -> None:
        begun = self._clock.seconds()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        line: dict[str, Any] = {"event": "invocation", "inference_id": headers.get(INFERENCE_ID, "")}
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as body:
            if not await _received(receive, body):
                self._log(line | {"level": "warning", "error": "the client went away amid its input"})
                return
            line["input_bytes"] = body.tell()
            body.seek(0)
            call = Call(
                body,  # type: ignore[arg-type]  # a BinaryIO in all but its declaration
                headers.get(CONTENT_TYPE, ""),
                headers.get(ACCEPT, ""),
                headers.get(CUSTOM_ATTRIBUTES, ""),
                headers.get(INFERENCE_ID, ""),
            )
            reply = await _unless_gone(receive, self._answered(call, line))
            if reply is None:
                self._log(line | {"level": "warning", "error": "the client went away before its answer"})
                return
            try:
                line["output_bytes"] = await _send(send, reply)
            except Exception as failure:
                self._log(line | {"level": "error", "error": f"the answer broke off: {failure!r}"})
                raise  # the connection is closed amid the answer, so that nobody takes it for a whole one
        self._log(
            {"level": "info"} | line | {"status": reply.status, "seconds": round(self._clock.seconds() - begun, 6)}
        )

    async def _answered(self, call: Call, line: dict[str, Any]) -> Reply:
        if self.desk is None:
            return _told(503, "The model is being loaded.")
        try:
            return await self.desk.answer(call)
        except Exception as failure:  # noqa: BLE001  # the outermost driver: a model's code may raise anything
            status = next(status for kind, status in STATUSES if isinstance(failure, kind))
            line |= {"level": "error" if status == 500 else "warning", "error": f"{type(failure).__name__}: {failure}"}
            if status == 500:
                line["trace"] = _trace(failure)
            return _told(status, f"{type(failure).__name__}: {failure}")


async def _received(receive: Any, body: Any) -> bool:
    """Whether the whole input came; it is written to `body`."""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return False
        piece = message.get("body", b"")
        if len(piece) > IN_MEMORY // 8:
            await asyncio.to_thread(body.write, piece)
        else:
            body.write(piece)
        if not message.get("more_body"):
            return True


async def _unless_gone(receive: Any, answering: Coroutine[Any, Any, Reply]) -> Reply | None:
    """The reply; None where the client goes away first: what waits is not begun then, what runs runs on for nobody."""
    answer, gone = asyncio.create_task(answering), asyncio.create_task(receive())
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await answer if answer.done() else None
    finally:
        for task in (answer, gone):
            task.cancel()


async def _send(send: Any, reply: Reply) -> int:
    """Send a reply; its bytes."""
    headers = [(b"content-type", reply.content_type.encode("latin-1", "replace"))]
    if reply.custom_attributes:
        headers.append((CUSTOM_ATTRIBUTES.encode(), reply.custom_attributes.encode("latin-1", "replace")))
    body = reply.body
    if isinstance(body, bytes):
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
        return len(body)
    total = 0
    while (piece := await asyncio.to_thread(_next, body)) is not None:
        total += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    return total


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


def _told(status: int, message: str) -> Reply:
    body = {"code": status, "type": http.HTTPStatus(status).phrase, "message": message}
    return Reply(msgspec.json.encode(body), "application/json", status)


def _trace(failure: BaseException) -> str:
    return "".join(traceback.format_exception(failure))[-4000:]
