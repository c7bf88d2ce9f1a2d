"""What people and programs ask about requests and messages. These read, and change nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, final

from sqlalchemy import Connection, func, select

from modelwright.errors import SettingError
from modelwright.records import FINISHED, RequestRecord, RequestState
from modelwright.serve.state.rows import request_of
from modelwright.serve.state.schema import OUTBOX, REQUESTS

_R = REQUESTS.c
_O = OUTBOX.c

STATES: tuple[RequestState, ...] = ("queued", "running", *FINISHED)


@final
@dataclass(frozen=True)
class Requests:
    """Some requests of a list.

    Attributes:
        records: in the order asked for.
        after: number of the last one, where the next page begins; None where there is none.
    """

    records: tuple[RequestRecord, ...]
    after: int | None


@final
@dataclass(frozen=True)
class Message:
    """A message as it stands.

    Attributes:
        number, topic, receiver, body: of the message.
        state: waiting, delivered or undelivered.
        attempts: how often it was tried.
        reason: why the last attempt failed; "" where none did.
        request: the number of the request that it tells of; None for another message.
        published_at, settled_at: wall clock, seconds since 1970 in UTC; None while it waits.
    """

    number: int
    topic: str
    receiver: str
    body: str
    state: Literal["waiting", "delivered", "undelivered"]
    attempts: int
    reason: str
    request: int | None
    published_at: float
    settled_at: float | None


def request(connection: Connection, number: int) -> RequestRecord | None:
    """The request of that number; None if there is none, or none any more."""
    row = connection.execute(select(REQUESTS).where(_R.id == number)).first()
    return None if row is None else request_of(row)


def requests_named(connection: Connection, inference_id: str, endpoint: str = "") -> list[RequestRecord]:
    """The requests of an inference id: one an endpoint at most, or that of one endpoint alone."""
    ask = select(REQUESTS).where(_R.inference_id == inference_id).order_by(_R.id)
    ask = ask.where(_R.endpoint == endpoint) if endpoint else ask
    return [request_of(row) for row in connection.execute(ask)]


def requests(
    connection: Connection,
    endpoint: str = "",
    states: Sequence[RequestState] = (),
    *,
    accepted: tuple[float | None, float | None] = (None, None),
    after: int | None = None,
    limit: int = 100,
    newest_first: bool = True,
) -> Requests:
    """A page of requests, by their numbers. What is added or removed between two pages moves none of the others.

    Args:
        connection: to read from.
        endpoint: whose; "" for all.
        states: any of these; none for all.
        accepted: from and before when, wall clock, seconds since 1970 in UTC; None for no bound.
        after: number of the last one of the page before; None for the first page.
        limit: requests a page.
        newest_first: the greatest number first.

    Raises:
        SettingError: there is no such state, or a page is to hold less than one request.
    """
    if limit < 1:
        raise SettingError("a page must hold one request or more", value=limit)
    if unknown := set(states) - set(STATES):
        raise SettingError(f"a state must be one of {', '.join(STATES)}", value=sorted(unknown))
    ask = select(REQUESTS).order_by(_R.id.desc() if newest_first else _R.id).limit(limit + 1)
    ask = ask.where(_R.endpoint == endpoint) if endpoint else ask
    ask = ask.where(_R.state.in_(states)) if states else ask
    if after is not None:
        ask = ask.where(_R.id < after if newest_first else _R.id > after)
    since, before = accepted
    ask = ask.where(_R.accepted_at >= since) if since is not None else ask
    ask = ask.where(_R.accepted_at < before) if before is not None else ask
    rows = connection.execute(ask).all()
    shown = tuple(request_of(row) for row in rows[:limit])
    return Requests(shown, shown[-1].number if len(rows) > limit else None)


def counts(connection: Connection) -> dict[str, dict[RequestState, int]]:
    """Endpoint -> state -> number of its requests that are still remembered; states without any are left out."""
    ask = select(_R.endpoint, _R.state, func.count()).group_by(_R.endpoint, _R.state).order_by(_R.endpoint, _R.state)
    found: dict[str, dict[RequestState, int]] = {}
    for endpoint, state, number in connection.execute(ask):
        found.setdefault(endpoint, {})[state] = number
    return found


def messages(
    connection: Connection, state: str = "", *, request: int | None = None, after: int = 0, limit: int = 100
) -> list[Message]:
    """Messages by their numbers, from the one after `after`: of a state, or those that tell of a request."""
    names = [field.name for field in fields(Message)]
    ask = select(_O.id, *(_O[name] for name in names[1:])).where(_O.id > after).order_by(_O.id).limit(limit)
    ask = ask.where(_O.state == state) if state else ask
    ask = ask.where(_O.request == request) if request is not None else ask
    return [Message(row.id, *row[1:]) for row in connection.execute(ask)]


def next_delivery_t(connection: Connection) -> float | None:
    """When the next message is due, on the line of time; None if none waits."""
    return connection.execute(select(func.min(_O.due_t)).where(_O.state == "waiting")).scalar()
