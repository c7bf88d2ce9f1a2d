"""What a review queue writes into its journal, one record a line; the record's tag is the entry's kind."""

from typing import Annotated

import msgspec

from modelwright.errors import RecordError
from modelwright.records import ReviewItem, ReviewRules, from_json, to_json
from modelwright.store import Entry


class Opened(msgspec.Struct, frozen=True, tag_field="kind", tag="opened"):
    """The queue was made, with these rules."""

    rules: ReviewRules


class Added(msgspec.Struct, frozen=True, tag_field="kind", tag="added"):
    """Items came in; `copies` says of near-duplicates which item is looked at in their stead."""

    items: tuple[ReviewItem, ...]
    copies: dict[str, str]


class Claimed(msgspec.Struct, frozen=True, tag_field="kind", tag="claimed"):
    """A reviewer holds these items until then, ISO 8601 in UTC."""

    keys: tuple[str, ...]
    reviewer: str
    until: str


class Renewed(msgspec.Struct, frozen=True, tag_field="kind", tag="renewed"):
    """A reviewer who holds these items holds them until then, ISO 8601 in UTC."""

    keys: tuple[str, ...]
    reviewer: str
    until: str


class Released(msgspec.Struct, frozen=True, tag_field="kind", tag="released"):
    """A reviewer gave items back."""

    keys: tuple[str, ...]


class Decided(msgspec.Struct, frozen=True, tag_field="kind", tag="decided"):
    """A reviewer gave an item its class, or none of the known ones; a later one amends an earlier one."""

    key: str
    label: Annotated[str, msgspec.Meta(min_length=1)] | None
    reviewer: str


Written = Opened | Added | Claimed | Renewed | Released | Decided

_DECODER: msgspec.json.Decoder[Written] = msgspec.json.Decoder(Written)


def written(entry: Entry, where: str) -> Written:
    """The record that an entry of a queue's journal holds.

    Raises:
        RecordError: it is none, such as one of a newer program or of another kind of journal.
    """
    try:
        return _DECODER.decode(entry.body)
    except msgspec.DecodeError as failure:
        place = f"{where}, entry {entry.number}"
        from_json(entry.body, Written, where=place)  # type: ignore[arg-type]  # says the same, as a lesson
        raise RecordError(f"an entry of a review queue must be known ({failure})", where=place) from failure


def kind(record: Written) -> str:
    """The word that stands for such records in a journal."""
    return str(record.__struct_config__.tag)


def body(record: Written, where: str) -> bytes:
    """A record as it is written, once it is sure that it can be read again.

    Raises:
        RecordError: it cannot.
    """
    try:
        text = to_json(record)
    except (UnicodeEncodeError, TypeError) as failure:
        rule = f"a record must be one that JSON can hold ({failure})"
        raise RecordError(rule, where=where, way_out="Correct the item or the name.") from failure
    from_json(text, Written, where=where)  # type: ignore[arg-type]  # a union is no class to mypy
    return text
