"""The object store in a folder, or in memory: S3's semantics over plain files."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import final

import msgspec

from modelwright.clock import Clock
from modelwright.errors import ObjectError
from modelwright.serve.objects.backing import Backing
from modelwright.serve.objects.entry import PLAIN, About, Bucket, Condition, Entry, Found, Page, Span
from modelwright.serve.objects.keys import check_bucket, check_key, object_path
from modelwright.serve.objects.objects import ANYHOW, Body, pieces
from modelwright.serve.objects.parts import Parts
from modelwright.serve.objects.sealed import PIECE, Sealing, check_about, opened
from modelwright.serve.objects.turns import Turns
from modelwright.serve.objects.walking import Names, least_of, page_of, token_of, walk

_MOST = 1000


@final
class OwnObjects:
    """Buckets and objects that this process alone keeps; use `open_own` to make one.

    What is written is on the disk before a put returns. Nothing is ever held in memory whole.

    Attributes:
        parts: uploads in parts.

    Args:
        backing: where the files are.
        clock: tells when an object was put.
        ids: makes names of uploads, which nobody can guess.
    """

    def __init__(self, backing: Backing, clock: Clock, ids: Callable[[], str]) -> None:
        self._backing = backing
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._turns = Turns()
        self.parts = Parts(backing, clock, ids, self._known, self._place)

    async def read_buckets(self) -> None:
        """Find the buckets that are there already."""
        for name in await self._backing.names("buckets"):
            tail, size, _ = await self._backing.tail(f"buckets/{name}")
            content = tail[: opened(tail, size, f"buckets/{name}").size]
            self._buckets[name] = msgspec.json.decode(content, type=Bucket)

    def close(self) -> None:
        """Let another process have the folder."""
        self._backing.close()

    def buckets(self) -> tuple[Bucket, ...]:
        """All of them, by name."""
        return tuple(self._buckets[name] for name in sorted(self._buckets))

    async def create_bucket(self, name: str) -> Bucket:
        """A new bucket.

        Raises:
            ObjectError: BucketAlreadyOwnedByYou, InvalidBucketName.
            StoreError: it cannot be kept.
        """
        check_bucket(name)
        async with self._turns.of_bucket(name):
            if name in self._buckets:
                raise ObjectError("BucketAlreadyOwnedByYou", "a new bucket must have a new name", value=name)
            made = Bucket(name, self._clock.now().timestamp())
            sealing = Sealing(pieces(msgspec.json.encode(made)), name, About(), made.created)
            await self._backing.write(sealing, f"buckets/{name}")
            self._buckets[name] = made
        return made

    async def delete_bucket(self, name: str) -> None:
        """Remove a bucket that holds nothing; uploads that have begun are aborted.

        Raises:
            ObjectError: NoSuchBucket, BucketNotEmpty.
        """
        self._known(name)
        async with self._turns.of_bucket(name):
            async for key in walk(self._names(name), b"", b""):
                way_out = "Delete its objects first."
                raise ObjectError("BucketNotEmpty", "a bucket must be empty", value=key.decode(), way_out=way_out)
            for upload in await self.parts.uploads(name):
                await self.parts.abort(upload.id)
            await self._backing.discard(f"buckets/{name}")
            self._buckets.pop(name, None)

    async def put(
        self, bucket: str, key: str, body: Body, about: About = PLAIN, condition: Condition = ANYHOW
    ) -> Entry:
        """Keep an object, which appears whole or not at all.

        Raises:
            ObjectError: NoSuchBucket, PreconditionFailed, NoSuchKey (If-Match of what is not there), KeyTooLongError
            StoreError: it cannot be kept; nothing of it stays.
            Exception: what the body raised; nothing stays then, either.
        """
        self._known(bucket)
        check_key(key)
        check_about(about)
        await self._check(bucket, key, condition)  # so that a client need not send a gigabyte to be refused
        return await self._place(bucket, key, Sealing(pieces(body), key, about, self._now()), condition)

    async def head(self, bucket: str, key: str) -> Entry:
        """An object without its bytes.

        Raises:
            ObjectError: NoSuchBucket, NoSuchKey.
        """
        self._known(bucket)
        entry = await self._look(bucket, check_key(key))
        if entry is None:
            raise _missing(bucket, key)
        return entry

    async def get(self, bucket: str, key: str, span: Span | None = None) -> Found:
        """An object, open; all of it or a range.

        Raises:
            ObjectError: NoSuchBucket, NoSuchKey, InvalidRange.
        """
        self._known(bucket)
        path = self._path(bucket, check_key(key))
        while True:
            try:
                tail, length, version = await self._backing.tail(path)
            except FileNotFoundError as failure:
                raise _missing(bucket, key) from failure
            entry = opened(tail, length, f"{bucket}/{key}")
            bounds = span.within(entry.size) if span else (0, entry.size)
            if bounds is None:
                rule = f"a range must begin within the object's {entry.size} bytes"
                raise ObjectError("InvalidRange", rule, where=f"{bucket}/{key}", value=span)
            if length == len(tail):
                return Found(entry, *bounds, _cut(tail, *bounds))
            body = await self._backing.open(path, version, *bounds) if bounds[0] < bounds[1] else _cut(b"", 0, 0)
            if body is not None:
                return Found(entry, *bounds, body)  # else it was replaced just now: look again

    async def list(
        self, bucket: str, prefix: str = "", delimiter: str = "", *, after: str = "", token: str = "", limit: int = 1000
    ) -> Page:
        """The objects whose keys begin with `prefix`, after a key or from a token on; at most 1000 a page.

        Raises:
            ObjectError: NoSuchBucket, InvalidArgument.
        """
        self._known(bucket)
        if limit < 0:
            raise ObjectError("InvalidArgument", "a page's limit must be zero or more", where="limit", value=limit)
        if limit == 0:
            return Page(())
        start = least_of(token) if token else (after.encode() + b"\0" if after else b"")
        names, beginning = self._names(bucket), prefix.encode()

        def keys(least: bytes) -> AsyncIterator[bytes]:
            return walk(names, beginning, max(start, least))

        async def look(key: bytes) -> Entry | None:
            return await self._look(bucket, key)

        page, rest = await page_of(keys, look, beginning, delimiter.encode(), min(limit, _MOST))
        return msgspec.structs.replace(page, token=token_of(rest))

    async def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error.

        Raises:
            ObjectError: NoSuchBucket, KeyTooLongError.
        """
        self._known(bucket)
        for key in keys:
            path = self._path(bucket, check_key(key))
            async with self._turns.of_key(bucket, key):
                await self._backing.discard(path)

    async def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        about: About | None = None,
        condition: Condition = ANYHOW,
    ) -> Entry:
        """Put the object of one (bucket, key) at another one, with what is kept with it, or with `about` instead.

        Raises:
            ObjectError: NoSuchBucket, NoSuchKey, PreconditionFailed.
            StoreError: it cannot be kept.
        """
        found = await self.get(*source)
        return await self.put(*target, found.body, about or found.entry.about, condition)

    async def _place(self, bucket: str, key: str, sealing: Sealing, condition: Condition) -> Entry:
        """The sealed bytes as an object, if the condition holds when they are all there."""
        staged = await self._backing.stage(sealing)
        try:
            async with self._turns.of_key(bucket, key):
                self._known(bucket)
                await self._check(bucket, key, condition)
                await self._backing.publish(staged, self._path(bucket, key.encode()))
        except BaseException:
            await self._backing.abandon(staged)
            raise
        return sealing.entry

    async def _check(self, bucket: str, key: str, condition: Condition) -> None:
        if condition == ANYHOW:
            return
        entry = await self._look(bucket, key.encode())
        if entry is None and condition.etag:
            raise _missing(bucket, key)
        if entry is not None and (condition.absent or condition.etag not in ("", "*", entry.etag)):
            rule = "the object must be absent" if condition.absent else "the object must have that etag"
            way_out = "Read it again, and decide again."
            raise ObjectError("PreconditionFailed", rule, where=f"{bucket}/{key}", value=entry.etag, way_out=way_out)

    async def _look(self, bucket: str, key: bytes) -> Entry | None:
        path = self._path(bucket, key)
        try:
            tail, size, _ = await self._backing.tail(path)
        except FileNotFoundError:
            return None
        return opened(tail, size, path)

    def _known(self, bucket: str) -> None:
        if bucket not in self._buckets:
            raise ObjectError("NoSuchBucket", "the bucket must exist", value=bucket, way_out="Create it first.")

    def _path(self, bucket: str, key: bytes) -> str:
        return f"objects/{bucket}/{object_path(key)}"

    def _names(self, bucket: str) -> Names:
        async def names(folder: str) -> list[str]:
            return await self._backing.names(f"objects/{bucket}/{folder}".rstrip("/"))

        return names

    def _now(self) -> float:
        return self._clock.now().timestamp()


async def open_own(folder: Path | None, clock: Clock, ids: Callable[[], str]) -> OwnObjects:
    """The object store in a folder, made if missing; None for one in memory.

    Args:
        folder: of which this process becomes the owner.
        clock: tells when an object was put.
        ids: makes names of uploads, which nobody can guess.

    Raises:
        BusyError: another process has the folder.
        StoreError: the folder cannot be read, or holds what no store wrote.
    """
    made = OwnObjects(Backing(folder), clock, ids)
    try:
        await made.read_buckets()
    except BaseException:
        made.close()
        raise
    return made


async def _cut(content: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
    for first in range(start, stop, PIECE):
        yield content[first : min(first + PIECE, stop)]


def _missing(bucket: str, key: str) -> ObjectError:
    return ObjectError("NoSuchKey", "the object must exist", where=bucket, value=key, way_out="Put it first.")
