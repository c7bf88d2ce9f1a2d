"""An object as one file: its bytes, then what is kept with them.

All of it is one file so that it appears by one rename, whole or not at all: bytes, their MD5 and their metadata cannot
come apart. The end is found from the end: the record as JSON, its length in four bytes, eight bytes that mark it.
"""

import struct
from collections.abc import AsyncIterable, AsyncIterator
from hashlib import md5

import msgspec

from modelwright.errors import ObjectError, StoreError
from modelwright.serve.objects.entry import About, Entry

TAIL = 16 * 1024
"""Bytes that are read to find the end; what is kept with an object must fit in."""

PIECE = 256 * 1024
"""Bytes that are handed on at a time."""

_MARK = b"\x00mw-obj\x01"
_LENGTH = struct.Struct(">I")
_FOOT = _LENGTH.size + len(_MARK)


class Sealing:
    """Bytes on their way into a file, counted and digested as they pass, and the end after them.

    Args:
        body: the bytes; what it raises ends the sealing, and is kept in `failure`.
        key, about, modified: what is to be kept.
        etag: to be kept in place of the digest; "" keeps the digest.
    """

    def __init__(self, body: AsyncIterable[bytes], key: str, about: About, modified: float, etag: str = "") -> None:
        self._body = body
        self._digest = md5(usedforsecurity=False)
        self._size = 0
        self._given = (key, about, modified, etag)
        self.failure: BaseException | None = None

    @property
    def entry(self) -> Entry:
        """The object as far as it has passed."""
        key, about, modified, etag = self._given
        return Entry(key, self._size, etag or self._digest.hexdigest(), modified, about)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All that goes into the file."""
        try:
            async for piece in self._body:
                self._digest.update(piece)
                self._size += len(piece)
                for start in range(0, len(piece), PIECE):
                    yield piece[start : start + PIECE]
        except BaseException as failure:
            self.failure = failure
            raise
        record = msgspec.json.encode(self.entry)
        yield record + _LENGTH.pack(len(record)) + _MARK


def check_about(about: About) -> None:
    """Refuse what is too long to be kept with an object.

    Raises:
        ObjectError: metadata and headers are longer than 8 KB.
    """
    if len(msgspec.json.encode(about)) > TAIL // 2:
        rule = f"metadata and headers of an object must be at most {TAIL // 2} bytes"
        raise ObjectError("MetadataTooLarge", rule, where="metadata")


def opened(tail: bytes, size: int, where: str) -> Entry:
    """The object whose file is of a size, from the file's last bytes.

    Raises:
        StoreError: the file is damaged, or was not written by this store.
    """
    length = _LENGTH.unpack(tail[-_FOOT : -len(_MARK)])[0] if tail.endswith(_MARK) and len(tail) > _FOOT else -1
    try:
        entry = msgspec.json.decode(tail[-_FOOT - length : -_FOOT], type=Entry) if length >= 0 else None
    except msgspec.DecodeError:
        entry = None
    if entry is None or entry.size + length + _FOOT != size:
        rule = "a file in the store's folder must be one that the store wrote, and whole"
        raise StoreError(rule, where=where, way_out="Delete the object, and put it again.")
    return entry
