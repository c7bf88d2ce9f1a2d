"""Uploads in parts: begun, filled in any order by many at once, then put together or given up."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from hashlib import md5
from typing import final

import msgspec

from modelwright.clock import Clock
from modelwright.errors import ObjectError
from modelwright.serve.objects.backing import Backing
from modelwright.serve.objects.entry import PLAIN, About, Condition, Entry, Part, Upload
from modelwright.serve.objects.keys import check_key
from modelwright.serve.objects.objects import ANYHOW, Body, pieces
from modelwright.serve.objects.sealed import Sealing, check_about, opened

LEAST_PART = 5 * 1024 * 1024
"""Bytes of each part but the last one, as in S3."""

MOST_PARTS = 10_000
"""Of one upload, as in S3."""

Place = Callable[[str, str, Sealing, Condition], Awaitable[Entry]]
"""Makes sealed bytes the object of a bucket and key."""


@final
class Parts:
    """The uploads of an object store.

    Args:
        backing: where the files are.
        clock: tells when.
        ids: makes names of uploads.
        known: refuses a bucket that does not exist.
        place: makes the object in the end.
    """

    def __init__(
        self, backing: Backing, clock: Clock, ids: Callable[[], str], known: Callable[[str], None], place: Place
    ) -> None:
        self._backing = backing
        self._clock = clock
        self._ids = ids
        self._known = known
        self._place = place

    async def create(self, bucket: str, key: str, about: About = PLAIN) -> Upload:
        """Begin an upload.

        Raises:
            ObjectError: NoSuchBucket, KeyTooLongError, MetadataTooLarge.
        """
        self._known(bucket)
        check_key(key)
        check_about(about)
        upload = Upload(self._ids(), bucket, key, self._now(), about)
        await self._write(f"uploads/{upload.id}/upload", msgspec.json.encode(upload))
        return upload

    async def upload(self, id: str) -> Upload:
        """An upload that has begun.

        Raises:
            ObjectError: NoSuchUpload.
        """
        path = f"uploads/{id}/upload"
        try:
            if not re.fullmatch(r"[\w-]{1,128}", id, re.ASCII):
                raise FileNotFoundError(path)
            tail, size, _ = await self._backing.tail(path)
        except FileNotFoundError as failure:
            rule = "the upload must have begun, and be neither complete nor aborted"
            raise ObjectError("NoSuchUpload", rule, value=id) from failure
        return msgspec.json.decode(tail[: opened(tail, size, path).size], type=Upload)

    async def put(self, id: str, number: int, body: Body) -> Part:
        """Keep a part, in place of an earlier one of its number.

        Raises:
            ObjectError: NoSuchUpload, InvalidArgument.
            StoreError: it cannot be kept.
        """
        if not 1 <= number <= MOST_PARTS:
            rule = f"a part's number must be 1 to {MOST_PARTS}"
            raise ObjectError("InvalidArgument", rule, where="part", value=number)
        await self.upload(id)
        entry = await self._write(_path(id, number), body)
        return Part(number, entry.etag, entry.size, entry.modified)

    async def parts(self, id: str) -> tuple[Part, ...]:
        """The parts that are there, by number.

        Raises:
            ObjectError: NoSuchUpload.
        """
        await self.upload(id)
        found = []
        for name in sorted(await self._backing.names(f"uploads/{id}/parts")):
            path = f"uploads/{id}/parts/{name}"
            tail, size, _ = await self._backing.tail(path)
            entry = opened(tail, size, path)
            found.append(Part(int(name), entry.etag, entry.size, entry.modified))
        return tuple(found)

    async def uploads(self, bucket: str, prefix: str = "") -> tuple[Upload, ...]:
        """Those of a bucket that have begun, by key, then by when.

        Raises:
            ObjectError: NoSuchBucket.
        """
        self._known(bucket)
        found = []
        for id in await self._backing.names("uploads"):
            try:
                found.append(await self.upload(id))
            except ObjectError:  # it was completed just now
                continue
        mine = (one for one in found if one.bucket == bucket and one.key.startswith(prefix))
        return tuple(sorted(mine, key=lambda one: (one.key.encode(), one.started, one.id)))

    async def complete(self, id: str, chosen: Sequence[tuple[int, str]], condition: Condition = ANYHOW) -> Entry:
        """Make the object of the parts that are named by number and etag, in rising order; the upload is over then.

        Raises:
            ObjectError: NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, PreconditionFailed, NoSuchBucket.
            StoreError: it cannot be kept; the upload goes on.
        """
        upload = await self.upload(id)
        parts = _chosen(chosen, {part.number: part for part in await self.parts(id)})
        digests = b"".join(bytes.fromhex(part.etag) for part in parts)
        etag = f"{md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        sealing = Sealing(self._joined(id, parts), upload.key, upload.about, self._now(), etag)
        entry = await self._place(upload.bucket, upload.key, sealing, condition)
        await self.abort(id)
        return entry

    async def abort(self, id: str) -> None:
        """Give an upload up, with all its parts.

        Raises:
            ObjectError: NoSuchUpload.
        """
        await self.upload(id)
        for name in await self._backing.names(f"uploads/{id}/parts"):
            await self._backing.discard(f"uploads/{id}/parts/{name}")
        await self._backing.discard(f"uploads/{id}/upload")

    async def _joined(self, id: str, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        for part in parts:
            path = _path(id, part.number)
            tail, size, version = await self._backing.tail(path)
            same = opened(tail, size, path).etag == part.etag
            if same and size == len(tail):
                yield tail[: part.size]
                continue
            body = await self._backing.open(path, version, 0, part.size) if same and part.size else None
            if body is None and part.size:
                raise ObjectError("InvalidPart", "a part must stay as it is while they are joined", value=part.number)
            if body is not None:
                async for piece in body:
                    yield piece

    async def _write(self, path: str, body: Body) -> Entry:
        sealing = Sealing(pieces(body), "", About(), self._now())
        await self._backing.write(sealing, path)
        return sealing.entry

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _path(id: str, number: int) -> str:
    return f"uploads/{id}/parts/{number:05d}"


def _chosen(chosen: Sequence[tuple[int, str]], there: dict[int, Part]) -> list[Part]:
    numbers = [number for number, _ in chosen]
    if not numbers or numbers != sorted(set(numbers)):
        code = "InvalidPartOrder" if numbers else "MalformedXML"
        raise ObjectError(code, "parts must be named in rising order, one or more", value=numbers[:10])
    for number, etag in chosen:
        if number not in there or there[number].etag != etag.strip('"'):
            rule = "a part must be there, with the etag that was told"
            raise ObjectError("InvalidPart", rule, where=f"part {number}", value=etag)
    parts = [there[number] for number in numbers]
    for part in parts[:-1]:
        if part.size < LEAST_PART:
            rule = f"each part but the last one must have {LEAST_PART} bytes or more"
            raise ObjectError("EntityTooSmall", rule, where=f"part {part.number}", value=part.size)
    return parts
