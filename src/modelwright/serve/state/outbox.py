"""Messages on their way out: written with the change that they tell of, delivered at least once, in order on each line.

A message to a topic becomes one for each of the topic's confirmed subscriptions, in the same transaction. A topic that
is none of ours is taken for the address of a receiver itself.
"""

from typing import Any

from sqlalchemy import Row, and_, bindparam, exists, insert, or_, select, update

from modelwright.records import Delivery, Retry
from modelwright.serve.state.fates import wait_s
from modelwright.serve.state.metrics import count, endpoint_dimensions
from modelwright.serve.state.rows import clean
from modelwright.serve.state.schema import ENTITIES, OUTBOX, REQUESTS, in_state
from modelwright.serve.state.unit import Unit

CONFIRMED = "confirmed"
"""Status of an entity of the kind "subscription" that messages of its parent, the topic, are copied to."""

DELIVERY = Retry(attempts=12, first_s=1.0, longest_s=600.0)
"""How often a message is tried by default: for about half an hour."""

KEEP_S = 7 * 86_400.0
"""How long a message is remembered after it was delivered or given up, seconds."""

_O = OUTBOX.c
_ADD = insert(OUTBOX).returning(_O.id)
_WAITING = in_state(OUTBOX, "waiting")
_earlier = OUTBOX.alias("earlier")
_FIRST = ~exists().where(_earlier.c.line == _O.line, _earlier.c.id < _O.id, in_state(_earlier, "waiting"))
"""That no earlier message of the line is still to be delivered; one without a line follows no other."""

_E = ENTITIES.c
_TOPIC = and_(_E.kind == "topic", _E.name == bindparam("topic"))
_SUBSCRIPTION = and_(_E.kind == "subscription", _E.parent == bindparam("topic"), _E.status == CONFIRMED)
_RECEIVERS = select(_E.kind, _E.name).where(or_(_TOPIC, _SUBSCRIPTION)).order_by(_E.name)
_DUE = (
    select(OUTBOX)
    .where(_WAITING, _O.due_t <= bindparam("now"), _FIRST)
    .order_by(_O.due_t, _O.id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True, of=OUTBOX)
)
_TAKE = (
    update(OUTBOX)
    .where(_O.id == bindparam("number"))
    .values(attempts=_O.attempts + 1, server=bindparam("by"), due_t=bindparam("until"))
)


def publish(unit: Unit, topic: str, body: str, line: str = "", request: int | None = None) -> list[int]:
    """Write a message down for all who are to receive it.

    Args:
        unit: of work.
        topic: to which it goes.
        body: the message.
        line: messages of one line reach each receiver in their order; "" for one that follows no other.
        request: the number of the request that it tells of.

    Returns:
        Numbers of the messages, one a receiver; none where a topic has no subscriptions.
    """
    every: dict[str, object] = {"topic": topic, "body": body, "request": request, "state": "waiting", "attempts": 0}
    every |= {"reason": "", "due_t": unit.t, "published_at": unit.at}
    rows = [every | {"receiver": name, "line": f"{line} {name}" if line else None} for name in _receivers(unit, topic)]
    return [unit.connection.execute(_ADD, row).scalar_one() for row in rows]


def due(unit: Unit, count: int = 100, lease_s: float = 60.0) -> list[Delivery]:
    """Take messages that are to be delivered now, those that waited longest first.

    Args:
        unit: of work.
        count: so many at most.
        lease_s: seconds in which their delivery is to be told of, or else they are due again.
    """
    rows = unit.connection.execute(_DUE, {"now": unit.t, "count": count}).all()
    if rows:
        by = {"by": unit.server, "until": unit.t + lease_s}
        unit.connection.execute(_TAKE, [by | {"number": row.id} for row in rows])
    return [_delivery(row, lease_s) for row in rows]


def delivered(unit: Unit, number: int) -> bool:
    """Note that a message was delivered; whether it was still waiting for that."""
    return _settle(unit, number, "delivered", "") is not None


def not_delivered(unit: Unit, delivery: Delivery, reason: str, retry: Retry = DELIVERY) -> bool:
    """Note that a message could not be delivered. It waits and is tried again, or is kept as undelivered.

    Args:
        unit: of work.
        delivery: the attempt that failed.
        reason: why.
        retry: how often it is tried, and how long it waits in between.

    Returns:
        Whether it will be tried again. What has been delivered or taken anew meanwhile is left as it is.
    """
    reason = clean(reason)
    if delivery.attempt >= retry.attempts:
        give_up(unit, delivery.number, reason)
        return False
    wait = wait_s(delivery.attempt, retry.first_s, retry.longest_s, unit.random.random())
    again = update(OUTBOX).where(_WAITING, _O.id == delivery.number, _O.attempts == delivery.attempt)
    unit.connection.execute(again.values(server=None, due_t=unit.t + wait, reason=reason))
    return True


def give_up(unit: Unit, number: int, reason: str) -> bool:
    """Keep a message as undelivered, with the reason; whether it was still waiting."""
    row = _settle(unit, number, "undelivered", clean(reason))
    if row is None:
        return False
    told = (
        row.request
        and unit.connection.execute(
            select(REQUESTS.c.endpoint, REQUESTS.c.variant).where(REQUESTS.c.id == row.request)
        ).first()
    )
    if told:
        count(unit, "NotificationFailures", endpoint_dimensions(*told))
    return True


def redeliver(unit: Unit, number: int) -> bool:
    """Let a message that was kept as undelivered be tried again from the beginning; whether it was one."""
    again = update(OUTBOX).where(_O.id == number, _O.state == "undelivered")
    values = {"state": "waiting", "attempts": 0, "due_t": unit.t, "keep_t": None, "settled_at": None}
    return unit.connection.execute(again.values(**values)).rowcount == 1


def release(unit: Unit, server: int) -> None:
    """Let what a server that has ended was delivering be due at once."""
    of_server = update(OUTBOX).where(_WAITING, _O.server == server)
    unit.connection.execute(of_server.values(server=None, due_t=unit.t))


def _receivers(unit: Unit, topic: str) -> list[str]:
    """Names of a topic's confirmed subscriptions; the topic itself where it is none of ours."""
    key = ("topic", topic)
    if key not in unit.memo:
        found = unit.connection.execute(_RECEIVERS, {"topic": topic}).all()
        names = [row.name for row in found if row.kind == "subscription"]
        unit.memo[key] = names if found else [topic]
    receivers: list[str] = unit.memo[key]
    return receivers


def _settle(unit: Unit, number: int, state: str, reason: str) -> Row[Any] | None:
    settled = update(OUTBOX).where(_WAITING, _O.id == number)
    values = {"state": state, "reason": reason, "server": None, "settled_at": unit.at, "keep_t": unit.t + KEEP_S}
    return unit.connection.execute(settled.values(**values).returning(_O.request)).first()


def _delivery(row: Row[Any], lease_s: float) -> Delivery:
    told = {name: getattr(row, name) for name in ("topic", "receiver", "body", "published_at", "request")}
    return Delivery(number=row.id, line=row.line or "", attempt=row.attempts + 1, lease_s=lease_s, **told)
