"""A small HTTP/1.1 client for messages, by h11: short bodies out, a status back, from receivers that are not trusted.

No redirection is followed, no proxy asked, no more read than a little. A name is looked up once for each connection;
all that it stands for is checked, and the connection goes to one of these addresses, not to the name again.
"""

import asyncio
import base64
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final
from urllib.parse import SplitResult, unquote, urlsplit

import h11

from modelwright.errors import SettingError
from modelwright.serve.notices.addresses import public, unreachable

TIMEOUT_S = 15.0
"""For all of an exchange, as SNS has it."""

MOST_READ = 64 * 1024
"""Bytes of an answer's body."""

_IDLE_S = 20.0
_MOST_IDLE = 16
_READ = 16 * 1024
_PORTS = {"http": 80, "https": 443}


@final
@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        status: of HTTP.
        body: its beginning.
    """

    status: int
    body: bytes


@final
@dataclass(frozen=True)
class Silence:
    """That no answer came.

    Attributes:
        reason: why.
        again: another attempt may have one.
    """

    reason: str
    again: bool = True


@final
class Poster:
    """Posts, over connections that it keeps for a while.

    Args:
        private: receivers on this machine and in its network may be reached.
        context: by which receivers' certificates are checked; the system's own if None.
        timeout_s: for all of an exchange.
    """

    def __init__(self, *, private: bool, context: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._private = private
        self._context = context or ssl.create_default_context()
        self._timeout_s = timeout_s
        self._idle: dict[str, list[_Line]] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply | Silence:
        """Post a body; the answer, whatever it is, or why there is none.

        Args:
            url: where to, of a form that `modelwright.serve.notices.addresses` has checked.
            headers: besides those of the connection.
            body: what is posted.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._posted(origin, parts, _request(parts, headers, body), body)
        except TimeoutError:
            return Silence(f"no answer within {self._timeout_s:g} s")
        except ssl.SSLCertVerificationError as failure:
            return Silence(f"its certificate is not trusted: {failure.verify_message}")
        except socket.gaierror as failure:
            return Silence(f"its name is not known: {failure.strerror}")
        except OSError as failure:
            return Silence(f"the connection failed: {failure.strerror or failure}")
        except h11.RemoteProtocolError as failure:
            return Silence(f"its answer is no HTTP: {failure}")
        except h11.LocalProtocolError as failure:
            return Silence(f"it cannot be asked: {failure}", again=False)
        except SettingError as failure:
            return Silence(str(failure), again=False)

    def close(self) -> None:
        """Give all connections up."""
        for lines in self._idle.values():
            for line in lines:
                line.close()
        self._idle.clear()

    async def _posted(self, origin: str, parts: SplitResult, head: h11.Request, body: bytes) -> Reply:
        line = self._kept(origin)
        if line is not None:  # which the other side may have given up just now; then a new one is made
            try:
                return await self._over(line, origin, head, body)
            except (OSError, h11.RemoteProtocolError):
                if line.heard:
                    raise
        return await self._over(await self._connected(parts), origin, head, body)

    async def _over(self, line: "_Line", origin: str, head: h11.Request, body: bytes) -> Reply:
        try:
            reply = await line.exchange(head, body)
        except BaseException:
            line.close()
            raise
        idle = self._idle.setdefault(origin, [])
        if line.reusable and len(idle) < _MOST_IDLE:
            idle.append(line)
        else:
            line.close()
        return reply

    def _kept(self, origin: str) -> "_Line | None":
        now = asyncio.get_running_loop().time()
        for name, lines in list(self._idle.items()):
            for line in [one for one in lines if one.since + _IDLE_S < now or not one.reusable]:
                line.close()
                lines.remove(line)
            if not lines:
                del self._idle[name]
        lines = self._idle.get(origin, [])
        return lines.pop() if lines else None

    async def _connected(self, parts: SplitResult) -> "_Line":
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if not self._private and not all(public(address) for address in addresses):
            raise unreachable(host)
        failure: OSError = ConnectionError("it has no address")
        secure = parts.scheme == "https"
        for address in addresses:
            try:
                ends = await asyncio.open_connection(
                    address,
                    port,
                    limit=_READ,
                    ssl=self._context if secure else None,
                    server_hostname=host if secure else None,
                )
            except OSError as refused:
                failure = refused
            else:
                return _Line(*ends)
        raise failure


@final
class _Line:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._state = h11.Connection(h11.CLIENT)
        self.heard = False
        self.since = 0.0

    @property
    def reusable(self) -> bool:
        return self._state.our_state is h11.IDLE and not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        self._writer.transport.abort()

    async def exchange(self, head: h11.Request, body: bytes) -> Reply:
        self.heard = False
        sent = [self._state.send(event) or b"" for event in (head, h11.Data(data=body), h11.EndOfMessage())]
        self._writer.write(b"".join(sent))
        event = await self._event()
        while isinstance(event, h11.InformationalResponse):
            event = await self._event()
        if not isinstance(event, h11.Response):
            raise ConnectionResetError("it was closed before an answer")
        status, read = event.status_code, bytearray()
        while len(read) <= MOST_READ and isinstance(piece := await self._event(), h11.Data):
            read += piece.data
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
            self.since = asyncio.get_running_loop().time()
        return Reply(status, bytes(read[:MOST_READ]))

    async def _event(self) -> object:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            content = await self._reader.read(_READ)
            self.heard = self.heard or bool(content)
            if not content and self._state.their_state is not h11.SEND_BODY:
                raise ConnectionResetError("it was closed before an answer")
            self._state.receive_data(content)
        return event


def _request(parts: SplitResult, headers: Mapping[str, str], body: bytes) -> h11.Request:
    host = parts.netloc.rpartition("@")[2]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"host": host, "content-length": str(len(body)), "accept": "*/*", "user-agent": "modelwright"} | dict(
        headers
    )
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        sent["authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    return h11.Request(method="POST", target=target, headers=list(sent.items()))
