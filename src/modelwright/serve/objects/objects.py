"""What an object store does for those who serve: by S3's semantics, streamed, whatever keeps the bytes."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Protocol

from modelwright.serve.objects.entry import PLAIN, About, Condition, Entry, Found, Page, Span

Body = bytes | AsyncIterable[bytes]

ANYHOW = Condition()
"""The condition of a put that takes place whatever is there."""


class Objects(Protocol):
    """Objects in buckets. All methods raise ObjectError with S3's code for what S3 refuses, StoreError for failures."""

    async def put(
        self, bucket: str, key: str, body: Body, about: About = PLAIN, condition: Condition = ANYHOW
    ) -> Entry:
        """Keep an object, which appears whole or not at all; what the body raises ends it, and is raised."""
        ...

    async def head(self, bucket: str, key: str) -> Entry:
        """An object without its bytes."""
        ...

    async def get(self, bucket: str, key: str, span: Span | None = None) -> Found:
        """An object, open; all of it or a range."""
        ...

    async def list(
        self, bucket: str, prefix: str = "", delimiter: str = "", *, after: str = "", token: str = "", limit: int = 1000
    ) -> Page:
        """The objects whose keys begin with `prefix`, after a key or from a token on; at most `limit` (1000) a page."""
        ...

    async def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error."""
        ...

    async def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        about: About | None = None,
        condition: Condition = ANYHOW,
    ) -> Entry:
        """Put the object of one (bucket, key) at another one, with what is kept with it, or with `about` instead."""
        ...

    def close(self) -> None:
        """Give up what is held."""
        ...


async def pieces(body: Body) -> AsyncIterator[bytes]:
    """A body piece by piece."""
    if isinstance(body, bytes):
        yield body
        return
    async for piece in body:
        yield piece
