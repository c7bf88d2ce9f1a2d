"""Instances take requests, keep them by heartbeats, and may give them back."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, case, func, select, update

from modelwright.records import EndpointSettings, Invocation, Lease, from_json
from modelwright.serve.state.rows import settings_of
from modelwright.serve.state.schema import REQUESTS, in_state
from modelwright.serve.state.unit import Unit

_R = REQUESTS.c
_QUEUED, _RUNNING = in_state(REQUESTS, "queued"), in_state(REQUESTS, "running")

_HEADS = (
    select(_R.id, _R.endpoint, _R.priority, _R.token, _R.attempts, _R.invocation)
    .where(_QUEUED, _R.endpoint == bindparam("endpoint"))
    .where(_R.due_t <= bindparam("now"), _R.expires_t > bindparam("now"))
    .order_by(_R.priority.desc(), _R.id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_BUSY = select(func.count()).select_from(REQUESTS).where(_RUNNING, _R.endpoint == bindparam("endpoint"))
_TAKE = (
    update(REQUESTS)
    .where(_R.id == bindparam("number"))
    .values(
        state="running",
        token=_R.token + 1,
        attempts=_R.attempts + 1,
        variant=bindparam("by_variant"),
        instance=bindparam("by_instance"),
        server=bindparam("by_server"),
        started_at=bindparam("wall"),
        left_s=_R.expires_t - bindparam("now"),
        lease_s=bindparam("lease"),
        lease_t=bindparam("until"),
        timeout_t=bindparam("limit"),
        answer=None,
    )
)
_RENEW = (
    update(REQUESTS)
    .where(_RUNNING, _R.server == bindparam("by_server"))
    .where(_R.instance.in_(bindparam("instances", expanding=True)))
    .values(
        lease_t=case((_R.timeout_t < bindparam("now") + _R.lease_s, _R.timeout_t), else_=bindparam("now") + _R.lease_s)
    )
    .returning(_R.id, _R.token)
)
_RETURN = (
    update(REQUESTS)
    .where(_RUNNING, _R.id == bindparam("number"), _R.token == bindparam("held"))
    .values(
        state="queued",
        attempts=_R.attempts - 1,
        server=None,
        lease_t=None,
        timeout_t=None,
        due_t=bindparam("due"),
        expires_t=bindparam("now") + _R.left_s,
    )
)


def claim(unit: Unit, instance: str, variant: str, endpoints: Sequence[str], count: int = 1) -> list[Lease]:
    """Give an instance the next requests: higher priority first, then the older one.

    An instance of several endpoints takes, among requests of one priority, from the one with the fewest at work.

    Args:
        unit: of work.
        instance: who takes them.
        variant: whose instance it is.
        endpoints: whose requests it can answer.
        count: so many at most.

    Returns:
        A lease each; none if none waits.
    """
    asked = {"now": unit.t, "count": count}
    heads = {name: unit.connection.execute(_HEADS, asked | {"endpoint": name}).all() for name in endpoints}
    busy = dict.fromkeys(heads, 0)
    if len(heads) > 1:
        busy = {name: unit.connection.execute(_BUSY, {"endpoint": name}).scalar_one() for name in heads}
    taken = fair(heads, busy, count)
    leases = [_lease(row, instance, settings_of(unit, row.endpoint)) for row in taken]
    if leases:
        by = {"by_variant": variant, "by_instance": instance, "by_server": unit.server, "now": unit.t, "wall": unit.at}
        unit.connection.execute(_TAKE, [by | _terms(lease, unit.t) for lease in leases])
    return leases


def fair(heads: Mapping[str, Sequence[Any]], busy: Mapping[str, int], count: int) -> list[Any]:
    """Which requests are taken: by priority; of equal ones those of the endpoint with the fewest at work; then by age.

    Args:
        heads: endpoint -> the first rows of its queue, in order.
        busy: endpoint -> requests at work.
        count: so many at most.
    """
    left = {name: list(reversed(rows)) for name, rows in heads.items()}
    working = dict(busy)
    taken: list[Any] = []
    while len(taken) < count and any(left.values()):
        first = min(
            (rows[-1] for rows in left.values() if rows), key=lambda row: (-row.priority, working[row.endpoint], row.id)
        )
        taken.append(left[first.endpoint].pop())
        working[first.endpoint] += 1
    return taken


def renew(unit: Unit, instances: Sequence[str]) -> set[tuple[int, int]]:
    """Let the leases of this server's instances run anew, to the limit of each attempt at most.

    Returns:
        Number and token of every request that they hold. Whatever else an instance works on was taken from it (it was
        cancelled, or its lease had run out): its work is of no use any more. What it does not work on was claimed in a
        commit whose outcome was never heard, such as when the line to the database broke: it is to be given back.
    """
    held = {"by_server": unit.server, "instances": list(instances), "now": unit.t}
    return {(row.id, row.token) for row in unit.connection.execute(_RENEW, held)}


def give_back(unit: Unit, number: int, token: int, wait_s: float = 0.0) -> bool:
    """Put a request back into the queue that was not begun, such as when its instance ends; it counts as no attempt.

    Args:
        unit: of work.
        number: of the lease.
        token: of the lease.
        wait_s: how long it is not to be taken again, seconds.

    Returns:
        Whether the lease was still held.
    """
    terms = {"number": number, "held": token, "now": unit.t, "due": unit.t + wait_s}
    return unit.connection.execute(_RETURN, terms).rowcount == 1


def _lease(row: Row[Any], instance: str, settings: EndpointSettings) -> Lease:
    invocation = from_json(row.invocation, Invocation)
    return Lease(row.id, row.token + 1, instance, row.attempts + 1, settings.lease_s, invocation)


def _terms(lease: Lease, now: float) -> dict[str, object]:
    """The limit is for a dispatcher that does not keep it itself, and so a lease later."""
    limit = now + lease.invocation.timeout_s + lease.lease_s
    return {"number": lease.number, "lease": lease.lease_s, "until": now + lease.lease_s, "limit": limit}
