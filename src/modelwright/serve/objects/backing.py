"""Files under paths, by obstore: in a folder that one process owns, or in memory."""

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, final

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import LocalStore, MemoryStore

from modelwright.errors import BusyError, StoreError
from modelwright.serve.objects.sealed import PIECE, TAIL, Sealing

_STAGING = "staging"
_PART = 1024 * 1024
_PARTS_AT_ONCE = 4
_SMALL = 128 * 1024


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
        self._store: Any = LocalStore(self._folder, automatic_cleanup=True) if self._folder else MemoryStore()

    def close(self) -> None:
        """Give the folder up."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def stage(self, content: Sealing) -> str:
        """A file of its own with that content, which a power failure does not undo; its path.

        Raises:
            StoreError: the content cannot be kept; nothing of it stays.
            Exception: what the content's own body raised; nothing stays then, either.
        """
        self._count += 1
        path = f"{_STAGING}/{self._count}"
        try:
            with told(path):
                await self._put(path, aiter(content))
                await self._sync(path, content=True)
        except BaseException as failure:
            await self.discard(path)
            if content.failure is not None and isinstance(failure, StoreError):
                raise content.failure from None
            raise
        return path

    async def _put(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        begun = bytearray()
        async for piece in pieces:
            begun += piece
            if len(begun) > _SMALL:
                content = _after(bytes(begun), pieces)
                await obstore.put_async(
                    self._store, path, content, use_multipart=True, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE
                )
                return
        await obstore.put_async(self._store, path, bytes(begun), use_multipart=False)

    async def write(self, content: Sealing, path: str) -> None:
        """A file with that content at its place, whatever was there.

        Raises:
            StoreError: it cannot be kept; what was there is as it was.
        """
        staged = await self.stage(content)
        try:
            await self.publish(staged, path)
        except BaseException:
            await self.discard(staged)
            raise

    async def publish(self, staged: str, path: str) -> None:
        """Give a staged file its place, whatever was there; a power failure undoes neither.

        Raises:
            StoreError: it cannot be placed; what was there is as it was.
        """
        with told(path):
            await obstore.rename_async(self._store, staged, path, overwrite=True)
            await self._sync(path, content=False)

    async def discard(self, path: str) -> bool:
        """Remove a file; False where there is none.

        Raises:
            StoreError: it cannot be removed.
        """
        with told(path):
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

    async def _sync(self, path: str, *, content: bool) -> None:
        if self._folder:
            await asyncio.to_thread(_settle, self._folder, self._folder / path, content)


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


def _settle(root: Path, path: Path, content: bool) -> None:
    """Bring a file's content, or its name in the folders above it, onto the disk (fsync(2))."""
    places = [path] if content else [place for place in path.parents if place == root or root in place.parents]
    for place in places:
        with contextlib.suppress(FileNotFoundError):  # what was deleted meanwhile needs no more to be kept
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
