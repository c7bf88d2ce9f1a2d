"""One HTTP/1.1 exchange with an instance, both bodies streamed, by h11."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import final

import h11

from modelwright.errors import InstanceError

_READ = 256 * 1024
_AT_ONCE = 64 * 1024  # what fits the system's own buffers is sent before anything is heard
_LONGEST_HEAD = 64 * 1024

Header = tuple[str, str]

Head = tuple[int, Mapping[str, str]]
"""Status and headers of an answer, the names in small letters."""


@final
class Wire:
    """A connection to an instance, for one exchange after another.

    Args:
        reader, writer: the two ends.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)

    @classmethod
    async def to(cls, host: str, port: int) -> "Wire":
        """A new connection.

        Raises:
            OSError: nobody listens there.
        """
        return cls(*await asyncio.open_connection(host, port, limit=_READ))

    @property
    def idle(self) -> bool:
        """Whether another exchange can follow."""
        return self._state.our_state is h11.IDLE and not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        """Give the connection up at once, whatever is under way."""
        self._writer.transport.abort()

    async def ask(self, method: str, path: str, headers: Iterable[Header], body: bytes | AsyncIterator[bytes]) -> Head:
        """Send a request, and read the head of its answer, which may come before all of the request is sent.

        Raises:
            InstanceError: "garbled": the answer is no HTTP.
            OSError: the connection broke.
            Exception: what the body raised.
        """
        if isinstance(body, bytes) and len(body) <= _AT_ONCE:
            await self._send(method, path, headers, body)
            return await self._head()
        sending = asyncio.create_task(self._send(method, path, headers, body))
        hearing = asyncio.create_task(self._head())
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            return await hearing
        finally:
            for task in (sending, hearing):
                task.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The answer's body.

        Raises:
            InstanceError: "garbled": the body is no HTTP.
            OSError: the connection broke.
        """
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()

    async def _send(
        self, method: str, path: str, headers: Iterable[Header], body: bytes | AsyncIterator[bytes]
    ) -> None:
        framing = ("content-length", str(len(body))) if isinstance(body, bytes) else ("transfer-encoding", "chunked")
        head = h11.Request(method=method, target=path, headers=[("host", "instance"), framing, *headers])
        if isinstance(body, bytes):
            self._write(head, h11.Data(data=body), h11.EndOfMessage())
        else:
            self._write(head)
            async for piece in body:
                self._write(h11.Data(data=piece))
                await self._drained()
            self._write(h11.EndOfMessage())
        await self._drained()

    def _write(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._state.send(event) or b"" for event in events))

    async def _drained(self) -> None:
        """Wait until there is room; that a connection broke is told by what is read of it, which may be an answer."""
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def _head(self) -> Head:
        event = await self._event()
        while isinstance(event, h11.InformationalResponse):
            event = await self._event()
        if not isinstance(event, h11.Response):
            raise ConnectionResetError("the connection was closed before an answer")
        return event.status_code, {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}

    async def _event(self) -> object:
        closed = False
        try:
            while (event := self._state.next_event()) is h11.NEED_DATA:
                content = await self._reader.read(_READ)
                closed = not content
                self._state.receive_data(content)
        except h11.RemoteProtocolError as failure:
            if closed:
                raise ConnectionResetError("the connection was closed amid an answer") from failure
            raise InstanceError("garbled", f"an instance must speak HTTP/1.1 ({failure})") from failure
        return event
