"""Whatever has a name: records of one kind, kept as JSON, found by name, by parent or page by page.

Models, configurations, endpoints and instances have modules of their own for their rules. Other rooms keep theirs here
under kinds of their own: topics and subscriptions, scalable targets, policies.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exc, func, insert, or_, select, update

from modelwright.errors import ConflictError, RecordError, SettingError, UnknownNameError
from modelwright.records import from_json, to_json
from modelwright.serve.state.schema import ENTITIES
from modelwright.serve.state.unit import Unit


class Named(Protocol):
    """A record that has a name."""

    @property
    def name(self) -> str:
        """One of a kind among its kind."""
        ...


R = TypeVar("R", bound=Named)

Order = Literal["name", "created_at", "updated_at"]

_ONE = select(ENTITIES.c.body).where(ENTITIES.c.kind == bindparam("kind"), ENTITIES.c.name == bindparam("name"))


@final
@dataclass(frozen=True)
class Page(Generic[R]):
    """Some records of a list.

    Attributes:
        records: in the order asked for.
        after: where the next page begins; "" where there is none.
    """

    records: tuple[R, ...]
    after: str


class Listing(msgspec.Struct, frozen=True):
    """What of a list is wanted.

    Attributes:
        limit: records a page.
        after: of the page before; "" for the first.
        order: by what.
        descending: the greatest first.
        containing: a part of the name; "" for any.
        parent, status: "" for any.
        created, updated: from and before when, wall clock, seconds since 1970 in UTC; None for no bound.
    """

    limit: int = 100
    after: str = ""
    order: Order = "name"
    descending: bool = False
    containing: str = ""
    parent: str = ""
    status: str = ""
    created: tuple[float | None, float | None] = (None, None)
    updated: tuple[float | None, float | None] = (None, None)


@final
@dataclass(frozen=True)
class Kind(Generic[R]):
    """The records of one kind.

    Attributes:
        name: of the kind, in the database.
        record: their class.
        noun: what one is, for messages.
    """

    name: str
    record: type[R]
    noun: str

    def create(self, unit: Unit, record: R, *, parent: str = "", status: str = "") -> R:
        """Add a record.

        Args:
            unit: of work.
            record: a new one.
            parent: what it may be found by.
            status: what it may be found by, too.

        Raises:
            ConflictError: there is one of that name.
            RecordError: it breaks a rule of its kind.
        """
        record, body = self._whole(record)
        row = {"kind": self.name, "name": record.name, "parent": parent, "status": status, "body": body}
        if self.find(unit.connection, record.name) is not None:
            raise self._taken(record.name)
        unit.memo.clear()
        try:  # another server may have been first; then the database says so
            unit.connection.execute(insert(ENTITIES).values(created_at=unit.at, updated_at=unit.at, **row))
        except exc.IntegrityError as failure:
            raise self._taken(record.name) from failure
        return record

    def replace(self, unit: Unit, record: R, *, status: str | None = None) -> R:
        """Put a record in the place of the one of its name.

        Raises:
            UnknownNameError: there is none.
            RecordError: it breaks a rule of its kind.
        """
        record, body = self._whole(record)
        unit.memo.clear()
        values = {"body": body, "updated_at": unit.at} | ({} if status is None else {"status": status})
        if not unit.connection.execute(update(ENTITIES).where(self._is(record.name)).values(**values)).rowcount:
            raise self._unknown(unit.connection, record.name)
        return record

    def delete(self, unit: Unit, name: str) -> None:
        """Remove a record.

        Raises:
            UnknownNameError: there is none of that name.
        """
        unit.memo.clear()
        if not unit.connection.execute(delete(ENTITIES).where(self._is(name))).rowcount:
            raise self._unknown(unit.connection, name)

    def find(self, connection: Connection, name: str) -> R | None:
        """The record of that name; None if there is none."""
        body = connection.execute(_ONE, {"kind": self.name, "name": name}).scalar()
        return None if body is None else from_json(body, self.record)

    def get(self, connection: Connection, name: str) -> R:
        """The record of that name.

        Raises:
            UnknownNameError: there is none.
        """
        record = self.find(connection, name)
        if record is None:
            raise self._unknown(connection, name)
        return record

    def all(self, connection: Connection) -> list[R]:
        """Every record, by name."""
        ask = select(ENTITIES.c.body).where(ENTITIES.c.kind == self.name).order_by(ENTITIES.c.name)
        return [from_json(body, self.record) for body in connection.execute(ask).scalars()]

    def children(self, connection: Connection, parent: str, status: str = "") -> list[R]:
        """The records of that parent, by their names; of that status, if one is named."""
        ask = select(ENTITIES.c.body).where(ENTITIES.c.kind == self.name, ENTITIES.c.parent == parent)
        ask = ask.where(ENTITIES.c.status == status) if status else ask
        return [from_json(body, self.record) for body in connection.execute(ask.order_by(ENTITIES.c.name)).scalars()]

    def page(self, connection: Connection, listing: Listing | None = None) -> Page[R]:
        """A page of the records. One that is added or removed between two pages moves none of the others.

        Args:
            connection: to read from.
            listing: what is wanted; the first hundred by their names if None.

        Raises:
            SettingError: the page is to begin where none does, or is to hold less than one record.
        """
        listing = listing or Listing()
        if listing.limit < 1:
            raise SettingError("a page must hold one record or more", value=listing.limit)
        key = ENTITIES.c[listing.order]
        ways = [key, ENTITIES.c.name] if listing.order != "name" else [key]
        ask = select(ENTITIES.c.name, key.label("key"), ENTITIES.c.body).where(ENTITIES.c.kind == self.name)
        ask = ask.where(*_wanted(listing))
        if listing.after:
            ask = ask.where(_beyond(listing))
        ask = ask.order_by(*(way.desc() if listing.descending else way for way in ways)).limit(listing.limit + 1)
        rows = connection.execute(ask).all()
        shown = rows[: listing.limit]
        after = _cursor(shown[-1].key, shown[-1].name) if len(rows) > len(shown) else ""
        return Page(tuple(from_json(row.body, self.record) for row in shown), after)

    def _is(self, name: str) -> ColumnElement[bool]:
        return and_(ENTITIES.c.kind == self.name, ENTITIES.c.name == name)

    def _whole(self, record: R) -> tuple[R, str]:
        """The record as it will be read, and its text.

        Raises:
            RecordError: a field breaks its rule, or holds what no database can.
        """
        try:
            body = to_json(record).decode()
            record.name.encode()
        except UnicodeEncodeError as failure:
            raise RecordError("a record must be of whole characters", where=self.noun, value=record.name) from failure
        if "\0" in record.name:
            raise RecordError("a name must hold no zero byte", where=self.noun, value=record.name)
        return from_json(body, self.record, where=f"{self.noun} {record.name!r}"), body

    def _taken(self, name: str) -> ConflictError:
        rule = f"a new {self.noun} must have a name of its own"
        return ConflictError(rule, value=name, way_out="Choose another name, or delete the one there is.")

    def _unknown(self, connection: Connection, name: str) -> UnknownNameError:
        ask = select(ENTITIES.c.name).where(ENTITIES.c.kind == self.name).order_by(ENTITIES.c.name).limit(1000)
        return UnknownNameError(self.noun, name, connection.execute(ask).scalars())


def _wanted(listing: Listing) -> Sequence[ColumnElement[bool]]:
    """What every record of a list must hold."""
    rules: list[ColumnElement[bool]] = []
    if listing.containing:
        name, part = (func.lower(ENTITIES.c.name), listing.containing.lower())
        rules.append(name.contains(part, autoescape=True))
    if listing.parent:
        rules.append(ENTITIES.c.parent == listing.parent)
    if listing.status:
        rules.append(ENTITIES.c.status == listing.status)
    for column, (since, before) in ((ENTITIES.c.created_at, listing.created), (ENTITIES.c.updated_at, listing.updated)):
        if since is not None:
            rules.append(column >= since)
        if before is not None:
            rules.append(column < before)
    return rules


def _cursor(key: object, name: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((key, name))).decode()


def _beyond(listing: Listing) -> ColumnElement[bool]:
    """What comes after the last record of the page before."""
    kind: Any = tuple[str, str] if listing.order == "name" else tuple[float, str]
    try:
        last, name = msgspec.json.decode(base64.urlsafe_b64decode(listing.after.encode()), type=kind)
    except (msgspec.DecodeError, binascii.Error, ValueError) as failure:
        way_out = "Give back what came with the page before, with the same order."
        raise SettingError("a page must begin where another ended", value=listing.after, way_out=way_out) from failure
    key = ENTITIES.c[listing.order]
    if listing.descending:
        return or_(key < last, and_(key == last, ENTITIES.c.name < name))
    return or_(key > last, and_(key == last, ENTITIES.c.name > name))
