"""What an object store tells of what it holds."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import final

import msgspec

BINARY = "binary/octet-stream"
"""The content type of what came without one, as in S3."""


class About(msgspec.Struct, frozen=True):
    """What is kept with an object and told back.

    Attributes:
        content_type: of its bytes.
        metadata: the user's own; names are told apart by case, S3's clients send them in lower case.
        headers: further HTTP headers to be told with it, such as "cache-control", names in lower case.
    """

    content_type: str = BINARY
    metadata: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


PLAIN = About()
"""What is kept with an object of which nothing was said."""


class Entry(msgspec.Struct, frozen=True):
    """An object without its bytes.

    Attributes:
        key: its name in the bucket.
        size: bytes.
        etag: MD5 of its bytes in hexadecimal digits, or "md5-n" of the MD5s of its n parts; without quotes.
        modified: when it was put, wall clock, seconds since 1970 in UTC.
        about: what is kept with it.
    """

    key: str
    size: int
    etag: str
    modified: float
    about: About = PLAIN


class Bucket(msgspec.Struct, frozen=True):
    """A bucket: its name, and when it was made (wall clock, seconds since 1970 in UTC)."""

    name: str
    created: float


class Condition(msgspec.Struct, frozen=True):
    """What must hold for a put to take place, at the very moment that the object would appear.

    Attributes:
        absent: there is no object of that key (If-None-Match: *).
        etag: the object has this one (If-Match); "" asks for none.
    """

    absent: bool = False
    etag: str = ""


class Span(msgspec.Struct, frozen=True):
    """A range of bytes as HTTP writes it (RFC 9110, 14.1.2).

    Attributes:
        first: the first one, from 0; None for the last `last` bytes.
        last: the last one, inclusive; None for all that follow.
    """

    first: int | None
    last: int | None = None

    def within(self, size: int) -> tuple[int, int] | None:
        """The first byte and the one after the last one, in an object of a size; None where there are none."""
        if self.first is None:
            start, stop = max(0, size - (self.last or 0)), size
        else:
            start, stop = self.first, size if self.last is None else min(self.last + 1, size)
        return (start, stop) if start < stop else None


@final
@dataclass(frozen=True, eq=False)
class Found:
    """An object that is open: what is read of it stays as it was, whatever happens to its key meanwhile.

    Attributes:
        entry: the object.
        start, stop: the bytes that `body` gives: from `start` on, before `stop`.
        body: in pieces of less than a megabyte; to be read once.
    """

    entry: Entry
    start: int
    stop: int
    body: AsyncIterator[bytes]

    async def read(self) -> bytes:
        """All bytes of the body at once, for those that are small."""
        return b"".join([piece async for piece in self.body])


class Page(msgspec.Struct, frozen=True):
    """A part of a list, in the order of the keys' UTF-8 bytes.

    Attributes:
        entries: the objects.
        prefixes: what stands for all keys that begin so up to the delimiter; counted like an object.
        token: to go on after this page; "" where it is the last one.
    """

    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...] = ()
    token: str = ""


class Upload(msgspec.Struct, frozen=True):
    """An upload in parts that has begun.

    Attributes:
        id: by which it goes on.
        bucket, key: where the object will be.
        started: wall clock, seconds since 1970 in UTC.
        about: what will be kept with it.
    """

    id: str
    bucket: str
    key: str
    started: float
    about: About = PLAIN


class Part(msgspec.Struct, frozen=True):
    """A part of an upload: its number from 1 to 10,000, MD5, bytes, and when it came."""

    number: int
    etag: str
    size: int
    modified: float
