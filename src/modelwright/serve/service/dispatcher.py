"""Requests are dealt out to instances that are free, kept by heartbeats, and let go where they were taken away."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import final

from modelwright.errors import StoreError
from modelwright.records import Lease
from modelwright.serve.objects import Objects
from modelwright.serve.service.attempt import Attempt
from modelwright.serve.service.crew import Member
from modelwright.serve.service.inputs import Inputs
from modelwright.serve.service.lasting import lasting
from modelwright.serve.service.ledger import Ledger
from modelwright.serve.service.log import LOGGER, tell, warn
from modelwright.serve.service.outcome import Outcome, report
from modelwright.serve.state import Unit, claim, give_back, renew

_AGAIN_S = 1.0
_BEATS = 3.0
"""Heartbeats in the time that a lease runs."""


@final
class Dispatcher:
    """Deals out the requests of all endpoints.

    It looks when it is woken: by a request that came in, an instance that is ready or free, and once a second by the
    service, for what becomes due by itself or came in at another server.

    Args:
        ledger: the queue.
        inputs: where inputs are.
        objects: where answers are kept.
        ready: the instances of an endpoint that take requests.
        grace_s: seconds that an instance has to finish a request that was taken away, before its process is replaced.
        told: called when the end of an attempt has been noted.
    """

    def __init__(
        self,
        ledger: Ledger,
        inputs: Inputs,
        objects: Objects,
        ready: Callable[[str], Iterable[Member]],
        grace_s: float,
        told: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._inputs = inputs
        self._objects = objects
        self._ready = ready
        self._grace_s = grace_s
        self._told = told
        self._woken: dict[str, asyncio.Event] = {}
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._running: dict[tuple[int, int], tuple[Attempt, Member, asyncio.Task[None]]] = {}
        self._strange: set[tuple[int, int]] = set()
        self._shortest_s = 30.0
        self._beat = asyncio.Event()
        self._closed = False

    @property
    def running(self) -> int:
        """Attempts under way."""
        return len(self._running)

    def wake(self, endpoint: str) -> None:
        """Look whether an endpoint's instances can take something."""
        if self._closed:
            return
        if endpoint not in self._pumps:
            self._woken[endpoint] = asyncio.Event()
            self._pumps[endpoint] = asyncio.create_task(lasting("dealing out", lambda: self._pump(endpoint)))
        self._woken[endpoint].set()

    def forget(self, endpoint: str) -> None:
        """Deal out nothing more of an endpoint that is gone."""
        pump = self._pumps.pop(endpoint, None)
        self._woken.pop(endpoint, None)
        if pump is not None:
            pump.cancel()

    def look(self) -> None:
        """Look at once whether something was taken away, such as when a request was cancelled."""
        self._beat.set()

    async def beat(self) -> None:
        """Send heartbeats for ever, several in the time of the shortest lease."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._shortest_s / _BEATS):
                    await self._beat.wait()
            self._beat.clear()
            if self._running:
                try:
                    await self._renew()
                except StoreError as failure:
                    warn("no heartbeat", error=str(failure))

    async def drain(self) -> None:
        """Deal out nothing more, and wait until all attempts have ended."""
        self._closed = True
        for woken in self._woken.values():
            woken.set()
        await asyncio.gather(*self._pumps.values())
        while self._running:
            await asyncio.wait([task for _, _, task in self._running.values()])

    async def _pump(self, endpoint: str) -> None:
        woken = self._woken[endpoint]
        while not self._closed:
            await woken.wait()
            woken.clear()
            try:
                await self._deal(endpoint)
            except StoreError as failure:
                warn("nothing dealt out", endpoint=endpoint, error=str(failure))
                await asyncio.sleep(_AGAIN_S)
                woken.set()

    async def _deal(self, endpoint: str) -> None:
        members = {one.name: one for one in self._ready(endpoint) if one.free}
        if not members or self._closed:
            return
        room = [(one.name, one.crew.variant, one.free) for one in members.values()]
        for lease in await asyncio.shield(self._ledger.do(deal, endpoint, room)):
            self._begin(lease, members[lease.instance])

    def _begin(self, lease: Lease, member: Member) -> None:
        if lease.lease_s < self._shortest_s:
            self._shortest_s = lease.lease_s
            self._beat.set()
        attempt = Attempt(lease, member, self._inputs, self._objects)
        member.take()
        tell("begun", endpoint=lease.invocation.endpoint, inference_id=lease.invocation.inference_id,
             instance=member.name, attempt=lease.attempt)  # fmt: skip
        task = asyncio.create_task(self._work(attempt, member))
        self._running[lease.number, lease.token] = attempt, member, task

    async def _work(self, attempt: Attempt, member: Member) -> None:
        key = attempt.lease.number, attempt.lease.token
        try:
            try:
                outcome = await attempt.work()
            except asyncio.CancelledError:
                member.release(spoiled=True)
                if not attempt.abandoned:
                    raise
                return
            except Exception as failure:  # noqa: BLE001  # the outermost driver: whatever it is, the request goes on
                LOGGER.exception("an attempt broke off")
                outcome = Outcome("lost", None, f"the service failed: {failure!r}", at_once=False)
            member.release(spoiled=outcome.late)
            if not attempt.abandoned:  # the next request is claimed meanwhile, maybe in the same commit
                await report(self._ledger, attempt.lease, outcome, self._objects)
                self._told()
            if outcome.kind == "lost":
                self.wake(attempt.lease.invocation.endpoint)
        finally:
            self._running.pop(key, None)

    def _abandon(self, key: tuple[int, int]) -> None:
        """Let an attempt be whose request was taken away; an instance that does not get done with it is replaced."""
        attempt, _, task = self._running[key]
        if not attempt.abandoned:
            attempt.abandoned = True
            tell("taken away", inference_id=attempt.lease.invocation.inference_id)
            asyncio.get_running_loop().call_later(self._grace_s, task.cancel)

    async def _renew(self) -> None:
        """Let leases run anew; abandon what was taken away, and give back what was never heard of."""
        before = dict(self._running)
        names = sorted({member.name for _, member, _ in before.values()})
        held = await self._ledger.do(renew, names)
        for key in before.keys() - held:
            if key in self._running:
                self._abandon(key)
        strange = held - before.keys() - self._running.keys()
        for number, token in strange & self._strange:  # else their claim may be on its way here
            await self._ledger.do(give_back, number, token)
        self._strange = strange


def deal(unit: Unit, endpoint: str, room: Sequence[tuple[str, str, int]]) -> list[Lease]:
    """Claim requests for several instances, one each in turn, until none waits or all are full.

    Args:
        unit: of work.
        endpoint: whose requests.
        room: name, variant and free places of each instance.
    """
    left = sorted(room, key=lambda one: -one[2])
    leases: list[Lease] = []
    while left:
        again = []
        for name, variant, free in left:
            found = claim(unit, name, variant, [endpoint], 1)
            if not found:
                return leases
            leases += found
            if free > 1:
                again.append((name, variant, free - 1))
        left = again
    return leases
