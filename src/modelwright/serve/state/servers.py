"""Runs of servers: each has a number, and writes down from time to time what time it is."""

from sqlalchemy import Connection, bindparam, insert, select, update

from modelwright.serve.state.schema import SERVERS
from modelwright.serve.state.timeline import Moment
from modelwright.serve.state.unit import Unit

_TOUCH = update(SERVERS).where(SERVERS.c.id == bindparam("server")).values(t=bindparam("now"), at=bindparam("wall"))


def last_moment(connection: Connection) -> Moment | None:
    """The latest moment that any server has written down; None in a new database."""
    row = connection.execute(select(SERVERS.c.t, SERVERS.c.at).order_by(SERVERS.c.t.desc()).limit(1)).first()
    return Moment(row[0], row[1]) if row else None  # `row.t` is SQLAlchemy's own


def register(connection: Connection, moment: Moment) -> int:
    """A new run; its number."""
    added = insert(SERVERS).values(started_at=moment.at, t=moment.t, at=moment.at).returning(SERVERS.c.id)
    return int(connection.execute(added).scalar_one())


def touch(unit: Unit) -> None:
    """Write down what time it is, and that this run goes on."""
    unit.connection.execute(_TOUCH, {"server": unit.server, "now": unit.t, "wall": unit.at})


def others(connection: Connection, server: int) -> list[int]:
    """The runs beside this one that are not known to have ended."""
    ask = select(SERVERS.c.id).where(SERVERS.c.ended_at.is_(None), SERVERS.c.id != server).order_by(SERVERS.c.id)
    return list(connection.execute(ask).scalars())


def end(unit: Unit, server: int) -> None:
    """Note that a run has ended."""
    unit.connection.execute(update(SERVERS).where(SERVERS.c.id == server).values(ended_at=unit.at))


def resume(unit: Unit) -> None:
    """Note that this run goes on, should another have taken it for dead."""
    unit.connection.execute(update(SERVERS).where(SERVERS.c.id == unit.server).values(ended_at=None))
