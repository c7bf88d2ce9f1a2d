"""What the autoscaler reads of an endpoint, and the gauges that are made of it."""

from sqlalchemy import Connection, bindparam, func, select

from modelwright.records.autoscaling import Reading
from modelwright.serve.state.endpoints import ENDPOINTS, instances_of
from modelwright.serve.state.metrics import AWS, PERIOD_S, endpoint_dimensions, measure
from modelwright.serve.state.schema import METRICS, REQUESTS, in_state
from modelwright.serve.state.timeline import Moment
from modelwright.serve.state.unit import Unit

GAUGES = (
    "ApproximateBacklogSize",
    "ApproximateBacklogSizePerInstance",
    "ApproximateAgeOfOldestRequest",
    "HasBacklogWithoutCapacity",
)

SUMS = ("Invocations", "InvocationsPerInstance")
"""Metrics of which the autoscaler takes the sum of a minute, as AWS's predefined one of invocations does."""

_R = REQUESTS.c
_STATES = {state: in_state(REQUESTS, state) for state in ("queued", "running")}
_COUNTS = {
    state: select(func.count()).select_from(REQUESTS).where(_R.endpoint == bindparam("endpoint"), is_in)
    for state, is_in in _STATES.items()
}
_OLDEST = {
    state: select(_R.accepted_t).where(_R.endpoint == bindparam("endpoint"), is_in).order_by(_R.id).limit(1)
    for state, is_in in _STATES.items()
}


def reading(connection: Connection, moment: Moment, endpoint: str, variant: str = "") -> Reading:
    """An endpoint at this moment, on the line of time; all of it is counted at once.

    Args:
        connection: to read from.
        moment: now.
        endpoint: whose requests are counted; all instances answer them.
        variant: whose instances are counted; "" for all. Its further metrics are those of the last whole minute.

    Raises:
        UnknownNameError: there is no such endpoint.
    """
    variants = [variant] if variant else [one.name for one in ENDPOINTS.get(connection, endpoint).variants]
    instances = [one.status for name in variants for one in instances_of(connection, endpoint, name)]
    asked = {"endpoint": endpoint}
    numbers = {state: connection.execute(ask, asked).scalar_one() for state, ask in _COUNTS.items()}
    oldest = [accepted for ask in _OLDEST.values() for accepted in connection.execute(ask, asked).scalars()]
    return Reading(
        at=moment.t,
        queued=numbers["queued"],
        running=numbers["running"],
        instances=instances.count("ready"),
        starting=instances.count("starting"),
        draining=instances.count("draining"),
        oldest_age_s=max(0.0, moment.t - min(oldest)) if oldest else 0.0,
        metrics=_last_minute(connection, moment, endpoint_dimensions(endpoint, variant)) if variant else {},
    )


def sample(unit: Unit) -> None:
    """Take the gauges of every asynchronous endpoint into the present minute."""
    for endpoint in ENDPOINTS.all(unit.connection):
        if endpoint.settings is not None:
            read = reading(unit.connection, unit.moment, endpoint.name)
            for name in GAUGES:
                value = read.metric(name)
                if value is not None:
                    measure(unit, name, endpoint_dimensions(endpoint.name), value)


def _last_minute(connection: Connection, moment: Moment, dimensions: str) -> dict[str, float]:
    """Name -> value in the last whole minute: a sum of what counts events, the mean of any other."""
    begin = (moment.at // PERIOD_S - 1) * PERIOD_S
    which = (METRICS.c.namespace == AWS, METRICS.c.dimensions == dimensions, METRICS.c.at == begin)
    sums = select(METRICS.c.name, func.sum(METRICS.c.total), func.sum(METRICS.c["count"]))
    rows = connection.execute(sums.where(*which).group_by(METRICS.c.name))
    return {name: total if name in SUMS else total / count for name, total, count in rows}
