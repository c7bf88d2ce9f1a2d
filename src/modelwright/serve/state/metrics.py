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
from modelwright.serve.state.spread import Buckets, add, packed, unpacked
from modelwright.serve.state.tally import Counted, Gathered
from modelwright.serve.state.unit import Unit

AWS = "AWS/SageMaker"
OURS = "Modelwright/Serve"
PERIOD_S = 60.0
"""Length of a period on the wall clock, seconds."""

_ROWS = METRICS.c


def count(unit: Unit, name: str, dimensions: str, namespace: str = AWS) -> None:
    """Take an event into the present minute; its value is 1.

    Args:
        unit: of work, with which it is written.
        name: of the metric.
        dimensions: as `dimensions_of` writes them.
        namespace: that the name stands in.
    """
    unit.tally.add((namespace, name, dimensions, _minute(unit.at)), Gathered.event())


def measure(unit: Unit, name: str, dimensions: str, value: float) -> None:
    """Take a value, which is finite and in the metric's own unit, into the present minute of one of AWS's metrics."""
    unit.tally.add((AWS, name, dimensions, _minute(unit.at)), Gathered.one(value))


def put(unit: Unit, namespace: str, name: str, dimensions: str, at: float, values: Gathered) -> None:
    """Take values of a moment that a client names, wall clock, seconds since 1970 in UTC."""
    unit.tally.add((namespace, name, dimensions, _minute(at)), values.copy())  # a change may run twice


@functools.lru_cache(maxsize=4096)
def endpoint_dimensions(endpoint: str, variant: str = "") -> str:
    """The dimensions of an endpoint's metric, or of one of its variants'."""
    return dimensions_of({"EndpointName": endpoint} | ({"VariantName": variant} if variant else {}))


def dimensions_of(dimensions: Mapping[str, str]) -> str:
    """Dimensions in the one way in which they are written: JSON, sorted by name."""
    return json.dumps(dimensions, sort_keys=True, separators=(",", ":"))


def write(unit: Unit, counted: Counted) -> None:
    """Write the unit's counts down. Each server adds to rows of its own, so that none waits for another.

    Args:
        unit: with all counts of a commit.
        counted: by this server before.
    """
    rows = [
        {
            "namespace": key[0],
            "name": key[1],
            "dimensions": key[2],
            "at": key[3],
            "server": unit.server,
            "count": values.count,
            "total": values.total,
            "least": values.least,
            "most": values.most,
            "spread": packed(counted.spread(key, values.spread)) if values.spread else b"",
        }
        for key, values in unit.tally.gathered.items()
    ]
    if rows:
        unit.connection.execute(_adding(unit.connection.dialect.name), rows)


def series(
    connection: Connection,
    namespace: str,
    name: str,
    dimensions: str,
    span: tuple[float, float],
    *,
    spread: bool = False,
) -> list[Sample]:
    """A metric's minutes, oldest first; a minute without values has none.

    Args:
        connection: to read from.
        namespace: of the metric.
        name: of the metric.
        dimensions: of the metric, as `dimensions_of` writes them.
        span: from and before when, wall clock, seconds since 1970 in UTC.
        spread: whether the samples shall have theirs.
    """
    which = (_ROWS.namespace == namespace, _ROWS.name == name, _ROWS.dimensions == dimensions)
    sums = (func.sum(_ROWS["count"]), func.sum(_ROWS.total), func.min(_ROWS.least), func.max(_ROWS.most))
    within = (*which, _ROWS.at >= span[0], _ROWS.at < span[1])
    ask = select(_ROWS.at, *sums).where(*within).group_by(_ROWS.at).order_by(_ROWS.at)
    found = [Sample(*row) for row in connection.execute(ask)]
    if spread and found:
        spreads: dict[float, Buckets] = {one.at: {} for one in found}
        for at, data in connection.execute(select(_ROWS.at, _ROWS.spread).where(*within)):
            add(spreads[at], unpacked(data))
        found = [msgspec.structs.replace(one, spread=tuple(sorted(spreads[one.at].items()))) for one in found]
    return found


def listed(connection: Connection, namespace: str = "", name: str = "") -> list[tuple[str, str, dict[str, str]]]:
    """The metrics that have values: namespace, name and dimensions; of all namespaces or names, where none is given."""
    ask = select(_ROWS.namespace, _ROWS.name, _ROWS.dimensions).distinct()
    ask = ask.where(_ROWS.namespace == namespace) if namespace else ask
    ask = ask.where(_ROWS.name == name) if name else ask
    rows = connection.execute(ask.order_by(_ROWS.namespace, _ROWS.name, _ROWS.dimensions))
    return [(space, metric, msgspec.json.decode(text, type=dict[str, str])) for space, metric, text in rows]


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
        "spread": new.spread,  # of this server's values in this minute, all of them
    }
    return insert.on_conflict_do_update(index_elements=list(METRICS.primary_key), set_=both)
