"""An endpoint as it stands on one server: its crews, the models that they load, and its share of the instances."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final
from zlib import crc32

import msgspec

from modelwright.records import EndpointRecord, ModelRecord
from modelwright.serve.service.crew import Crew, Member
from modelwright.serve.state import Kind


class Placed(msgspec.Struct, frozen=True):
    """The model that a variant of an endpoint was given: it is served on when the model's own record is deleted."""

    name: str
    model: ModelRecord


PLACED = Kind("placed model", Placed, "model of a variant")

Models = Mapping[str, ModelRecord]
"""Variant -> its model."""


@final
@dataclass(eq=False)
class Stand:
    """An endpoint on this server.

    Attributes:
        record: what its crews were made of.
        models: that they load.
        crews: variant -> its instances.
        coming: the same of a change that is under way; None where there is none.
        closing: the end of the endpoint, once that has begun.
        going: crews of earlier configurations, which finish what they have.
        trouble: why there are fewer instances than are wanted; "" where there is nothing to tell.
    """

    record: EndpointRecord
    models: Models
    crews: dict[str, Crew]
    coming: tuple[EndpointRecord, Models, dict[str, Crew]] | None = None
    closing: asyncio.Task[None] | None = None
    going: set[Crew] = field(default_factory=set)
    trouble: str = ""

    @property
    def ready(self) -> list[Member]:
        """Instances that take calls."""
        crews = [*self.crews.values(), *(self.coming[2].values() if self.coming else ())]
        return [member for crew in crews for member in crew.ready]

    @property
    def all_crews(self) -> list[Crew]:
        """Those that serve, that come and that go."""
        return [*self.crews.values(), *(self.coming[2].values() if self.coming else ()), *self.going]

    @property
    def members(self) -> int:
        """Instances that there are, however they fare."""
        return sum(len(crew.members) for crew in self.crews.values())


def share_of(count: int, servers: Sequence[int], server: int, endpoint: str) -> int:
    """How many of so many instances are a server's to run: all shares together are all, and none is larger by two.

    Args:
        count: of instances.
        servers: those that live, sorted.
        server: which of them.
        endpoint: whose instances; of different endpoints, different servers run the ones that cannot be divided.
    """
    place = (servers.index(server) + crc32(endpoint.encode())) % len(servers)
    return count // len(servers) + (place < count % len(servers))
