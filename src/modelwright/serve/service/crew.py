"""The instances of one variant of an endpoint, in the version of the model that it has: as many as are wanted."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from modelwright.errors import InstanceError, ModelwrightError, StoreError, UnknownNameError
from modelwright.records import InstanceRecord, ModelRecord
from modelwright.records.autoscaling import InstanceLoad
from modelwright.serve.instances import Instance, start_instance
from modelwright.serve.scaling import leaving, recalled, stoppable
from modelwright.serve.service.lasting import lasting
from modelwright.serve.service.launching import launch_of
from modelwright.serve.service.ledger import Ledger
from modelwright.serve.service.log import LOGGER, tell, warn
from modelwright.serve.service.models import Models
from modelwright.serve.service.site import Site
from modelwright.serve.state import INSTANCES, Unit, add_instance, set_instance

SETTLED_S = 10.0
"""An instance that lives for so long was no failure."""

LONGEST_WAIT_S = 60.0
"""Between two attempts to start one where none comes up."""

RECORDS = "records"
"""Folder of what instances write, in the service's."""

_AGAIN_S = 1.0


@final
@dataclass(frozen=True)
class Yard:
    """What all crews of a server share.

    Attributes:
        site: settings.
        ledger: where instances are noted.
        models: their files.
        ids: makes names.
        berths: one for each instance that may run on this machine.
        changed: called when instances of an endpoint have become ready or fewer.
        freed: called when one of them has room for another call.
    """

    site: Site
    ledger: Ledger
    models: Models
    ids: Callable[[], str]
    berths: asyncio.Semaphore
    changed: Callable[[str], None]
    freed: Callable[[str], None]


@final
class Member:
    """An instance, from the moment that it is asked for.

    Attributes:
        name: one of a kind among all servers.
        crew: whose it is.
        state: it takes work only when it is ready.
        instance: its process, once it is ready.
        in_flight: calls that it works on.
        spoiled: a call in it was given up that cannot be ended but with its process.
        since: when it was asked for, on the event loop's clock.
    """

    def __init__(self, name: str, crew: "Crew", since: float) -> None:
        self.name = name
        self.crew = crew
        self.state: Literal["starting", "ready", "draining"] = "starting"
        self.instance: Instance | None = None
        self.in_flight = 0
        self.spoiled = False
        self.since = since
        self.life: asyncio.Task[None] | None = None
        self.stopping: asyncio.Task[Any] | None = None

    @property
    def held(self) -> Instance:
        """Its process, of one that has been ready."""
        if self.instance is None:
            raise InstanceError("unready", "an instance must be ready", where=self.name)
        return self.instance

    @property
    def free(self) -> int:
        """Calls that it could take besides."""
        ready = self.state == "ready" and not self.spoiled and self.instance is not None and self.instance.alive
        return max(0, self.crew.concurrency - self.in_flight) if ready else 0

    def take(self) -> None:
        """Note that it works on one more."""
        self.in_flight += 1

    def release(self, *, spoiled: bool = False) -> None:
        """Note that it works on one less, or that it cannot be ended but with its process."""
        self.in_flight -= 1
        self.spoiled = self.spoiled or spoiled
        if self.spoiled or self.state == "draining":
            self.crew.wake()
        self.crew.tell_freed()


@final
class Crew:
    """Keeps as many instances as are wanted; those that die are replaced, those that cannot start are tried later.

    Attributes:
        endpoint, variant: whose it is.
        model: that its instances load.
        concurrency: calls that each works on at once.
        desired: so many are wanted.
        members: by name.
        failures: starts without success, and short lives, in a row.
        reason: of the last failure; "" if there was none.
        ever_ready: whether any of them ever was.
        folder: of the model's files, once they have been here.
    """

    def __init__(self, yard: Yard, endpoint: str, variant: str, model: ModelRecord, concurrency: int) -> None:
        self.endpoint, self.variant, self.model = endpoint, variant, model
        self.concurrency = concurrency
        self.desired = 0
        self.members: dict[str, Member] = {}
        self.failures = 0
        self.reason = ""
        self.ever_ready = False
        self.folder: Path | None = None
        self._yard = yard
        self._changed = asyncio.Event()
        self._not_before = 0.0
        self._closed = False
        self._keeping = asyncio.create_task(lasting("instances", self._keep))

    @property
    def ready(self) -> list[Member]:
        """Those that take calls."""
        return [one for one in self.members.values() if one.state == "ready" and not one.spoiled]

    def want(self, count: int) -> None:
        """Say how many are wanted; once it is closed, none are."""
        if count != self.desired and not self._closed:
            self.desired = count
            self.wake()

    def wake(self) -> None:
        """Look again whether there are as many as are wanted."""
        self._changed.set()

    def tell_changed(self) -> None:
        """Tell others that an instance has become ready or is gone."""
        self._yard.changed(self.endpoint)

    def tell_freed(self) -> None:
        """Tell others that there is room for a call."""
        self._yard.freed(self.endpoint)

    async def close(self) -> None:
        """Let all finish what they work on, stop them, and wait until they are gone."""
        self.want(0)
        self._closed = True
        self.wake()
        await self._keeping

    async def kill(self) -> None:
        """End all at once."""
        self.want(0)
        self._closed = True
        for one in list(self.members.values()):
            if one.instance is not None:
                await one.instance.kill()
            elif one.life is not None:
                one.life.cancel()
        self.wake()
        await self._keeping

    async def _keep(self) -> None:
        while not (self._closed and not self.members):
            self._changed.clear()
            self._reconcile()
            await self._changed.wait()

    def _reconcile(self) -> None:
        staying = [one for one in self.members.values() if one.state != "draining" and not one.spoiled]
        missing = self.desired - len(staying)
        if missing > 0:
            for name in recalled([load for load in self._loads() if not self.members[load.id].spoiled], missing):
                one = self.members[name]
                if one.stopping is None and one.instance is not None:
                    one.state, missing = "ready", missing - 1
                    self._note(set_instance, one.name, "ready")
                    self.tell_changed()
            self._begin(missing)
        for name in leaving(self._loads(), -missing):
            one = self.members[name]
            if one.state == "starting" and one.life is not None:
                one.life.cancel()
            one.state = "draining"
            self._note(set_instance, one.name, "draining")
        for name in stoppable(self._loads()):
            self._stop(self.members[name])

    def _loads(self) -> list[InstanceLoad]:
        return [
            InstanceLoad(one.name, "draining" if one.spoiled else one.state, one.in_flight, one.since)
            for one in self.members.values()
        ]

    def _begin(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        if count > 0 and loop.time() < self._not_before:
            loop.call_at(self._not_before, self.wake)
            return
        for _ in range(count):
            one = Member(f"{self.endpoint}-{self._yard.ids()}", self, loop.time())
            self.members[one.name] = one
            one.life = asyncio.create_task(self._live(one))

    def _stop(self, one: Member) -> None:
        if one.stopping is None and one.instance is not None:
            ending = one.instance.kill() if one.spoiled else one.instance.stop(self._yard.site.grace_s)
            one.stopping = asyncio.create_task(ending)

    async def _live(self, one: Member) -> None:
        """From the start of an instance to its end, whoever brings that about."""
        loop = asyncio.get_running_loop()
        try:
            async with self._yard.berths:
                await self._insist(add_instance, InstanceRecord(one.name, self.endpoint, self.variant))
                instance = await self._start(one)
                if instance is None:
                    return
                begun = loop.time()
                ending = await instance.ended()
                if not ending.wanted:
                    warn("instance died", endpoint=self.endpoint, instance=one.name, how=str(ending))
                    self._fared(loop.time() - begun, f"an instance died: {ending}; {instance.last_lines()[-500:]}")
        except Exception as failure:  # noqa: BLE001  # the outermost driver of an instance: it is started again, later
            LOGGER.exception("an instance was lost")
            self._fared(0.0, f"the service failed: {failure!r}")
        finally:
            self.members.pop(one.name, None)
            self._note(_forget, one.name)
            self.wake()
            self.tell_changed()

    async def _start(self, one: Member) -> Instance | None:
        """Make it ready; None where that failed."""
        loop, site = asyncio.get_running_loop(), self._yard.site
        begun = loop.time()
        try:
            folder = self.folder = await self._yard.models.folder(self.model)
            record = site.data / RECORDS / f"{one.name}.log"
            launch = launch_of(site, self.model, folder, record, self.concurrency)
            instance = await start_instance(launch, patience_s=site.patience_s)
        except (ModelwrightError, OSError) as failure:
            warn("instance failed", endpoint=self.endpoint, instance=one.name, error=str(failure))
            self._fared(0.0, str(failure))
            return None
        one.instance = instance
        self.ever_ready = True
        tell("instance ready", endpoint=self.endpoint, instance=one.name, seconds=round(loop.time() - begun, 3))
        if one.state == "starting":
            one.state = "ready"
            await self._insist(set_instance, one.name, "ready", instance.address)
        self.wake()
        self.tell_changed()
        return instance

    def _fared(self, seconds: float, reason: str) -> None:
        """Remember how it went, and wait longer where nothing comes up."""
        self.failures = 1 if seconds >= SETTLED_S else self.failures + 1
        self.reason = reason
        wait = min(LONGEST_WAIT_S, 2.0 ** min(self.failures - 1, 10)) if self.failures > 1 else 0.0
        self._not_before = asyncio.get_running_loop().time() + wait

    def _note(self, change: Callable[..., Any], *args: Any) -> None:
        """Note something of an instance, in its turn."""
        task = asyncio.create_task(self._insist(change, *args))
        _NOTING.add(task)
        task.add_done_callback(_NOTING.discard)

    async def _insist(self, change: Callable[..., Any], *args: Any) -> None:
        """Have a change made, however often that takes: instances that are not noted would be counted wrongly."""
        while True:
            try:
                with contextlib.suppress(UnknownNameError):
                    await self._yard.ledger.do(change, *args)
                return
            except StoreError as failure:
                if self._closed:
                    return
                warn("not noted", endpoint=self.endpoint, error=str(failure))
                await asyncio.sleep(_AGAIN_S)


_NOTING: set[asyncio.Task[None]] = set()
"""Tasks that nobody waits for are kept alive by this."""


def _forget(unit: Unit, name: str) -> None:
    INSTANCES.delete(unit, name)
