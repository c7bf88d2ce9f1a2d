"""Objects in an S3-compatible store elsewhere, by obstore, which signs, retries and uploads in parts."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, final

import msgspec
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from modelwright.errors import ObjectError, StoreError
from modelwright.serve.objects.backing import told
from modelwright.serve.objects.entry import BINARY, PLAIN, About, Condition, Entry, Found, Page, Span
from modelwright.serve.objects.keys import check_key
from modelwright.serve.objects.objects import ANYHOW, Body, pieces
from modelwright.serve.objects.sealed import PIECE
from modelwright.serve.objects.walking import least_of, page_of, token_of

MOST_CONDITIONAL = 64 * 1024 * 1024
"""Bytes of a put with a condition, which obstore sends in one piece, out of memory."""

_PART = 5 * 1024 * 1024
_PARTS_AT_ONCE = 2
_MOST = 1000
_HEADERS = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
}


@final
class RemoteObjects:
    """Objects of an S3-compatible service; buckets are made there by its own means.

    Args:
        settings: of obstore's S3Store, such as endpoint, region, access_key_id, secret_access_key; what is left out
            comes from where AWS's own tools take it.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)
        self._stores: dict[str, S3Store] = {}

    def close(self) -> None:
        """Forget the connections."""
        self._stores.clear()

    async def put(
        self, bucket: str, key: str, body: Body, about: About = PLAIN, condition: Condition = ANYHOW
    ) -> Entry:
        """Keep an object, which appears whole or not at all.

        Raises:
            ObjectError: NoSuchBucket, PreconditionFailed; EntityTooLarge for a long body under a condition.
            StoreError: the service failed.
        """
        self._check(key)
        mode: Any = (
            "create" if condition.absent else {"e_tag": f'"{condition.etag}"'} if condition.etag else "overwrite"
        )
        attributes: Any = {"Content-Type": about.content_type, **about.metadata}
        attributes |= {_HEADERS[name]: value for name, value in about.headers.items() if name in _HEADERS}
        content = await _begun(body, _PART if condition == ANYHOW else MOST_CONDITIONAL)
        parts = not isinstance(content, bytes)
        if parts and condition != ANYHOW:
            rule = f"a put with a condition must be at most {MOST_CONDITIONAL} bytes in a store elsewhere"
            raise ObjectError("EntityTooLarge", rule, where=f"{bucket}/{key}", way_out="Put it without the condition.")
        kept: Any = {"attributes": attributes, "mode": mode, "chunk_size": _PART, "max_concurrency": _PARTS_AT_ONCE}
        with _refused(bucket, key):
            await obstore.put_async(self._store(bucket), key, content, use_multipart=parts, **kept)
        return await self.head(bucket, key)

    async def head(self, bucket: str, key: str) -> Entry:
        """An object without its bytes.

        Raises:
            ObjectError: NoSuchKey.
            StoreError: the service failed.
        """
        self._check(key)
        with _refused(bucket, key):
            found = await obstore.get_async(self._store(bucket), key, options={"head": True})
        return _entry(found)

    async def get(self, bucket: str, key: str, span: Span | None = None) -> Found:
        """An object, open; all of it or a range.

        Raises:
            ObjectError: NoSuchKey, InvalidRange.
            StoreError: the service failed.
        """
        self._check(key)
        entry = await self.head(bucket, key)
        bounds = span.within(entry.size) if span else (0, entry.size)
        if bounds is None:
            rule = f"a range must begin within the object's {entry.size} bytes"
            raise ObjectError("InvalidRange", rule, where=f"{bucket}/{key}", value=span)
        wanted: Any = {"if_match": f'"{entry.etag}"'} | ({"range": bounds} if span else {})
        with _refused(bucket, key):
            found = await obstore.get_async(self._store(bucket), key, options=wanted)
        return Found(entry, *bounds, _pieces(found, bucket, key))

    async def list(
        self, bucket: str, prefix: str = "", delimiter: str = "", *, after: str = "", token: str = "", limit: int = 1000
    ) -> Page:
        """The objects whose keys begin with `prefix`, after a key or from a token on; at most 1000 a page.

        The service tells no content types here; `head` does.

        Raises:
            StoreError: the service failed.
        """
        if limit <= 0:
            return Page(())
        beginning = prefix.encode()
        start = least_of(token) if token else (after.encode() + b"\0" if after else b"")
        base = prefix.rpartition("/")[0]  # obstore lists whole folders only
        seen: dict[bytes, Entry] = {}

        async def keys(least: bytes) -> AsyncIterator[bytes]:
            first = max(start, least)
            with _refused(bucket, prefix):
                async for batch in obstore.list(self._store(bucket), base or None, offset=_below(first)):
                    for meta in batch:
                        key = meta["path"].encode()
                        if key.startswith(beginning) and key >= first:
                            seen[key] = _listed(meta)
                            yield key

        async def look(key: bytes) -> Entry | None:
            return seen.pop(key)

        page, rest = await page_of(keys, look, beginning, delimiter.encode(), min(limit, _MOST))
        return Page(page.entries, page.prefixes, token_of(rest))

    async def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error.

        Raises:
            StoreError: the service failed.
        """
        for key in keys:
            self._check(key)
        with _refused(bucket, ""):
            await obstore.delete_async(self._store(bucket), list(keys))

    async def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        about: About | None = None,
        condition: Condition = ANYHOW,
    ) -> Entry:
        """Put the object of one (bucket, key) at another one, with what is kept with it, or with `about` instead.

        Raises:
            ObjectError: NoSuchKey, PreconditionFailed.
            StoreError: the service failed.
        """
        found = await self.get(*source)
        return await self.put(*target, found.body, about or found.entry.about, condition)

    def _store(self, bucket: str) -> S3Store:
        if bucket not in self._stores:
            try:
                self._stores[bucket] = S3Store(bucket, **self._settings)
            except (BaseError, TypeError) as failure:
                rule = f"the settings of the object store must be those of obstore ({failure})"
                raise StoreError(rule, where=bucket) from failure
        return self._stores[bucket]

    @staticmethod
    def _check(key: str) -> None:
        check_key(key)
        if any(part in ("", ".", "..") for part in key.split("/")):
            rule = "a key in a store elsewhere must have no empty part and no part of dots"
            raise ObjectError(
                "InvalidURI", rule, value=key, way_out="Name it otherwise: obstore passes no such keys on."
            )


@contextlib.contextmanager
def _refused(bucket: str, key: str) -> Iterator[None]:
    """What the service refuses, under S3's codes.

    Raises:
        ObjectError: NoSuchKey, NoSuchBucket, PreconditionFailed.
        StoreError: it failed otherwise.
    """
    try:
        with told(f"{bucket}/{key}"):
            try:
                yield
            except (AlreadyExistsError, PreconditionError) as failure:
                rule = "the object must be as the condition says"
                way_out = "Read it again, and decide again."
                raise ObjectError("PreconditionFailed", rule, where=bucket, value=key, way_out=way_out) from failure
    except FileNotFoundError as failure:
        code = "NoSuchBucket" if "NoSuchBucket" in str(failure) else "NoSuchKey"
        raise ObjectError(code, "bucket and object must exist", where=bucket, value=key) from failure


def _entry(found: Any) -> Entry:
    meta, metadata, headers = found.meta, {}, {}
    for name, value in found.attributes.items():
        if name.lower() in _HEADERS:
            headers[name.lower()] = value
        elif name != "Content-Type":
            metadata[name] = value
    about = About(found.attributes.get("Content-Type", BINARY), metadata, headers)
    return msgspec.structs.replace(_listed(meta), about=about)


def _listed(meta: Any) -> Entry:
    return Entry(meta["path"], meta["size"], (meta["e_tag"] or "").strip('"'), meta["last_modified"].timestamp())


async def _pieces(found: Any, bucket: str, key: str) -> AsyncIterator[bytes]:
    with _refused(bucket, key):
        async for piece in found.stream(min_chunk_size=PIECE):
            yield bytes(piece)


async def _begun(body: Body, most: int) -> bytes | AsyncIterator[bytes]:
    """A body as bytes where it has at most so many, else as pieces, of which the first holds what was read of it."""
    begun, rest = bytearray(), pieces(body)
    async for piece in rest:
        begun += piece
        if len(begun) > most:
            return _chained(bytes(begun), rest)
    return bytes(begun)


async def _chained(begun: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield begun
    async for piece in rest:
        yield piece


def _below(least: bytes) -> str | None:
    """A key below the least one that is wanted, with nothing much in between: obstore lists what comes after a key."""
    text = least.decode(errors="ignore")
    if not text:
        return None
    before = ord(text[-1]) - 1
    if before < 0:
        return text[:-1] or None
    return text[:-1] + chr(0xD7FF if 0xD800 <= before <= 0xDFFF else before) + "\U0010ffff"
