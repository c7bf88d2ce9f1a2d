"""Short files on their way to a disk and back: each in one turn of a thread, many threads at once.

A file system with a journal commits together what many threads flush at the same time, so that thirty files are on the
disk hardly later than one. For the same reason a folder into which many files are renamed at once is flushed once for
all of them.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, final

T = TypeVar("T")

_THREADS = 32


@final
@dataclass
class _Flushes:
    """Of one folder: how many have begun, the last that has ended, and who is at it or waits."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    begun: int = 0
    ended: int = 0
    users: int = 0


@final
class Landing:
    """Writes, renames, reads and removes files below a folder. What is written or renamed survives a power failure.

    Args:
        root: the folder.
        kept: name of a folder in it that stays when it is empty.
    """

    def __init__(self, root: Path, kept: str) -> None:
        self._root = root
        self._stay = (root, root / kept)
        self._threads = ThreadPoolExecutor(_THREADS, "objects")
        self._guard = threading.Lock()
        self._flushes: dict[Path, _Flushes] = {}
        self._settled = {root}  # folders whose own names are on the disk
        (root / kept).mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def write(self, content: bytes, spare: str, path: str) -> None:
        """A file at its place, written under another path first.

        Raises:
            OSError: it cannot be kept; what was there is as it was.
        """
        await self._run(lambda: self._written(content, self._root / spare, self._root / path))

    async def rename(self, spare: str, path: str) -> None:
        """Give a file that has been written its place.

        Raises:
            OSError: it cannot be placed.
        """
        await self._run(lambda: self._renamed(self._root / spare, self._root / path))

    async def flush(self, path: str) -> None:
        """Bring a file's content onto the disk.

        Raises:
            OSError: that failed.
        """
        await self._run(lambda: _flush(self._root / path))

    async def read(self, path: str, most: int) -> bytes | None:
        """A file's content; None where it is longer than that many bytes.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be read.
        """
        return await self._run(lambda: _read(self._root / path, most))

    async def remove(self, path: str) -> bool:
        """Remove a file, and the folders that have become empty by it; whether there was one.

        Raises:
            OSError: it cannot be removed.
        """
        return await self._run(lambda: self._removed(self._root / path))

    async def _run(self, act: Callable[[], T]) -> T:
        """Have it done in a thread. Who is cancelled waits for its end, too, so that nothing happens behind a lock."""
        doing = asyncio.wrap_future(self._threads.submit(act))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            raise

    def _written(self, content: bytes, spare: Path, path: Path) -> None:
        try:
            with spare.open("xb", buffering=0) as file:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            self._renamed(spare, path)
        except BaseException:
            spare.unlink(missing_ok=True)
            raise

    def _renamed(self, spare: Path, path: Path) -> None:
        while True:
            try:
                spare.replace(path)
                break
            except FileNotFoundError:
                if not spare.exists():
                    raise
                with contextlib.suppress(FileNotFoundError):  # somebody removes an empty folder at this moment
                    _make(path.parent)
        self._settle(path.parent)

    def _settle(self, folder: Path) -> None:
        """Bring the names in a folder onto the disk, and its own name where that is not known to be there."""
        self._flush_once(folder)
        chain: list[Path] = []
        for above in folder.parents:
            if folder in self._settled:
                break
            self._flush_once(above)
            chain.append(folder)
            folder = above
        self._settled.update(chain)  # only now: others take a folder in it for one whose whole path is on the disk

    def _flush_once(self, folder: Path) -> None:
        """Flush a folder, or wait for another thread to do it that begins from now on."""
        with self._guard:
            flushes = self._flushes.setdefault(folder, _Flushes())
            flushes.users += 1
            wanted = flushes.begun + 1
        try:
            with flushes.turn:
                if flushes.ended >= wanted:
                    return
                with self._guard:
                    flushes.begun += 1
                _flush(folder)
                flushes.ended = flushes.begun
        finally:
            with self._guard:
                flushes.users -= 1
                if not flushes.users:
                    del self._flushes[folder]

    def _removed(self, path: Path) -> bool:
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        for folder in path.parents:
            if folder in self._stay:
                break
            self._settled.discard(folder)  # first: whoever makes it anew flushes its name anew
            try:
                folder.rmdir()
            except OSError:  # something is in it
                break
        return True


def _make(folder: Path) -> None:
    """A folder with those above it; a key may have a thousand of them, too many for functions that call themselves."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        path.mkdir(exist_ok=True)


def _flush(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # what was deleted meanwhile needs no more to be kept
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb", buffering=0) as file:
            content = file.read(most + 1)
    except NotADirectoryError as failure:
        raise FileNotFoundError(path) from failure
    return content if len(content) <= most else None
