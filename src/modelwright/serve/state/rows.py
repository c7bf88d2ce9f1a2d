"""A request's row as a record, and what the modules that change requests share of it."""

import functools
from typing import Any

import msgspec
from sqlalchemy import Row, bindparam, select

from modelwright.records import Answer, EndpointSettings, Invocation, RequestRecord
from modelwright.serve.state.schema import ENTITIES
from modelwright.serve.state.unit import Unit

_INVOCATION = msgspec.json.Decoder(Invocation)
_ANSWER = msgspec.json.Decoder(Answer)


class _Endpoint(msgspec.Struct, frozen=True):
    """What of an endpoint its requests need."""

    variants: tuple["_Variant", ...]
    status: str
    settings: EndpointSettings | None = None


class _Variant(msgspec.Struct, frozen=True):
    name: str


_ENDPOINT = select(ENTITIES.c.body).where(ENTITIES.c.kind == "endpoint", ENTITIES.c.name == bindparam("name"))


def request_of(row: Row[Any]) -> RequestRecord:
    """A row of the table of requests as a record."""
    return RequestRecord(
        number=row.id,
        invocation=_INVOCATION.decode(row.invocation),
        state=row.state,
        attempts=row.attempts,
        token=row.token,
        interruptions=row.interruptions,
        duplicates=row.duplicates,
        variant=row.variant,
        instance=row.instance,
        server=row.server,
        reason=row.reason,
        answer=None if row.answer is None else _ANSWER.decode(row.answer),
        accepted_at=row.accepted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def endpoint_of(unit: Unit, name: str) -> _Endpoint | None:
    """What requests need to know of their endpoint; None if there is none."""
    key = ("endpoint", name)
    if key not in unit.memo:
        body = unit.connection.execute(_ENDPOINT, {"name": name}).scalar()
        unit.memo[key] = None if body is None else _decoded(body)
    found: _Endpoint | None = unit.memo[key]
    return found


def settings_of(unit: Unit, name: str) -> EndpointSettings:
    """The settings of an endpoint; the usual ones where it is not there any more."""
    endpoint = endpoint_of(unit, name)
    return endpoint.settings if endpoint and endpoint.settings else EndpointSettings("")


@functools.lru_cache(maxsize=1024)
def _decoded(body: str) -> _Endpoint:
    return msgspec.json.decode(body, type=_Endpoint)


def clean(text: str) -> str:
    """A text from outside, as every database can hold it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
