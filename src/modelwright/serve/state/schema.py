"""The tables, one schema for SQLite and PostgreSQL alike.

Times that decide (`..._t`) are seconds on the service's own line of time, which never jumps (`timeline.py`). Times that
are told (`..._at`) are the wall clock's, seconds since 1970 in UTC.
"""

import sqlalchemy as sa
from sqlalchemy import (
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

APPLICATION = "modelwright-serve"
"""Stands in the table `about`: it tells this database from those of other programs."""

VERSION = 2
"""Of the schema. A program brings an older one up to its own, and refuses a newer one."""

METADATA = sa.MetaData()

_Number = sa.BigInteger().with_variant(Integer, "sqlite")  # only an INTEGER key is SQLite's own row number

ABOUT = Table("about", METADATA, Column("application", String, primary_key=True), Column("version", Integer))

SERVERS = Table(
    "servers",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("t", Double, nullable=False),
    Column("at", Double, nullable=False),
    sqlite_autoincrement=True,  # a number is never given again
)
"""The runs of servers. `t` and `at` are one moment, on the line of time and on the wall clock, from time to time."""

REQUESTS = Table(
    "requests",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("endpoint", String, nullable=False),
    Column("inference_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("invocation", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    Column("interruptions", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("variant", String, nullable=False),
    Column("instance", String, nullable=False),
    Column("server", Integer),
    Column("reason", Text, nullable=False),
    Column("answer", Text),
    Column("accepted_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("accepted_t", Double, nullable=False),
    Column("due_t", Double, nullable=False),  # not to be claimed before
    Column("left_s", Double, nullable=False),  # of the longest stay in the queue, when the present stay began
    Column("expires_t", Double, nullable=False),  # when it has been in the queue for so long
    Column("lease_s", Double, nullable=False),
    Column("lease_t", Double),
    Column("timeout_t", Double),  # no lease runs for longer
    Column("keep_t", Double),  # remembered until then
    UniqueConstraint("inference_id", "endpoint"),
    sqlite_autoincrement=True,
)


def in_state(table: sa.FromClause, state: str) -> sa.ColumnElement[bool]:
    """Whether a row of requests or messages is in that state, so written that an index of such rows alone is used."""
    return table.c.state == sa.literal_column(f"'{state}'")


def _partial(
    name: str, *columns: "Column[object] | sa.UnaryExpression[object]", where: sa.ColumnElement[bool]
) -> Index:
    """An index of those rows alone that a frequent question is about."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


_QUEUED, _RUNNING = in_state(REQUESTS, "queued"), in_state(REQUESTS, "running")
_partial("requests_queue", REQUESTS.c.endpoint, REQUESTS.c.priority.desc(), REQUESTS.c.id, where=_QUEUED)
_partial("requests_expiry", REQUESTS.c.expires_t, where=_QUEUED)
_partial("requests_running", REQUESTS.c.server, REQUESTS.c.instance, where=_RUNNING)
_partial("requests_leased", REQUESTS.c.lease_t, where=_RUNNING)
_partial("requests_kept", REQUESTS.c.keep_t, where=REQUESTS.c.keep_t.is_not(None))
Index("requests_listed", REQUESTS.c.endpoint, REQUESTS.c.id)
Index("requests_sorted", REQUESTS.c.endpoint, REQUESTS.c.state, REQUESTS.c.id)

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("request", _Number),
    Column("line", String),
    Column("topic", String, nullable=False),
    Column("receiver", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("server", Integer),
    Column("due_t", Double, nullable=False),
    Column("keep_t", Double),
    Column("reason", Text, nullable=False),
    Column("published_at", Double, nullable=False),
    Column("settled_at", Double),
    sqlite_autoincrement=True,
)
"""Messages: `waiting` until they are `delivered` or `undelivered`. One that is under way is due again later."""

_partial("outbox_due", OUTBOX.c.due_t, where=in_state(OUTBOX, "waiting"))
_partial("outbox_line", OUTBOX.c.line, OUTBOX.c.id, where=in_state(OUTBOX, "waiting"))
_partial("outbox_kept", OUTBOX.c.keep_t, where=OUTBOX.c.keep_t.is_not(None))
Index("outbox_request", OUTBOX.c.request)

ENTITIES = Table(
    "entities",
    METADATA,
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("parent", String, nullable=False),
    Column("status", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("kind", "name"),
)
"""Models, endpoints, instances and whatever else has a name: a record as JSON, and what it is found by."""

Index("entities_family", ENTITIES.c.kind, ENTITIES.c.parent, ENTITIES.c.name)

METRICS = Table(
    "metrics",
    METADATA,
    Column("namespace", String, nullable=False),
    Column("name", String, nullable=False),
    Column("dimensions", String, nullable=False),
    Column("at", Double, nullable=False),
    Column("server", Integer, nullable=False),
    Column("count", Double, nullable=False),
    Column("total", Double, nullable=False),
    Column("least", Double, nullable=False),
    Column("most", Double, nullable=False),
    Column("spread", LargeBinary, nullable=False, server_default=""),
    PrimaryKeyConstraint("namespace", "name", "dimensions", "at", "server"),
)
"""What each metric gathered in each minute, and how its values are spread (see `spread`).

Every server has rows of its own, so that none waits for another.
"""

Index("metrics_kept", METRICS.c.at)
