"""One HTTP exchange as the protocols see it: what was asked, and what is answered."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from modelwright.errors import RefusedError
from modelwright.serve.signing import Asked

MOST_BYTES = 1024 * 1024
"""Of a body that is read whole."""

_MOST_FIELDS = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


SILENCE_S = 60.0
"""Between two pieces of a body, seconds; who stops amid one is answered then."""


@final
class Request:
    """What was asked.

    Attributes:
        method: of HTTP.
        raw_path: percent-encoded, as it was sent.
        path: percent-decoded.
        headers: names in lower case -> values.
        client: address of whoever asks; "" where that is not known.
        id: of this exchange, told to the client.
        service: that it is meant for, such as "s3".

    Args:
        scope, receive: of ASGI.
        id: of this exchange.
    """

    def __init__(self, scope: Scope, receive: Receive, id: str) -> None:
        self.method: str = scope["method"]
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        self.raw_path = raw.partition(b"?")[0].decode("latin-1")
        self.path: str = scope["path"]
        self._query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, said = name.decode("latin-1").lower(), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]},{said}" if key in self.headers else said
        client = scope.get("client")
        self.client: str = client[0] if client else ""
        self.id = id
        self.service = ""
        self._receive = receive
        self._body: bytes | None = None
        self._begun = False

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """Names and values of the query, decoded, in order.

        Raises:
            RefusedError: there are too many.
        """
        try:
            return parse_qsl(self._query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError as failure:
            raise RefusedError("InvalidURI", f"a query must have at most {_MOST_FIELDS} fields") from failure

    @property
    def asked(self) -> Asked:
        """What a signature is of."""
        return Asked(self.method, self.raw_path, self.query, self.headers)

    @property
    def length(self) -> int | None:
        """Bytes of the body, where the client told.

        Raises:
            RefusedError: what it told is no number.
        """
        told = self.headers.get("content-length")
        if told is None:
            return None
        return whole(told, "content-length", "InvalidRequest")

    def one(self, name: str, default: str = "") -> str:
        """The first value of that name in the query."""
        return next((value for key, value in self.query if key == name), default)

    def has(self, name: str) -> bool:
        """Whether the query names it."""
        return any(key == name for key, _ in self.query)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, to be read once.

        Raises:
            ConnectionResetError: the client went away amid it.
            RefusedError: the client stays silent amid it.
        """
        if self._body is not None:
            yield self._body
            return
        self._begun = True
        more = True
        while more:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = await self._receive()
            except TimeoutError as failure:
                rule = f"a client must not be silent for {SILENCE_S:g} seconds amid a body"
                raise RefusedError("RequestTimeout", rule) from failure
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client went away")
            more = message.get("more_body", False)
            if content := message.get("body", b""):
                yield content

    async def body(self, most: int = MOST_BYTES, code: str = "RequestEntityTooLarge") -> bytes:
        """The whole body, of at most so many bytes.

        Raises:
            RefusedError: it has more.
        """
        if self._body is None:
            found = bytearray()
            if (self.length or 0) > most:
                raise RefusedError(code, f"a body must have at most {most} bytes", value=self.length, status=413)
            async for piece in self.pieces():
                found += piece
                if len(found) > most:
                    raise RefusedError(code, f"a body must have at most {most} bytes", status=413)
            self._body = bytes(found)
        return self._body


@final
@dataclass
class Reply:
    """What is answered.

    Attributes:
        body: bytes, or pieces that are sent as they come.
        status: of HTTP.
        headers: besides the length.
        length: bytes of pieces; None where that is not known.
    """

    body: bytes | AsyncIterator[bytes] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send it; of an answer to HEAD only the head."""
        length = len(self.body) if isinstance(self.body, bytes) and self.length is None else self.length
        headers = [
            (name.lower().encode("latin-1"), _one_line(value).encode("latin-1", "replace"))
            for name, value in self.headers.items()
        ]
        if length is not None and self.status not in (204, 304):
            headers.append((b"content-length", str(length).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if head or isinstance(self.body, bytes):
            content = b"" if head else self.body
            await send({"type": "http.response.body", "body": content})
            return
        async for piece in self.body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _one_line(value: str) -> str:
    """A header's value, which holds no ends of lines and the like (RFC 9110, 5.5)."""
    return _CONTROL.sub(" ", value).strip()


def whole(text: str, name: str, code: str) -> int:
    """A whole number from 0 on, of at most 18 digits of ASCII.

    Args:
        text: as it was told.
        name: of what it is.
        code: of the refusal.

    Raises:
        RefusedError: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RefusedError(code, f"{name} must be a whole number", value=text[:80])
    return int(text)
