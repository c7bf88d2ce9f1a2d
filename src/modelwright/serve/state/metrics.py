"""What is counted: a minute's values of each metric, written with the changes that they count.

The names are CloudWatch's for asynchronous endpoints (AWS, "Monitor asynchronous endpoints"), with its units: latencies
in microseconds, times in the backlog and in all in milliseconds. What AWS does not count stands in a namespace of ours.
"""

import functools
import json
from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, Executable, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from modelwright.records import Sample
from modelwright.serve.state.schema import METRICS
from modelwright.serve.state.unit import Gathered, Tally, Unit

AWS = "AWS/SageMaker"
OURS = "Modelwright/Serve"
PERIOD_S = 60.0
"""Length of a period on the wall clock, seconds."""

_ROWS = METRICS.c


def count(unit: Unit, name: str, dimensions: str, value: float = 1.0, namespace: str = AWS) -> None:
    """Take one value into the present minute.

    Args:
        unit: of work, with which it is written.
        name: of the metric.
        dimensions: as `dimensions_of` writes them.
        value: in the metric's own unit.
        namespace: that the name stands in.
    """
    unit.tally.add((namespace, name, dimensions, _minute(unit.at)), (1.0, value, value, value))


def put(unit: Unit, namespace: str, name: str, dimensions: str, at: float, values: Gathered) -> None:
    """Take values of a moment that a client names, wall clock, seconds since 1970 in UTC."""
    unit.tally.add((namespace, name, dimensions, _minute(at)), values)


@functools.lru_cache(maxsize=4096)
def endpoint_dimensions(endpoint: str, variant: str = "") -> str:
    """The dimensions of an endpoint's metric, or of one of its variants'."""
    return dimensions_of({"EndpointName": endpoint} | ({"VariantName": variant} if variant else {}))


def dimensions_of(dimensions: Mapping[str, str]) -> str:
    """Dimensions in the one way in which they are written: JSON, sorted by name."""
    return json.dumps(dimensions, sort_keys=True, separators=(",", ":"))


def write(unit: Unit, tally: Tally) -> None:
    """Write counts down. Each server adds to rows of its own, so that none waits for another."""
    rows = [
        {"namespace": namespace, "name": name, "dimensions": dimensions, "at": at, "server": unit.server}
        | dict(zip(("count", "total", "least", "most"), gathered, strict=True))
        for (namespace, name, dimensions, at), gathered in tally.gathered.items()
    ]
    if rows:
        unit.connection.execute(_adding(unit.connection.dialect.name), rows)


def series(
    connection: Connection, namespace: str, name: str, dimensions: str, span: tuple[float, float]
) -> list[Sample]:
    """A metric's minutes, oldest first; a minute without values has none.

    Args:
        connection: to read from.
        namespace: of the metric.
        name: of the metric.
        dimensions: of the metric, as `dimensions_of` writes them.
        span: from and before when, wall clock, seconds since 1970 in UTC.
    """
    which = (_ROWS.namespace == namespace, _ROWS.name == name, _ROWS.dimensions == dimensions)
    sums = (func.sum(_ROWS["count"]), func.sum(_ROWS.total), func.min(_ROWS.least), func.max(_ROWS.most))
    ask = select(_ROWS.at, *sums).where(*which, _ROWS.at >= span[0], _ROWS.at < span[1])
    return [Sample(*row) for row in connection.execute(ask.group_by(_ROWS.at).order_by(_ROWS.at))]


def listed(connection: Connection, namespace: str = "", name: str = "") -> list[tuple[str, str, dict[str, str]]]:
    """The metrics that have values: namespace, name and dimensions; of all namespaces or names, where none is given."""
    ask = select(_ROWS.namespace, _ROWS.name, _ROWS.dimensions).distinct()
    ask = ask.where(_ROWS.namespace == namespace) if namespace else ask
    ask = ask.where(_ROWS.name == name) if name else ask
    rows = connection.execute(ask.order_by(_ROWS.namespace, _ROWS.name, _ROWS.dimensions))
    return [(space, metric, msgspec.json.decode(text, type=dict[str, str])) for space, metric, text in rows]


def totals(connection: Connection) -> list[tuple[str, str, dict[str, str], float, float]]:
    """All that is still remembered of each metric: namespace, name, dimensions, number of values and their sum."""
    keys = (_ROWS.namespace, _ROWS.name, _ROWS.dimensions)
    ask = select(*keys, func.sum(_ROWS["count"]), func.sum(_ROWS.total)).group_by(*keys).order_by(*keys)
    decoded = (
        (*row[:2], msgspec.json.decode(row[2], type=dict[str, str]), *row[3:]) for row in connection.execute(ask)
    )
    return [(space, metric, dimensions, values, total) for space, metric, dimensions, values, total in decoded]


def _minute(at: float) -> float:
    return at // PERIOD_S * PERIOD_S


@functools.cache
def _adding(dialect: str) -> Executable:
    """The statement that adds values to a row, or makes it."""
    insert = postgresql.insert(METRICS) if dialect == "postgresql" else sqlite.insert(METRICS)
    new = insert.excluded
    both = {
        "count": _ROWS["count"] + new["count"],
        "total": _ROWS.total + new.total,
        "least": case((new.least < _ROWS.least, new.least), else_=_ROWS.least),
        "most": case((new.most > _ROWS.most, new.most), else_=_ROWS.most),
    }
    return insert.on_conflict_do_update(index_elements=list(METRICS.primary_key), set_=both)
