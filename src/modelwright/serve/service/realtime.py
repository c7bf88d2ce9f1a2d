"""Calls that are answered at once: shared out by weight, to whichever instance has most room, or refused."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import final

from modelwright.errors import BusyError, RecordError, UnknownNameError
from modelwright.serve.instances import Answering
from modelwright.serve.objects import Body
from modelwright.serve.objects.objects import pieces
from modelwright.serve.service.crew import Crew, Member
from modelwright.serve.service.endpoints import Endpoints, Stand


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
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self._turns: dict[tuple[str, str], float] = {}

    def wake(self, endpoint: str) -> None:
        """Let as many go on as there is room for, those that came first."""
        queue = self._queues.get(endpoint)
        room = sum(one.free for one in self._endpoints.ready(endpoint)) if queue else 0
        while queue and room > 0:
            waiter = queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1

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
        member = await self._member(stand, self._crew(stand, variant), until)
        instance = member.instance
        if instance is None:
            raise BusyError("an instance must be ready", where=endpoint)
        member.take()
        before = instance.late
        try:
            source = body if isinstance(body, bytes) else pieces(body)
            left_s = max(0.001, until - loop.time())
            async with instance.invoke(headers, source, deadline_s=left_s) as answer:
                yield answer, member.crew.variant
        finally:
            member.release(spoiled=instance.late > before)

    def _crew(self, stand: Stand, variant: str) -> Crew:
        """The crew that is named, or the next one by smooth weighted round-robin."""
        if variant:
            if variant not in stand.crews:
                raise UnknownNameError("variant", variant, stand.crews)
            return stand.crews[variant]
        weights = {one.name: one.weight for one in stand.record.variants if one.weight and one.name in stand.crews}
        if not weights:
            raise BusyError("an endpoint must have a variant with a weight above zero", where=stand.record.name)
        for name, weight in weights.items():
            key = stand.record.name, name
            self._turns[key] = self._turns.get(key, 0.0) + weight
        chosen = max(weights, key=lambda name: self._turns[stand.record.name, name])
        self._turns[stand.record.name, chosen] -= sum(weights.values())
        return stand.crews[chosen]

    async def _member(self, stand: Stand, crew: Crew, until: float) -> Member:
        """The instance with most room; waits for one where there is none.

        Raises:
            BusyError: too many wait, or there is none in time.
        """
        name = stand.record.name
        queue = self._queues.setdefault(name, deque())
        loop = asyncio.get_running_loop()
        while True:
            free = max(crew.ready, key=lambda one: one.free, default=None)
            if free is not None and free.free:
                return free
            if len(queue) >= self._waiting * max(1, len(crew.ready)):
                rule = f"at most {len(queue)} calls may wait"
                raise BusyError(rule, where=name, way_out="Call again a little later, or add instances.")
            waiter: asyncio.Future[None] = loop.create_future()
            queue.append(waiter)
            try:
                async with asyncio.timeout_at(until):
                    await waiter
            except TimeoutError as failure:
                raise BusyError("an instance must be free in time", where=name) from failure
            finally:
                if waiter in queue:
                    queue.remove(waiter)
