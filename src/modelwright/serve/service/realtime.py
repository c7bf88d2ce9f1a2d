"""Calls that are answered at once: shared out by weight, to whichever instance has most room, or refused."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import final

from modelwright.errors import BusyError, RecordError, UnknownNameError
from modelwright.serve.instances import Answering
from modelwright.serve.objects import Body
from modelwright.serve.objects.objects import pieces
from modelwright.serve.service.crew import Member
from modelwright.serve.service.endpoints import Endpoints
from modelwright.serve.service.stand import Stand
from modelwright.serve.state import Unit, count, endpoint_dimensions, measure


@final
@dataclass(frozen=True, eq=False)
class _Waiter:
    """A call that waits.

    Attributes:
        variant: whose instance it waits for.
        turn: the instance, which counts it among its calls from then on.
    """

    variant: str
    turn: asyncio.Future[Member]


@final
@dataclass(frozen=True)
class Called:
    """A call that has been made, for the metrics.

    Attributes:
        endpoint, variant: that was called.
        instances: that were ready.
        status: of the answer; None where there was none.
        seconds: until the answer began; None where there was none.
    """

    endpoint: str
    variant: str
    instances: int
    status: int | None
    seconds: float | None


@final
class Realtime:
    """Calls instances directly.

    Args:
        endpoints: whose instances.
        waiting: calls that may wait for each ready instance.
    """

    def __init__(self, endpoints: Endpoints, waiting: int) -> None:
        self._endpoints = endpoints
        self._waiting = waiting
        self._queues: dict[str, deque[_Waiter]] = {}
        self._turns: dict[tuple[str, str], float] = {}
        self._called: list[Called] = []

    def wake(self, endpoint: str) -> None:
        """Give those that wait the instances that have room, in the order in which they came."""
        queue, stand = self._queues.get(endpoint), self._endpoints.stands.get(endpoint)
        if not queue or stand is None:
            return
        full: set[str] = set()
        for waiter in [queue.popleft() for _ in range(len(queue))]:
            if waiter.turn.done():
                continue
            member = None if waiter.variant in full else _free(stand, waiter.variant)
            if member is None:
                full.add(waiter.variant)
                queue.append(waiter)
            else:
                member.take()
                waiter.turn.set_result(member)

    def called(self) -> list[Called]:
        """The calls since this was last asked."""
        called, self._called = self._called, []
        return called

    @contextlib.asynccontextmanager
    async def call(
        self, endpoint: str, variant: str, headers: Sequence[tuple[str, str]], body: Body, deadline_s: float
    ) -> AsyncIterator[tuple[Answering, str]]:
        """Call an endpoint: `async with ... as (answer, variant)`.

        Args:
            endpoint: its name.
            variant: which of its variants; "" for one by their weights.
            headers: as of `Instance.invoke`.
            body: the input.
            deadline_s: seconds for all of it, waiting included.

        Raises:
            UnknownNameError: there is no such endpoint or variant.
            RecordError: the endpoint takes asynchronous requests only.
            BusyError: it has no room, and too many wait already, or waited too long.
            InstanceError: there was no answer.
        """
        stand = self._endpoints.stands.get(endpoint)
        if stand is None:
            raise UnknownNameError("endpoint", endpoint, self._endpoints.stands)
        if stand.record.settings is not None:
            rule = "an endpoint with settings for asynchronous requests takes no other ones"
            raise RecordError(rule, where=endpoint, way_out="Put the input into the store, and ask asynchronously.")
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        member = await self._member(stand, self._chosen(stand, variant), until)
        crew, begun = member.crew, loop.time()
        instance = member.held
        before, status, seconds = instance.late, None, None
        try:
            source = body if isinstance(body, bytes) else pieces(body)
            async with instance.invoke(headers, source, deadline_s=max(0.001, until - begun)) as answer:
                status, seconds = answer.status, loop.time() - begun
                yield answer, crew.variant
        finally:
            member.release(spoiled=instance.late > before)
            self._called.append(Called(endpoint, crew.variant, max(1, len(crew.ready)), status, seconds))

    def _chosen(self, stand: Stand, variant: str) -> str:
        """The variant that is named, or the next one by smooth weighted round-robin."""
        if variant:
            if variant not in stand.crews:
                raise UnknownNameError("variant", variant, stand.crews)
            return variant
        weights = {one.name: one.weight for one in stand.record.variants if one.weight and one.name in stand.crews}
        if not weights:
            raise BusyError("an endpoint must have a variant with a weight above zero", where=stand.record.name)
        for name, weight in weights.items():
            key = stand.record.name, name
            self._turns[key] = self._turns.get(key, 0.0) + weight
        chosen = max(weights, key=lambda name: self._turns[stand.record.name, name])
        self._turns[stand.record.name, chosen] -= sum(weights.values())
        return chosen

    async def _member(self, stand: Stand, variant: str, until: float) -> Member:
        """The instance with most room, which counts the call from now on; waits for one where there is none.

        Raises:
            BusyError: too many wait, or there is none in time.
        """
        name = stand.record.name
        queue = self._queues.setdefault(name, deque())
        before = sum(one.variant == variant and not one.turn.done() for one in queue)
        free = None if before else _free(stand, variant)
        if free is not None:
            free.take()
            return free
        if before >= self._waiting * max(1, len(stand.crews[variant].ready)):
            rule = f"at most {before} calls may wait"
            raise BusyError(rule, where=name, way_out="Call again a little later, or add instances.")
        turn: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        queue.append(_Waiter(variant, turn))
        try:
            async with asyncio.timeout_at(until):
                return await turn
        except BaseException as failure:
            if turn.done() and not turn.cancelled():  # its turn came at the same moment
                turn.result().release()
            turn.cancel()
            if isinstance(failure, TimeoutError):
                raise BusyError("an instance must be free in time", where=name) from failure
            raise


def note_calls(unit: Unit, called: Sequence[Called]) -> None:
    """Count calls in the metrics that AWS has for them."""
    for one in called:
        where = endpoint_dimensions(one.endpoint, one.variant)
        count(unit, "Invocations", where)
        measure(unit, "InvocationsPerInstance", where, 1.0 / one.instances)
        status = one.status or 500
        measure(unit, "Invocation4XXErrors", where, float(400 <= status < 500))
        measure(unit, "Invocation5XXErrors", where, float(status >= 500))
        measure(unit, "InvocationModelErrors", where, float(not 200 <= status < 300))
        if one.seconds is not None:
            measure(unit, "ModelLatency", where, one.seconds * 1e6)


def _free(stand: Stand, variant: str) -> Member | None:
    """The instance of a variant with most room; None where none has any."""
    crew = stand.crews.get(variant)
    best = max(crew.ready, key=lambda one: one.free, default=None) if crew else None
    return best if best is not None and best.free else None
