"""Instances as their server sees them: called, drained and stopped, and their death noticed when it happens."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec

from modelwright.errors import InstanceError
from modelwright.serve.instances.answering import Answering, Budget
from modelwright.serve.instances.record import Record
from modelwright.serve.instances.wire import Header, Wire

HOST = "127.0.0.1"
RUNNER = "modelwright.serve.instances.runner"

_PING_S = 2.0
_READ = 64 * 1024


@final
@dataclass(frozen=True)
class Launch:
    """How an instance is started.

    Attributes:
        folder: of the model, unpacked.
        record: file for what it writes on its standard outputs.
        handler: "module:attribute" that loads the model; "" for what fits the folder.
        options: further words for the runner, such as ("--concurrency", "4").
        environment: all of its variables; None for those of this process.
        record_bytes: of the record at most.
        command: another program in the runner's place, which takes the runner's words.
    """

    folder: Path
    record: Path
    handler: str = ""
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    record_bytes: int = 8 * 1024 * 1024
    command: tuple[str, ...] = (sys.executable, "-m", RUNNER)


class Ending(msgspec.Struct, frozen=True):
    """How a process ended.

    Attributes:
        code: its exit code; negative for the signal that killed it.
        wanted: it had been told to end.
    """

    code: int
    wanted: bool

    def __str__(self) -> str:
        if self.code >= 0:
            return f"it ended with exit code {self.code}"
        with contextlib.suppress(ValueError):
            return f"it was killed by {signal.Signals(-self.code).name}"
        return f"it was killed by signal {-self.code}"


@final
class Instance:
    """A process that answers calls; `start_instance` makes one.

    Attributes:
        process: its number.
        port: where it listens on 127.0.0.1; 0 before it does.
        working: calls under way, those whose answer is still being read included.
        late: calls that were given up because their time was over; the model may be at them still.
    """

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int, record: Record) -> None:
        self.process = process.pid
        self.port = 0
        self.working = 0
        self.late = 0
        self._child = process
        self._lifeline = lifeline
        self._record = record
        self._code: int | None = None
        self._told_to_end = False
        self._draining = False
        self._wires: set[Wire] = set()
        self._idle: list[Wire] = []
        self._empty = asyncio.Event()
        self._empty.set()
        self._keeping = asyncio.create_task(self._keep())
        self._ended = asyncio.create_task(self._wait())

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._code is None

    @property
    def address(self) -> str:
        """Where it listens, such as "http://127.0.0.1:40001"."""
        return f"http://{HOST}:{self.port}"

    async def ended(self) -> Ending:
        """Wait for the end of the process, which wakes this at once."""
        return await asyncio.shield(self._ended)

    async def ping(self) -> bool:
        """Whether it says, within two seconds, that it is ready."""
        try:
            async with asyncio.timeout(_PING_S), self.ask("GET", "/ping") as answer:
                await answer.read()
                return answer.status == 200
        except (InstanceError, TimeoutError):
            return False

    def invoke(
        self,
        headers: Sequence[Header],
        body: bytes | AsyncIterator[bytes],
        *,
        deadline_s: float,
        most_bytes: int | None = None,
    ) -> contextlib.AbstractAsyncContextManager[Answering]:
        """Call the model: `async with instance.invoke(...) as answer`, whose head has come then; its body is streamed.

        Args:
            headers: Content-Type, Accept and SageMaker's own; see `invocation_headers`.
            body: the input. What it raises is raised.
            deadline_s: seconds that the instance has for the whole call; waiting for the source of `body`, or for
                whoever reads the answer, is not counted.
            most_bytes: of the answer; None for any number.

        Raises:
            InstanceError: "died", "late", "garbled" or "long"; also while the answer's body is read.
        """
        return self.ask("POST", "/invocations", headers, body, deadline_s=deadline_s, most_bytes=most_bytes)

    @contextlib.asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        headers: Sequence[Header] = (),
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        deadline_s: float | None = None,
        most_bytes: int | None = None,
    ) -> AsyncIterator[Answering]:
        """One HTTP exchange with the instance.

        Raises:
            InstanceError: see `invoke`.
        """
        if self._draining and method == "POST":
            raise InstanceError("unready", "an instance that is being drained takes no more calls", where=self.address)
        budget = Budget(deadline_s)
        self.working += 1
        self._empty.clear()
        wire = None
        try:
            with self._guarded(budget):
                async with budget.running():
                    wire = await self._connection()
                    content = body if isinstance(body, bytes) else budget.lent(body)
                    head = await wire.ask(method, path, headers, content)
            yield Answering(wire, head, budget, most_bytes, self._guarded)
        except InstanceError as failure:
            self.late += failure.fate == "late"
            if failure.fate == "died":
                raise await self._obituary(failure) from failure
            raise
        finally:
            self._release(wire)

    async def drain(self) -> None:
        """Take no more calls, and wait until those under way have ended."""
        self._draining = True
        await self._empty.wait()

    async def stop(self, grace_s: float = 30.0) -> Ending:
        """Tell the process to end (SIGTERM), and kill it with all that it started where it has not after the grace."""
        self._told_to_end = True
        self._draining = True
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                return await self.ended()
        return await self.kill()

    async def kill(self) -> Ending:
        """End the process at once (SIGKILL), with all that it started."""
        self._told_to_end = True
        self._signal(signal.SIGKILL)
        return await self.ended()

    def last_lines(self) -> str:
        """The end of what the process wrote."""
        return self._record.last()

    async def _connection(self) -> Wire:
        while self._idle:
            wire = self._idle.pop()
            if wire.idle:
                return wire
            self._drop(wire)
        wire = await Wire.to(HOST, self.port)
        self._wires.add(wire)
        return wire

    def _drop(self, wire: Wire) -> None:
        self._wires.discard(wire)
        wire.close()

    def _release(self, wire: Wire | None) -> None:
        if wire is not None and wire.idle and self.alive:
            self._idle.append(wire)
        elif wire is not None:
            self._drop(wire)
        self.working -= 1
        if not self.working:
            self._empty.set()

    @contextlib.contextmanager
    def _guarded(self, budget: Budget) -> Iterator[None]:
        """Broken connections and times that are over as what they mean; the body's own failures as they are."""
        try:
            yield
        except OSError as failure:  # a TimeoutError is one, too
            if failure is budget.failure:
                raise
            if isinstance(failure, TimeoutError):
                rule = f"an instance must answer within {budget.seconds:g} seconds"
                way_out = "Allow more time, or stop the instance, which may be stuck."
                raise InstanceError("late", rule, where=self.address, way_out=way_out) from failure
            raise InstanceError("died", f"an instance must live on ({failure})", where=self.address) from failure

    async def _obituary(self, failure: InstanceError) -> InstanceError:
        """The failure with how the process ended; where it lives on, it broke the connection itself."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                ending = await self.ended()
                return InstanceError("died", f"an instance must live on, but {ending}", where=self.address)
        rule = f"an instance must not break a connection off ({failure.rule})"
        return InstanceError("garbled", rule, where=self.address)

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process, number)

    async def _keep(self) -> None:
        """Write what the process says into its record, as long as anyone holds the pipe."""
        stream = self._child.stdout
        while stream and (content := await stream.read(_READ)):
            self._record.write(content)

    async def _wait(self) -> Ending:
        code = self._code = await self._child.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process, signal.SIGKILL)  # what it started and left behind
        for wire in tuple(self._wires):
            wire.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._keeping)
        self._keeping.cancel()
        self._record.close()
        os.close(self._lifeline)
        return Ending(code, self._told_to_end)
