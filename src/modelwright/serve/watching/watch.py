"""Who looks at a service once a second, and remembers what was seen."""

import asyncio
import contextlib
import functools
from collections.abc import Mapping
from importlib.metadata import version
from typing import final

from sqlalchemy import Connection

from modelwright.errors import StoreError
from modelwright.records import (
    EndpointRecord,
    EndpointSnapshot,
    InstanceSnapshot,
    RequestState,
    ServiceSnapshot,
    VariantSnapshot,
)
from modelwright.records.autoscaling import Reading
from modelwright.records.watching import Point
from modelwright.serve.scalables import TARGETS, resource_of
from modelwright.serve.service import Service
from modelwright.serve.state import (
    AWS,
    ENDPOINTS,
    OURS,
    counts,
    endpoint_dimensions,
    joined,
    messages,
    percentile,
    reading,
    series,
)
from modelwright.serve.watching.history import FINE_S, History

_ENDS = (
    (AWS, "InvocationsProcessed"),
    (AWS, "ExpiredRequests"),
    (OURS, "CancelledRequests"),
)
_MINUTE_S = 60.0
_TIMES_S = 300.0
"""Of how long before the present minute the times of requests are told, seconds."""
_UNDELIVERED = 1000


@final
class Watch:
    """Watches a service.

    Attributes:
        histories: endpoint -> what was seen of it.

    Args:
        service: that is watched.
    """

    def __init__(self, service: Service) -> None:
        self.histories: dict[str, History] = {}
        self._service = service
        self._ended: dict[str, tuple[float, float]] = {}

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            with contextlib.suppress(StoreError):  # such as a database that is out of reach: there is a gap
                await self.look()
            await asyncio.sleep(FINE_S)

    async def look(self) -> None:
        """Look once.

        Raises:
            StoreError: the state cannot be read.
        """
        moment = self._service.state.now()
        seen = await self._service.ledger.read(self._seen)
        for record, read, ends in seen:
            wanted = sum(one.instances for one in record.variants)
            ended = self._since(record.name, moment.at, ends)
            instances = read.instances, read.starting, read.draining
            point = Point(moment.at, read.queued, read.running, *instances, wanted, ended)
            self.histories.setdefault(record.name, History()).add(point)
        for name in self.histories.keys() - {record.name for record, _, _ in seen}:
            del self.histories[name]
            self._ended.pop(name, None)

    async def snapshot(self) -> ServiceSnapshot:
        """The service as it is now.

        Raises:
            StoreError: the state cannot be read.
        """

        def read(connection: Connection) -> tuple[list[EndpointSnapshot], int]:
            ends = counts(connection)
            bounds = {one.name: (one.target.min, one.target.max) for one in TARGETS.all(connection)}
            found = [
                self._endpoint(connection, one, ends.get(one.name, {}), bounds) for one in ENDPOINTS.all(connection)
            ]
            return found, len(messages(connection, "undelivered", limit=_UNDELIVERED))

        endpoints, undelivered = await self._service.ledger.read(read)
        site = self._service.site
        return ServiceSnapshot(
            at=self._service.clock.now().timestamp(),
            version=version("modelwright"),
            region=site.region,
            bucket=site.buckets[0],
            time_factor=site.time_factor,
            draining=self._service.draining,
            undelivered=undelivered,
            endpoints=tuple(endpoints),
        )

    def _endpoint(
        self,
        connection: Connection,
        record: EndpointRecord,
        ends: Mapping[RequestState, int],
        bounds: dict[str, tuple[int, int]],
    ) -> EndpointSnapshot:
        read = reading(connection, self._service.state.now(), record.name)
        stand = self._service.endpoints.stands.get(record.name)
        crews = stand.crews.values() if stand else ()
        history = self.histories.get(record.name)
        return EndpointSnapshot(
            name=record.name,
            status=record.status,
            reason=record.reason,
            asynchronous=record.settings is not None,
            variants=tuple(
                VariantSnapshot(
                    one.name, one.model, one.instances, *bounds.get(resource_of(record.name, one.name), (None, None))
                )
                for one in record.variants
            ),
            instances=tuple(
                InstanceSnapshot(one.name, crew.variant, one.state, one.in_flight)
                for crew in crews
                for one in crew.members.values()
            ),
            queued=read.queued,
            running=read.running,
            oldest_s=read.oldest_age_s,
            ended={state: number for state, number in ends.items() if state not in ("queued", "running")},
            per_s=history.per_s() if history else 0.0,
            **self._times(connection, record),
        )

    def _times(self, connection: Connection, record: EndpointRecord) -> dict[str, float | None]:
        """How long requests took in the last minutes."""
        name, unit = ("ModelLatency", 1e-6) if record.settings is None else ("TotalProcessingTime", 1e-3)
        now = self._service.state.now().at
        span = (now // _MINUTE_S * _MINUTE_S - _TIMES_S, now + 1.0)
        wheres = [endpoint_dimensions(record.name, one.name) for one in record.variants]
        found = [one for where in wheres for one in series(connection, AWS, name, where, span, spread=True)]
        if not found:
            return {}
        whole = functools.reduce(joined, found)
        told = {"median_s": percentile(whole, 0.5), "p95_s": percentile(whole, 0.95)}
        return {key: None if value is None else value * unit for key, value in told.items()}

    def _seen(self, connection: Connection) -> list[tuple[EndpointRecord, Reading, dict[float, float]]]:
        """Each endpoint with what is read of it, and the ends of its last minutes: minute -> number."""
        moment = self._service.state.now()
        span = (moment.at // _MINUTE_S * _MINUTE_S - _MINUTE_S, moment.at + 1.0)
        found = []
        for record in ENDPOINTS.all(connection):
            ends: dict[float, float] = {}
            for variant in record.variants:
                where = endpoint_dimensions(record.name, variant.name)
                for namespace, name in _ENDS:
                    for one in series(connection, namespace, name, where, span):
                        ends[one.at] = ends.get(one.at, 0.0) + one.count
            found.append((record, reading(connection, moment, record.name), ends))
        return found

    def _since(self, name: str, at: float, ends: dict[float, float]) -> int:
        """How many came to an end since the look before; a minute's count only grows."""
        minute = at // _MINUTE_S * _MINUTE_S
        now = ends.get(minute, 0.0)
        before, known = self._ended.get(name, (minute, now))
        self._ended[name] = minute, now
        if before == minute:
            return int(now - known)
        return int(now + ends.get(before, known) - known)
