"""A request's row as a record, and what the modules that change requests share of it."""

import functools
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, select

from modelwright.records import Answer, EndpointSettings, Invocation, RequestRecord
from modelwright.serve.state.schema import ENTITIES, REQUESTS

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


def request(connection: Connection, number: int) -> RequestRecord | None:
    """The request of that number; None if there is none."""
    row = connection.execute(select(REQUESTS).where(REQUESTS.c.id == number)).first()
    return None if row is None else request_of(row)


def endpoint_of(connection: Connection, name: str) -> _Endpoint | None:
    """What requests need to know of their endpoint; None if there is none."""
    body = connection.execute(_ENDPOINT, {"name": name}).scalar()
    return None if body is None else _decoded(body)


@functools.lru_cache(maxsize=1024)
def _decoded(body: str) -> _Endpoint:
    return msgspec.json.decode(body, type=_Endpoint)


def clean(text: str) -> str:
    """A text from outside, as every database can hold it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
