"""Receivers that behave and misbehave, and a courier that brings them messages."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelwright.clock import SystemClock
from modelwright.serve.notices import (
    Courier,
    Poster,
    Seal,
    Sender,
    create_topic,
    open_seal,
    publish_to,
    subscribe,
    topic_arn,
)
from modelwright.serve.objects import OwnObjects, open_own
from modelwright.serve.service import Ledger
from modelwright.serve.signing import Keys
from modelwright.serve.state import State, messages

TOPIC = topic_arn("us-east-1", "000000000000", "done")
AT_ONCE = json.dumps({"healthyRetryPolicy": {"minDelayTarget": 0, "maxDelayTarget": 0, "numRetries": 20}})
"""A delivery policy whose retries wait for nothing."""

Answer = int | str | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Posted:
    """A request as a receiver saw it."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Hook:
    """A receiver on a port of its own, which answers by a plan and then with 200.

    Attributes:
        answers: statuses, or what else it does: "drop": close amid the request; "half": close amid the answer;
            "hang": never answer.
        seen: requests, as they came.
    """

    answers: list[Any] = field(default_factory=list)
    seen: list[Posted] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    server: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self, port: int = 0, ssl: Any = None) -> "Hook":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=ssl)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self.server.close()
        self.server.close_clients() if hasattr(self.server, "close_clients") else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        answer = self.answers.pop(0) if self.answers else 200
        if answer == "drop":
            writer.transport.abort()
            return False
        body = await reader.readexactly(int(headers["content-length"]))
        self.seen.append(Posted(head[0].split()[1], headers, body))
        if answer == "hang":
            await reader.read()
            return False
        if answer == "half":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
            await writer.drain()
            return False
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
            return False
        said = b"as planned"
        writer.write(b"HTTP/1.1 %d It is\r\ncontent-length: %d\r\n\r\n%s" % (answer, len(said), said))
        await writer.drain()
        return True


class Office:
    """A state, a courier that delivers from it, and receivers."""

    def __init__(self, state: State, objects: OwnObjects, courier: Courier, seal: Seal) -> None:
        self.state, self.objects, self.courier, self.seal = state, objects, courier, seal
        self.wake = asyncio.Event()
        self.hooks: list[Hook] = []
        self._ids = (f"secret{number:016}" for number in itertools.count())

    async def hook(self, *answers: Any) -> Hook:
        hook = await Hook(list(answers)).start()
        self.hooks.append(hook)
        return hook

    async def do(self, change: Any, *args: Any, **kwargs: Any) -> Any:
        result = await asyncio.wrap_future(self.state.submit(change, *args, **kwargs))
        self.wake.set()
        return result

    async def topic(self, name: str = TOPIC, **attributes: str) -> str:
        await self.do(create_topic, name, attributes)
        return name

    async def subscribed(self, endpoint: str, protocol: str = "modelwright:webhook", **attributes: str) -> Any:
        wanted = {"DeliveryPolicy": AT_ONCE} | attributes
        return await self.do(subscribe, TOPIC, protocol, endpoint, lambda: next(self._ids), wanted)

    async def say(self, message: str = "all is well", **more: Any) -> str:
        return await self.do(publish_to, TOPIC, message, **more)

    def messages(self, state: str = "") -> list[Any]:
        return self.state.read(messages, state)

    async def settled(self, patience_s: float = 60.0) -> list[Any]:
        """All messages, when none waits any more."""
        return await until(lambda: not self.messages("waiting") and self.messages(), patience_s)


async def until(true: Callable[[], Any], patience_s: float = 60.0) -> Any:
    """Wait until something holds; whatever it is then."""
    async with asyncio.timeout(patience_s):
        while not (found := true()):
            await asyncio.sleep(0.005)
        return found


@pytest.fixture(name="until")
def waits() -> Callable[..., Any]:
    """Waits until something holds."""
    return until


@pytest.fixture
def new_hook() -> type[Hook]:
    """Makes receivers."""
    return Hook


@pytest.fixture(scope="session")
def seal(tmp_path_factory: pytest.TempPathFactory) -> Seal:
    """A service's seal."""
    return open_seal(tmp_path_factory.mktemp("seal"), SystemClock().now())


@pytest.fixture
def office(tmp_path: Path, seal: Seal) -> Callable[..., Any]:
    """Opens an office: `async with office() as it`."""

    @asynccontextmanager
    async def opens(
        *, private: bool = True, timeout_s: float = 30.0, keys: Keys | None = None, context: Any = None
    ) -> AsyncIterator[Office]:
        state = State.open(tmp_path / "serve.db")
        objects = await open_own(None, SystemClock(), iter(map(str, itertools.count())).__next__)
        sender = Sender("http://127.0.0.1:8080", "us-east-1", seal, keys)
        poster = Poster(private=private, timeout_s=timeout_s, context=context)
        it = Office(state, objects, Courier(sender, Ledger(state), objects, poster, SystemClock()), seal)
        delivering = asyncio.create_task(it.courier.deliver(it.wake))
        try:
            yield it
            assert not delivering.done(), delivering.exception()
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            for hook in it.hooks:
                await hook.stop()
            objects.close()
            state.close()

    return opens


@pytest.fixture
def run() -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine to its end."""
    return lambda work: asyncio.run(asyncio.wait_for(work, 120))
