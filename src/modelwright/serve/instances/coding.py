"""Content types in and out, as SageMaker's toolkits read and write them by default."""

import csv
import io
import json
from typing import Any

import numpy as np

from modelwright.errors import RecordError, SettingError

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
TEXT = "text/plain"
BYTES = "application/octet-stream"

_WAY_OUT = f"Use {JSON}, {CSV}, {NPY}, {TEXT} or {BYTES}."


def kind_of(content_type: str) -> str:
    """A content type without its parameters, in small letters; JSON where none was given."""
    return content_type.partition(";")[0].strip().lower() or JSON


def decode(content: bytes, content_type: str) -> Any:
    """The value of a body: JSON's own, an array of rows for CSV and NPY, a text, or the bytes.

    Numbers in CSV become a float32 array of (rows, columns); where a field is no number all become lists of texts.

    Raises:
        SettingError: the content type is none of these.
        RecordError: the body is not of its content type. Pickled objects in NPY are refused.
    """
    kind = kind_of(content_type)
    try:
        if kind == JSON:
            return json.loads(content)
        if kind == CSV:
            return _table([row for row in csv.reader(io.StringIO(content.decode())) if row])
        if kind == NPY:
            return np.load(io.BytesIO(content), allow_pickle=False)
        if kind == TEXT:
            return content.decode()
    except (ValueError, EOFError, csv.Error, RecursionError) as failure:
        raise RecordError(f"the body must be {kind} ({failure})", where="body") from failure
    if kind == BYTES:
        return content
    raise SettingError("the content type must be one that is read", value=content_type, way_out=_WAY_OUT)


def encode(value: Any, accept: str) -> tuple[bytes, str]:
    """A value as a body, and the body's content type: the first that is accepted of those that can hold it.

    Raises:
        SettingError: nothing that is accepted can hold the value.
    """
    for kind in _wanted(accept, BYTES if isinstance(value, bytes | bytearray) else JSON):
        if kind == JSON:
            return json.dumps(_plain(value)).encode(), JSON
        if kind == CSV:
            rows = np.asarray(_plain(value), dtype=object)
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows.reshape(len(rows), -1) if rows.ndim else [[rows[()]]])
            return text.getvalue().encode(), CSV
        if kind == NPY:
            held = io.BytesIO()
            np.save(held, np.asarray(_plain(value)), allow_pickle=False)
            return held.getvalue(), NPY
        if kind == TEXT and isinstance(value, str):
            return value.encode(), TEXT
        if kind == BYTES and isinstance(value, bytes | bytearray):
            return bytes(value), BYTES
    raise SettingError("what is accepted must be able to hold the answer", value=accept, way_out=_WAY_OUT)


def _wanted(accept: str, default: str) -> list[str]:
    """Content types by their q, the first named first (RFC 9110, 12.5.1); what is anything is the default one."""
    ranked = []
    for place, row in enumerate(accept.split(",")):
        kind, *parameters = (part.strip().lower() for part in row.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            ranked.append((-float(quality), place, kind))
        except ValueError:
            continue
    chosen = [kind for quality, _, kind in sorted(ranked) if quality < 0]
    return [default if kind in ("", "*/*", "application/*") else kind for kind in chosen]


def _plain(value: Any) -> Any:
    """Arrays and tensors within a value as lists, texts of bytes as they are."""
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(held) for held in value]
    if hasattr(value, "detach"):  # a tensor, whichever package has it
        value = value.detach().cpu()
    return value.tolist() if hasattr(value, "tolist") else value


def _table(rows: list[list[str]]) -> Any:
    try:
        return np.array(rows, dtype=np.float32)
    except ValueError:
        return rows
