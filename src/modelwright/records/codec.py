"""Records on paper: TOML and JSON in and out, with errors that name file, key, rule and value."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import tomli_w

from modelwright.errors import RecordError

R = TypeVar("R")


def to_json(record: object) -> bytes:
    """The record as one line of JSON."""
    return msgspec.json.encode(record)


def from_json(text: bytes | str, kind: type[R], *, where: str = "", error: type[RecordError] = RecordError) -> R:
    """The record in a JSON text.

    Raises:
        RecordError: the text is not JSON or breaks a rule of the record.
    """
    try:
        data = msgspec.json.decode(text)
    except msgspec.DecodeError as failure:
        raise error(f"the text must be valid JSON ({failure})", where=where or kind.__name__) from failure
    return convert(data, kind, where=where, error=error)


def to_toml(record: object) -> str:
    """The record as TOML; keys that hold nothing are left out."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(record)), multiline_strings=True)


def from_toml(text: str, kind: type[R], *, where: str = "", error: type[RecordError] = RecordError) -> R:
    """The record in a TOML text.

    Raises:
        RecordError: the text is not TOML or breaks a rule of the record.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        raise error(f"the text must be valid TOML ({failure})", where=where or kind.__name__) from failure
    return convert(data, kind, where=where, error=error)


def convert(data: Any, kind: type[R], *, where: str = "", error: type[RecordError] = RecordError) -> R:
    """The record held in plain dictionaries and lists.

    Raises:
        RecordError: a key is missing, unknown, of the wrong type or out of range; the error names it and its value.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as failure:
        message, _, path = str(failure).partition(" - at `")
        path = path.rpartition("` in `")[2].partition("[...]")[0]  # of a table's keys and values msgspec tells no more
        key = path.rstrip("`").removeprefix("$").removeprefix(".")
        place = " ".join(part for part in (where or kind.__name__, f"key {key!r}" if key else "") if part)
        rule = message[:1].lower() + message[1:]
        raise error(rule, where=place, value=_at(data, key), way_out="Correct that key.") from failure


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all (a file beside it, then a rename).

    Raises:
        OSError: the place cannot be written; nothing half-written stays behind.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    data = content.encode() if isinstance(content, str) else content
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _at(data: Any, key: str) -> Any:
    """The value at a msgspec path such as `memory[0].bandwidth`; the nearest holder where a key is missing."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", key):
        try:
            data = data[int(index)] if index else data[name]
        except (KeyError, IndexError, TypeError):
            break
    return data


def _without_none(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    if isinstance(data, list | tuple):
        return [_without_none(value) for value in data]
    return data
