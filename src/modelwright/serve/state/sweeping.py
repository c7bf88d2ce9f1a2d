"""Requests that are taken back, run out of time, lose their server, or are brought back from the dead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from sqlalchemy import bindparam, select, update

from modelwright.errors import ConflictError, UnknownNameError
from modelwright.records import RequestRecord
from modelwright.serve.state import outbox, servers
from modelwright.serve.state.ending import finish, interrupted, lost
from modelwright.serve.state.endpoints import INSTANCES
from modelwright.serve.state.rows import request_of
from modelwright.serve.state.schema import REQUESTS, in_state
from modelwright.serve.state.unit import Unit

_R = REQUESTS.c
_QUEUED, _RUNNING = in_state(REQUESTS, "queued"), in_state(REQUESTS, "running")

_EXPIRED = (
    select(REQUESTS)
    .where(_QUEUED, _R.expires_t <= bindparam("now"))
    .order_by(_R.expires_t)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_OVERDUE = (
    select(REQUESTS)
    .where(_RUNNING, _R.lease_t <= bindparam("now"))
    .order_by(_R.lease_t)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)


@final
@dataclass(frozen=True)
class Swept:
    """What a sweep found.

    Attributes:
        expired: numbers of requests that had waited for too long.
        overdue: numbers of those whose lease or time had run out.
    """

    expired: tuple[int, ...]
    overdue: tuple[int, ...]


def sweep(unit: Unit, limit: int = 500) -> Swept:
    """End what has run out of time: stays in the queue, leases without a heartbeat, attempts without an end.

    Args:
        unit: of work.
        limit: so many at most of each; the next sweep finds the others.
    """
    asked = {"now": unit.t, "count": limit}
    expired = unit.connection.execute(_EXPIRED, asked).all()
    for row in expired:
        finish(unit, row, "expired", "it waited in the queue for longer than its time to live", None)
    overdue = unit.connection.execute(_OVERDUE, asked).all()
    for row in overdue:
        silent = row.lease_t < row.timeout_t
        lost(
            unit, row, "its instance was not heard of any more" if silent else "the attempt took longer than its limit"
        )
    return Swept(tuple(row.id for row in expired), tuple(row.id for row in overdue))


def take_over(unit: Unit, alive: Callable[[Unit, int], bool]) -> list[int]:
    """Put what servers that have ended were at back into the queue, at once, and forget their instances.

    Args:
        unit: of work.
        alive: whether another run of a server is.

    Returns:
        Numbers of those requests.
    """
    ended = [server for server in servers.others(unit.connection, unit.server) if not alive(unit, server)]
    taken: list[int] = []
    for server in ended:
        rows = unit.connection.execute(select(REQUESTS).where(_RUNNING, _R.server == server).order_by(_R.id)).all()
        for row in rows:
            interrupted(unit, row)
        outbox.release(unit, server)
        servers.end(unit, server)
        taken += [row.id for row in rows]
    for instance in INSTANCES.all(unit.connection) if ended else ():
        if instance.server in ended:
            INSTANCES.delete(unit, instance.name)
    return taken


def cancel(unit: Unit, endpoint: str, inference_id: str, reason: str = "cancelled by the client") -> RequestRecord:
    """Take a request back, whether it waits or runs. What was cancelled before stays so.

    Raises:
        UnknownNameError: there is no such request.
        ConflictError: it has come to another end already.
    """
    ask = select(REQUESTS).where(_R.inference_id == inference_id, _R.endpoint == endpoint).with_for_update()
    row = unit.connection.execute(ask).first()
    if row is None:
        raise UnknownNameError("request", inference_id, ())
    if row.state in ("queued", "running"):
        finish(unit, row, "cancelled", reason, None)
    elif row.state != "cancelled":
        raise ConflictError("a request that has ended stays as it is", where=inference_id, value=row.state)
    return request_of(unit.connection.execute(ask).one())


def cancel_queued(unit: Unit, endpoint: str, reason: str, limit: int = 500) -> int:
    """Take back what waits at an endpoint, such as one that is deleted; how many that were, `limit` at most."""
    ask = select(REQUESTS).where(in_state(REQUESTS, "queued"), _R.endpoint == endpoint).order_by(_R.id).limit(limit)
    rows = unit.connection.execute(ask.with_for_update(skip_locked=True)).all()
    for row in rows:
        finish(unit, row, "cancelled", reason, None)
    return len(rows)


def redrive(unit: Unit, endpoint: str, inference_id: str = "", limit: int = 500) -> list[int]:
    """Put dead requests back into the queue, as if they had just come: all of an endpoint's, or one.

    Args:
        unit: of work.
        endpoint: whose.
        inference_id: of the one; "" for all.
        limit: so many at most, the oldest first.

    Returns:
        Their numbers.
    """
    ask = select(REQUESTS).where(_R.state == "dead", _R.endpoint == endpoint).order_by(_R.id).limit(limit)
    ask = ask.where(_R.inference_id == inference_id) if inference_id else ask
    rows = unit.connection.execute(ask.with_for_update(skip_locked=True)).all()
    for row in rows:
        ttl_s = request_of(row).invocation.ttl_s
        new = {"state": "queued", "attempts": 0, "interruptions": 0, "due_t": unit.t, "left_s": ttl_s}
        new |= dict.fromkeys(("answer", "finished_at", "keep_t"))
        unit.connection.execute(update(REQUESTS).where(_R.id == row.id).values(expires_t=unit.t + ttl_s, **new))
    return [row.id for row in rows]
