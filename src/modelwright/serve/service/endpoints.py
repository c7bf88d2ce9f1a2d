"""Endpoints become what their records say: created, changed without a gap, and deleted when their work is done."""

import asyncio
from pathlib import Path
from typing import final

from msgspec.structs import replace

from modelwright.errors import StoreError, UnknownNameError
from modelwright.records import EndpointRecord
from modelwright.serve.scalables import deregister_target, targets_of
from modelwright.serve.service.crew import Crew, Member, Yard
from modelwright.serve.service.dispatcher import Dispatcher
from modelwright.serve.service.log import tell, warn
from modelwright.serve.service.stand import PLACED, Models, Placed, Stand, share_of
from modelwright.serve.state import (
    ENDPOINTS,
    MODELS,
    Unit,
    cancel_queued,
    instances_of,
    other_servers,
    remove_endpoint,
    set_status,
)

GIVEN_UP = 3
"""Starts without success after which a configuration that never had an instance has failed."""

_AGAIN_S = 1.0
_LOOK_S = 5.0
_CANCELLED = "its endpoint was deleted"


@final
class Endpoints:
    """Drives all endpoints.

    Args:
        yard: what crews share.
        dispatcher: which is told of endpoints that are gone.
    """

    def __init__(self, yard: Yard, dispatcher: Dispatcher) -> None:
        self.stands: dict[str, Stand] = {}
        self._yard = yard
        self._ledger = yard.ledger
        self._server = yard.ledger.state.server
        self._servers = [self._server]
        self._dispatcher = dispatcher
        self._woken = asyncio.Event()
        self._closed = False
        self._looked = False

    def wake(self) -> None:
        """Look at all endpoints again, such as when one was changed."""
        self._woken.set()

    def ready(self, endpoint: str) -> list[Member]:
        """An endpoint's instances that take calls."""
        stand = self.stands.get(endpoint)
        return stand.ready if stand else []

    async def run(self) -> None:
        """Keep endpoints as their records say, for ever."""
        while True:
            self._woken.clear()
            try:
                await self.look()
            except StoreError as failure:
                warn("endpoints not looked at", error=str(failure))
                await asyncio.sleep(_AGAIN_S)
                continue
            try:
                async with asyncio.timeout(_LOOK_S):  # for what other servers change
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Look at every endpoint once.

        Raises:
            StoreError: the state cannot be read or changed.
        """
        self._servers = sorted([*await self._ledger.read(other_servers, self._server), self._server])
        for record in await self._ledger.read(ENDPOINTS.all):
            if self._closed:
                return
            try:
                await self._settle(record)
            except UnknownNameError:  # it was deleted meanwhile
                continue
        self._looked = True

    async def close(self) -> None:
        """Let all instances finish what they work on, stop them, and start no more."""
        self._closed = True
        await asyncio.gather(*(crew.close() for crew in self._crews()))

    async def kill(self) -> None:
        """End all instances at once, and start no more."""
        self._closed = True
        await asyncio.gather(*(crew.kill() for crew in self._crews()))

    def folders(self) -> set[Path] | None:
        """The files of models that instances use or may use again; None while that is not known of all."""
        found = {crew.folder for crew in self._crews()}
        return None if None in found or not self._looked else {folder for folder in found if folder is not None}

    def _crews(self) -> list[Crew]:
        return [crew for stand in self.stands.values() for crew in stand.all_crews]

    async def _settle(self, record: EndpointRecord) -> None:
        stand = self.stands.get(record.name)
        if stand is None:
            if record.status == "Failed":
                return
            try:
                models = await self._models(record, anew=record.status in ("Creating", "Updating"))
            except UnknownNameError as failure:
                await self._ledger.do(set_status, record.name, "Failed", str(failure))
                return
            stand = self.stands[record.name] = Stand(record, models, self._made(record, models))
        if stand.closing is not None:
            return
        if record.status == "Deleting":
            stand.closing = asyncio.create_task(self._delete(stand, record.name))
            return
        if record.status == "Updating" or record.configuration != stand.record.configuration:  # by another server
            await self._change(stand, record)
        for variant in (stand.coming[0] if stand.coming else record).variants:
            crew = (stand.coming[2] if stand.coming else stand.crews).get(variant.name)
            if crew is not None:
                crew.want(share_of(variant.instances, self._servers, self._server, record.name))
        await self._judge(stand, record)

    async def _change(self, stand: Stand, record: EndpointRecord) -> None:
        """Begin a change; where only numbers or weights differ, the instances stay."""
        if stand.coming is not None:
            return
        try:
            models = await self._models(record, anew=True)
        except UnknownNameError as failure:
            await self._ledger.do(_restore, stand.record, str(failure))
            return
        if _spec(record, models) == _spec(stand.record, stand.models):
            stand.record = record
        else:
            stand.coming = record, models, self._made(record, models)

    async def _judge(self, stand: Stand, record: EndpointRecord) -> None:
        """Whether an endpoint that comes or changes has come to be, or never will."""
        crews = stand.coming[2] if stand.coming else stand.crews
        if record.status not in ("Creating", "Updating") and stand.coming is None:
            stand.record = record
            await self._tell_trouble(stand)
            return
        hopeless = [one for one in crews.values() if one.failures >= GIVEN_UP and not one.ever_ready]
        if hopeless:
            await self._give_up(stand, record, hopeless[0].reason)
        elif all(len(one.ready) >= one.desired for one in crews.values()) and await self._all_ready(record):
            if stand.coming is not None:
                for crew in stand.crews.values():
                    self._dismiss(stand, crew)
                stand.record, stand.models, stand.crews = stand.coming
                stand.coming = None
            stand.record = await self._ledger.do(set_status, record.name, "InService")
            tell("in service", endpoint=record.name)
            self._dispatcher.wake(record.name)

    async def _all_ready(self, record: EndpointRecord) -> bool:
        """Whether other servers have made ready what is theirs of a new endpoint, too."""
        if record.status != "Creating" or len(self._servers) == 1:
            return True
        for variant in record.variants:
            there = await self._ledger.read(instances_of, record.name, variant.name)
            if sum(one.status == "ready" for one in there) < variant.instances:
                return False
        return True

    async def _tell_trouble(self, stand: Stand) -> None:
        """Tell of an endpoint in service why it has fewer instances than it should have, or that it has them again."""
        short = [one for one in stand.crews.values() if one.failures >= GIVEN_UP and len(one.ready) < one.desired]
        trouble = short[0].reason[:1024] if short else ""
        if trouble != stand.trouble and stand.record.status == "InService":
            stand.record = await self._ledger.do(_noted, stand.record.name, trouble)
            stand.trouble = trouble

    async def _give_up(self, stand: Stand, record: EndpointRecord, reason: str) -> None:
        warn("gave up", endpoint=record.name, reason=reason)
        crews = stand.coming[2] if stand.coming else stand.crews
        await asyncio.gather(*(crew.kill() for crew in crews.values()))
        if stand.coming is not None:  # it goes on as it was before
            stand.coming = None
            await self._ledger.do(_restore, stand.record, f"the change to {record.configuration} failed: {reason}")
        else:
            await self._ledger.do(set_status, record.name, "Failed", reason[:1024])
            self.stands.pop(record.name, None)

    async def _delete(self, stand: Stand, name: str) -> None:
        """Cancel what waits, let finish what runs, and forget the endpoint."""
        while True:
            try:
                while await self._ledger.do(cancel_queued, name, _CANCELLED):
                    continue
                await asyncio.gather(*(crew.close() for crew in stand.all_crews))
                for target in await self._ledger.read(targets_of, name):
                    await self._ledger.do(deregister_target, target.name)
                if await self._ledger.do(_removed, name):
                    break
            except UnknownNameError:
                break
            except StoreError as failure:
                warn("not deleted", endpoint=name, error=str(failure))
            await asyncio.sleep(_AGAIN_S)
        self._dispatcher.forget(name)
        self.stands.pop(name, None)
        self.wake()
        tell("deleted", endpoint=name)

    def _dismiss(self, stand: Stand, crew: Crew) -> None:
        """Let a crew finish what it has, and go."""
        stand.going.add(crew)
        task = asyncio.create_task(crew.close())
        task.add_done_callback(lambda _: stand.going.discard(crew))

    def _made(self, record: EndpointRecord, models: Models) -> dict[str, Crew]:
        concurrency = record.settings.concurrency if record.settings else 1
        return {
            variant.name: Crew(self._yard, record.name, variant.name, models[variant.name], concurrency)
            for variant in record.variants
        }

    async def _models(self, record: EndpointRecord, *, anew: bool) -> Models:
        """The models of an endpoint's variants; where they are read anew, they are kept for later.

        Raises:
            UnknownNameError: one is not there.
        """

        def placed(unit: Unit) -> Models:
            found = {}
            for variant in record.variants:
                name = f"{record.name}/{variant.name}"
                kept = PLACED.find(unit.connection, name)
                known = MODELS.find(unit.connection, variant.model)
                if kept is not None and kept.model.name == variant.model and (known is None or not anew):
                    found[variant.name] = kept.model
                    continue
                found[variant.name] = known or MODELS.get(unit.connection, variant.model)
                write = PLACED.create if kept is None else PLACED.replace
                write(unit, Placed(name, found[variant.name]))
            return found

        return await self._ledger.do(placed)


def _spec(record: EndpointRecord, models: Models) -> object:
    """What instances depend on."""
    concurrency = record.settings.concurrency if record.settings else 1
    return concurrency, sorted((name, model.name, model.created_at) for name, model in models.items())


def _noted(unit: Unit, name: str, trouble: str) -> EndpointRecord:
    """Note what ails an endpoint in service."""
    now = ENDPOINTS.get(unit.connection, name)
    if now.status != "InService":
        return now
    return ENDPOINTS.replace(unit, replace(now, reason=trouble, updated_at=unit.at), status=now.status)


def _restore(unit: Unit, record: EndpointRecord, reason: str) -> None:
    """Let an endpoint be what it was before a change, and in service."""
    now = ENDPOINTS.get(unit.connection, record.name)
    if now.status != "Deleting":
        restored = replace(record, status="InService", reason=reason[:1024], updated_at=unit.at)
        ENDPOINTS.replace(unit, restored, status=restored.status)


def _removed(unit: Unit, name: str) -> bool:
    """Remove an endpoint whose requests are done, with what was kept for its variants; whether it is gone."""
    variants = ENDPOINTS.get(unit.connection, name).variants
    if not remove_endpoint(unit, name):
        return False
    for variant in variants:
        if PLACED.find(unit.connection, f"{name}/{variant.name}") is not None:
            PLACED.delete(unit, f"{name}/{variant.name}")
    return True
