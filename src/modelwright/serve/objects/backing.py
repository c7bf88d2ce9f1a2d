"""Files under paths, by obstore: in a folder that one process owns, or in memory."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import LocalStore, MemoryStore

from modelwright.errors import BusyError, StoreError
from modelwright.serve.objects.landing import Landing
from modelwright.serve.objects.sealed import PIECE, TAIL, Sealing

_STAGING = "staging"
_PART = 1024 * 1024
_PARTS_AT_ONCE = 4
_SMALL = 128 * 1024


@final
@dataclass(frozen=True)
class Staged:
    """What was taken in, and has no place yet.

    Attributes:
        path: where it lies, or will be written first.
        content: where it has not been written yet.
    """

    path: str
    content: bytes | None


@final
class Backing:
    """Where an object store keeps its files. What is written is staged first, so that it appears by one rename.

    Args:
        folder: made if missing; None keeps all in memory.

    Raises:
        BusyError: another process has the folder in use.
        OSError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder.absolute() if folder else None
        self._lock = _owned(self._folder) if self._folder else None
        self._count = 0
        if self._folder:
            shutil.rmtree(self._folder / _STAGING, ignore_errors=True)  # of a process that was killed
        self._landing = Landing(self._folder, _STAGING) if self._folder else None
        self._store: Any = LocalStore(self._folder) if self._folder else MemoryStore()

    def close(self) -> None:
        """Give the folder up."""
        if self._landing is not None:
            self._landing.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def stage(self, content: Sealing) -> Staged:
        """That content, aside; a power failure does not undo what is long. What is short is written when it is placed.

        Raises:
            StoreError: the content cannot be kept; nothing of it stays.
            Exception: what the content's own body raised; nothing stays then, either.
        """
        self._count += 1
        path = f"{_STAGING}/{self._count}"
        try:
            with told(path):
                short = await self._put(path, aiter(content))
                if self._landing and short is None:
                    await self._landing.flush(path)
        except BaseException as failure:
            await self.discard(path)
            if content.failure is not None and isinstance(failure, StoreError):
                raise content.failure from None
            raise
        return Staged(path, short)

    async def _put(self, path: str, pieces: AsyncIterator[bytes]) -> bytes | None:
        """Write what comes; what is short is returned instead, where it can be written at its place later."""
        begun = bytearray()
        async for piece in pieces:
            begun += piece
            if len(begun) > _SMALL:
                content = _after(bytes(begun), pieces)
                await obstore.put_async(
                    self._store, path, content, use_multipart=True, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE
                )
                return None
        if self._landing:
            return bytes(begun)
        await obstore.put_async(self._store, path, bytes(begun), use_multipart=False)
        return None

    async def write(self, content: Sealing, path: str) -> None:
        """A file with that content at its place, whatever was there.

        Raises:
            StoreError: it cannot be kept; what was there is as it was.
        """
        staged = await self.stage(content)
        try:
            await self.publish(staged, path)
        except BaseException:
            await self.abandon(staged)
            raise

    async def publish(self, staged: Staged, path: str) -> None:
        """Give what was staged its place, whatever was there; a power failure does not undo it.

        Raises:
            StoreError: it cannot be placed; what was there is as it was.
        """
        with told(path):
            if self._landing is None:
                await obstore.rename_async(self._store, staged.path, path, overwrite=True)
            elif staged.content is None:
                await self._landing.rename(staged.path, path)
            else:
                await self._landing.write(staged.content, staged.path, path)

    async def abandon(self, staged: Staged) -> None:
        """Remove what was staged and is not to be placed.

        Raises:
            StoreError: it cannot be removed.
        """
        if staged.content is None:
            await self.discard(staged.path)

    async def discard(self, path: str) -> bool:
        """Remove a file; False where there is none.

        Raises:
            StoreError: it cannot be removed.
        """
        with told(path):
            if self._landing:
                return await self._landing.remove(path)
            try:
                await obstore.delete_async(self._store, path)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    async def tail(self, path: str) -> tuple[bytes, int, str]:
        """The last bytes of a file, all its bytes' number, and the version that they belong to.

        Raises:
            FileNotFoundError: there is none.
            StoreError: it cannot be read.
        """
        with told(path):
            short = await self._landing.read(path, TAIL) if self._landing else None
            if short is not None:
                return short, len(short), ""
            found = await obstore.get_async(self._store, path, options={"range": {"suffix": TAIL}})
            return bytes(await found.bytes_async()), found.meta["size"], found.meta["e_tag"] or ""

    async def open(self, path: str, version: str, start: int, stop: int) -> AsyncIterator[bytes] | None:
        """Bytes of a file from `start` on, before `stop`; None where it is not of that version any more.

        Raises:
            StoreError: it cannot be read.
        """
        with told(path):
            try:
                wanted: Any = {"range": (start, stop), "if_match": version}
                found = await obstore.get_async(self._store, path, options=wanted)
            except (FileNotFoundError, PreconditionError):
                return None
        return _pieces(found, path)

    async def names(self, folder: str) -> list[str]:
        """Of all files and folders in a folder; none where there is no such folder.

        Raises:
            StoreError: it cannot be read.
        """
        with told(folder):
            found = await obstore.list_with_delimiter_async(self._store, folder)
        paths = [*(meta["path"] for meta in found["objects"]), *found["common_prefixes"]]
        return [path.rstrip("/").rpartition("/")[2] for path in paths]


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """What obstore and the system raise as a lesson; that something is missing stays for the caller to answer.

    Raises:
        StoreError: the store failed.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as failure:
        reason = str(failure).partition("\n")[0]
        rule, way_out = (
            f"the object store must take and give bytes ({reason})",
            "See to its disk or service; try again.",
        )
        raise StoreError(rule, where=where, way_out=way_out) from failure


async def _after(begun: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield begun
    async for piece in pieces:
        yield piece


async def _pieces(found: Any, path: str) -> AsyncIterator[bytes]:
    with told(path):
        async for piece in found.stream(min_chunk_size=PIECE):
            yield bytes(piece)


def _owned(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as failure:
        os.close(lock)
        way_out = "End the server that uses it, or name another folder."
        raise BusyError("one process at a time may own a folder of objects", where=str(folder), way_out=way_out) from (
            failure
        )
    return lock
