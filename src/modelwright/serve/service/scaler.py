"""The autoscaler's driver: it reads endpoints, has it decided, carries it out, and writes down what came of it.

Everything that scaling knows of time goes by at the site's time factor; what is written down is in plain seconds.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import final

from msgspec.structs import replace

from modelwright.errors import StoreError, UnknownNameError
from modelwright.records import ScalableTargetRecord
from modelwright.records.autoscaling import Activity, AlarmState, Reading, ScalingHistory, ScalingPolicy
from modelwright.serve.scalables import TARGETS, activities_of, note_activities, note_states, policies_of
from modelwright.serve.scaling import decide, remember
from modelwright.serve.service.ledger import Ledger
from modelwright.serve.service.log import tell, warn
from modelwright.serve.state import ENDPOINTS, other_servers, reading, set_variants

INTERVAL_S = 10.0
"""Between two decisions, in the time that scaling goes by."""

_RECENT = 20


@final
class Scaler:
    """Scales the variants that are scalable targets.

    Args:
        ledger: the state.
        ids: makes names of activities.
        factor: how many times faster time goes by.
        scaled: called with the endpoint when the number of wanted instances has changed.
    """

    def __init__(self, ledger: Ledger, ids: Callable[[], str], factor: float, scaled: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._ids = ids
        self._factor = factor
        self._scaled = scaled
        self._histories: dict[str, ScalingHistory] = {}
        self._noted: dict[str, dict[str, AlarmState]] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Decide at once, such as when a request comes in and there is no instance."""
        self._woken.set()

    async def run(self) -> None:
        """Decide every few seconds, and when woken, for ever."""
        while True:
            self._woken.clear()
            try:
                await self.look()
            except StoreError as failure:
                warn("not scaled", error=str(failure))
            try:
                async with asyncio.timeout(INTERVAL_S / self._factor):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Decide once about every target, unless a server that was there before does."""
        server = self._ledger.state.server
        if any(other < server for other in await self._ledger.read(other_servers, server)):
            self._histories.clear()  # whoever takes over goes by what is written down
            self._noted.clear()
            return
        targets = await self._ledger.read(TARGETS.all)
        for name in self._histories.keys() - {one.name for one in targets}:
            del self._histories[name]
            self._noted.pop(name, None)
        for one in targets:
            try:
                await self._decide(one)
            except UnknownNameError:  # the endpoint is gone, or the target just was
                continue

    async def _decide(self, one: ScalableTargetRecord) -> None:
        moment = self._ledger.state.now()
        policies, read, endpoint = await self._ledger.read(
            lambda connection: (
                policies_of(connection, one.name),
                reading(connection, moment, one.endpoint, one.variant),
                ENDPOINTS.get(connection, one.endpoint),
            )
        )
        history = self._histories.get(one.name) or await self._remembered(one.name)
        limits = endpoint.settings
        target = replace(one.target, concurrency=limits.concurrency) if limits else one.target
        wanted = {variant.name: variant.instances for variant in endpoint.variants}.get(one.variant)
        now, read = moment.t * self._factor, self._faster(read)
        if wanted is not None:
            read = as_wanted(read, wanted)
        scaling = decide(read, history, policies, target, now)
        after = remember(history, read, scaling, policies, target, now)
        if scaling.change and scaling.desired is not None:
            await self._ledger.do(set_variants, one.endpoint, {one.variant: (scaling.desired, None)})
            self._scaled(one.endpoint)
            tell("scaled", endpoint=one.endpoint, variant=one.variant, instances=scaling.desired, cause=scaling.cause)
        await self._note(one.name, policies, history, after)
        self._histories[one.name] = after

    async def _note(
        self, name: str, policies: Sequence[ScalingPolicy], before: ScalingHistory, after: ScalingHistory
    ) -> None:
        """Write down activities and states of alarms that have changed."""
        if after.activities != before.activities:
            slower = [self._slower(one) for one in after.activities]
            await self._ledger.do(note_activities, name, slower, [self._ids() for _ in slower])
        if after.alarms != self._noted.get(name):
            await self._ledger.do(note_states, after.alarms, "by its last data points")
            self._noted[name] = dict(after.alarms)

    async def _remembered(self, name: str) -> ScalingHistory:
        """What an earlier run wrote down, as far as a decision may depend on it."""
        records = await self._ledger.read(activities_of, name, _RECENT)
        return ScalingHistory(activities=tuple(self._faster_activity(one.activity) for one in reversed(records)))

    def _faster(self, read: Reading) -> Reading:
        return replace(read, at=read.at * self._factor, oldest_age_s=read.oldest_age_s * self._factor)

    def _faster_activity(self, one: Activity) -> Activity:
        ended = None if one.ended is None else one.ended * self._factor
        return replace(one, started=one.started * self._factor, ended=ended)

    def _slower(self, one: Activity) -> Activity:
        ended = None if one.ended is None else one.ended / self._factor
        return replace(one, started=one.started / self._factor, ended=ended)


def as_wanted(read: Reading, wanted: int) -> Reading:
    """A reading in which as many instances serve or start as are wanted.

    Those that are wanted and not noted yet, such as after a restart or while a model fails to load, count as starting;
    those above it as draining. Otherwise a decision would be made again before it is carried out.
    """
    missing = wanted - read.instances - read.starting
    if missing >= 0:
        return replace(read, starting=read.starting + missing)
    starting = max(0, read.starting + missing)
    instances = min(read.instances, wanted)
    return replace(read, instances=instances, starting=starting, draining=read.draining - missing)
