"""The service: queue, objects, instances and autoscaler as one, for whichever face is put before it."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import final

from msgspec.structs import replace

from modelwright.clock import Clock
from modelwright.errors import BusyError, ObjectError, SettingError, StoreError
from modelwright.records import Invocation, RequestRecord
from modelwright.serve.instances import Answering
from modelwright.serve.objects import About, Body, Objects, OwnObjects, address_of, open_objects, open_own, place_of
from modelwright.serve.service.crew import RECORDS, Member, Yard
from modelwright.serve.service.dispatcher import Dispatcher
from modelwright.serve.service.endpoints import Endpoints
from modelwright.serve.service.inputs import Inputs
from modelwright.serve.service.lasting import lasting
from modelwright.serve.service.ledger import Ledger
from modelwright.serve.service.log import tell, warn
from modelwright.serve.service.models import Models
from modelwright.serve.service.realtime import Realtime, note_calls
from modelwright.serve.service.scaler import Scaler
from modelwright.serve.service.site import Site
from modelwright.serve.state import ENDPOINTS, State, accept, clean_up, other_servers, sample

SWEEP_S, SAMPLE_S, CLEAN_S = 1.0, 5.0, 60.0

MOST_RECORDS = 500
"""Files with what instances wrote that are kept, the last ones."""

Deliver = Callable[["Service"], Awaitable[None]]
"""A loop that delivers messages for as long as the service runs."""


@final
class Service:
    """A running service; `open_service` makes one.

    Attributes:
        site: settings.
        clock: tells the time.
        ids: makes names that nobody can guess.
        state: the queue, and all that has a name.
        objects: the objects of this server.
        store: where inputs and answers are: the same, or a service elsewhere.
        ledger: the state, awaited.
        endpoints: their instances.
        dispatcher: attempts under way.
        draining: nothing new is taken.
    """

    def __init__(
        self, site: Site, clock: Clock, ids: Callable[[], str], state: State, objects: OwnObjects, store: Objects
    ) -> None:
        self.site, self.clock, self.ids = site, clock, ids
        self.state, self.objects, self.store = state, objects, store
        self.ledger = Ledger(state)
        self.draining = False
        self.messages = asyncio.Event()
        self.models = Models(site.data / "models", store, allow_files=site.allow_files)
        inputs, told = Inputs(store, private=site.private), self.messages.set
        self.dispatcher = Dispatcher(self.ledger, inputs, store, self._ready, site.grace_s, told)
        yard = Yard(
            site, self.ledger, self.models, ids, asyncio.Semaphore(site.most_instances), self._changed, self._freed
        )
        self.endpoints = Endpoints(yard, self.dispatcher)
        self.realtime = Realtime(self.endpoints, site.waiting)
        self.scaler = Scaler(self.ledger, ids, site.time_factor, lambda endpoint: self.endpoints.wake())

    async def check_alone(self) -> None:
        """Check that no other server has requests whose inputs are out of this one's reach.

        Raises:
            SettingError: another one shares the database, and each would keep its objects to itself.
        """
        others = await self.ledger.read(other_servers, self.state.server)
        if others and not self.site.store:
            way_out = "Name a store of objects that they share, too, or stop the other one."
            rule = "servers that share a database must share a store of objects"
            raise SettingError(rule, where=self.state.where, way_out=way_out)

    async def accept(self, invocation: Invocation, body: bytes | None = None) -> RequestRecord:
        """Take a request; when this returns, it is on the disk. Made again, it is answered with the first one.

        Args:
            invocation: what is asked for.
            body: the input, where it comes with the request; it is kept under the invocation's location, or under one
                of its own in the service's bucket where that is "".

        Raises:
            UnknownNameError, RecordError, ConflictError: as `modelwright.serve.state.accept`.
            BusyError: the service is being drained.
            StoreError: it could not be kept.
        """
        if self.draining:
            rule = "a service that is being drained takes nothing new"
            raise BusyError(rule, where=invocation.endpoint, way_out="Ask again when it is back.")
        if body is not None:
            if invocation.endpoint not in self.endpoints.stands:  # before anything is kept for one that is not there
                await self.ledger.read(ENDPOINTS.get, invocation.endpoint)
            invocation = await self._kept(invocation, body)
        record = await self.ledger.do(accept, invocation)
        self.dispatcher.wake(invocation.endpoint)
        stand = self.endpoints.stands.get(invocation.endpoint)
        if stand is not None and not stand.members:
            self.scaler.wake()
        return record

    def call(
        self, endpoint: str, variant: str, headers: Sequence[tuple[str, str]], body: Body, deadline_s: float
    ) -> contextlib.AbstractAsyncContextManager[tuple[Answering, str]]:
        """Call an endpoint that answers at once; see `Realtime.call`."""
        return self.realtime.call(endpoint, variant, headers, body, deadline_s)

    def poke(self, endpoint: str = "") -> None:
        """Look at once at what was changed: an endpoint, a target, a policy, a request that was taken back."""
        self.endpoints.wake()
        self.scaler.wake()
        self.dispatcher.look()
        self.messages.set()
        if endpoint:
            self.dispatcher.wake(endpoint)

    async def drain(self) -> None:
        """Take nothing new, let finish what runs, and stop all instances. What waits stays in the queue."""
        self.draining = True
        tell("draining", running=self.dispatcher.running)
        await self.dispatcher.drain()
        await self.endpoints.close()
        await self._note_calls()

    async def stop(self) -> None:
        """End all instances at once; what they work on runs again when the service is back."""
        self.draining = True
        await self.endpoints.kill()

    async def run(self, deliver: Deliver | None) -> None:
        """All loops, for ever."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "endpoints": self.endpoints.run,
            "scaling": self.scaler.run,
            "heartbeats": self.dispatcher.beat,
            "sweeping": lambda: self._every(SWEEP_S, self._sweep),
            "sampling": lambda: self._every(SAMPLE_S, lambda: self.ledger.do(sample)),
            "cleaning": lambda: self._every(CLEAN_S, self._clean),
        }
        if deliver is not None:
            loops["delivering"] = lambda: deliver(self)
        async with asyncio.TaskGroup() as group:
            for name, loop in loops.items():
                group.create_task(lasting(name, loop))

    async def _kept(self, invocation: Invocation, body: bytes) -> Invocation:
        digest = hashlib.sha256(body).hexdigest()
        location = invocation.input_location
        if not location:
            key = f"async-inputs/{invocation.endpoint}/{invocation.inference_id}-{digest[:16]}"
            location = address_of(self.site.buckets[0], key)
        bucket, key = place_of(location)
        await self.store.put(bucket, key, body, About(invocation.content_type or "application/octet-stream"))
        return replace(invocation, input_location=location, input_digest=digest)

    def _ready(self, endpoint: str) -> list[Member]:
        """The instances of an endpoint that take calls."""
        return self.endpoints.ready(endpoint)

    def _changed(self, endpoint: str) -> None:
        """Instances of an endpoint are ready, or fewer."""
        self.endpoints.wake()
        self._freed(endpoint)

    def _freed(self, endpoint: str) -> None:
        """There is room for another call."""
        self.dispatcher.wake(endpoint)
        self.realtime.wake(endpoint)

    async def _sweep(self) -> None:
        """End what ran out of time; look for what has become due by itself, or came in elsewhere."""
        swept, taken = await asyncio.wrap_future(self.state.sweep())
        if swept.expired or swept.overdue or taken:
            warn("swept", expired=swept.expired, overdue=swept.overdue, taken_over=taken)
        self.messages.set()
        await self._note_calls()
        for endpoint, stand in self.endpoints.stands.items():
            if any(one.free for one in stand.ready):
                self.dispatcher.wake(endpoint)

    async def _note_calls(self) -> None:
        if called := self.realtime.called():
            await self.ledger.do(note_calls, called)

    async def _clean(self) -> None:
        """Forget what was kept for long enough, and remove files that nothing needs any more."""
        await self.ledger.do(clean_up)
        folders = self.endpoints.folders()
        if folders is not None:
            await self.models.keep_only(folders)
        await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        """Remove what ended instances wrote, but for the last ones."""
        files = sorted((self.site.data / RECORDS).glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[MOST_RECORDS:]:
            path.unlink(missing_ok=True)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await act()
            except StoreError as failure:
                warn("a chore failed", error=str(failure))
            await asyncio.sleep(seconds)


@contextlib.asynccontextmanager
async def open_service(
    site: Site, clock: Clock, ids: Callable[[], str], deliver: Deliver | None = None
) -> AsyncIterator[Service]:
    """A service that runs for as long as the block; what an earlier one was at goes on.

    Leaving the block drains it, unless the block was left by an error: then instances are ended at once.

    Args:
        site: settings.
        clock: tells the time.
        ids: makes names that nobody can guess, of letters and digits.
        deliver: delivers messages; None leaves them where they are.

    Raises:
        StoreError: the folder or the database cannot be used, or another server has it.
        BusyError: another process has the objects' folder.
        SettingError: servers share a database and no store.
    """
    site.data.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as held:
        objects = await open_own(site.data / "objects", clock, ids)
        held.callback(objects.close)
        store: Objects = objects
        if site.store:
            store = await open_objects(site.store, clock, ids, site.store_settings)
            held.callback(store.close)
        for name in () if site.store else site.buckets:
            with contextlib.suppress(ObjectError):  # it is there
                await objects.create_bucket(name)
        state = await asyncio.to_thread(State.open, site.database or site.data / "serve.db", clock)
        held.push_async_callback(asyncio.to_thread, state.close)
        service = Service(site, clock, ids, state, objects, store)
        await service.check_alone()
        running = asyncio.create_task(service.run(deliver))
        try:
            yield service
        except BaseException:
            await service.stop()
            raise
        else:
            await service.drain()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
