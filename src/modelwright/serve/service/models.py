"""Models' files on this machine: fetched and unpacked once for each content, whole or not at all."""

import asyncio
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import final

from modelwright.errors import ObjectError, RecordError, SettingError
from modelwright.records import ModelRecord
from modelwright.serve.instances import unpack
from modelwright.serve.objects import Objects, place_of

_PIECE = 1024 * 1024
_EMPTY, _GONE = "empty", ".gone"


@final
class Models:
    """Folders of unpacked models, named by what they were unpacked from.

    Args:
        folder: that they are kept in.
        objects: where archives are.
        allow_files: models may be folders and archives of this machine, too.
    """

    def __init__(self, folder: Path, objects: Objects, *, allow_files: bool = True) -> None:
        self._folder = folder
        self._objects = objects
        self._allow_files = allow_files
        self._locks: dict[str, asyncio.Lock] = {}
        self._count = 0

    async def folder(self, model: ModelRecord) -> Path:
        """The folder of a model's files, which are fetched if they are not there.

        Raises:
            ObjectError: there is no such archive in the object store.
            RecordError: there is no such file or folder here, or it is no archive.
            OSError: there is no room for it.
        """
        if not model.location:
            return await asyncio.to_thread(self._empty)
        if model.location.startswith("s3://"):
            return await self._from_store(model.location)
        path = Path(model.location.removeprefix("file://"))
        if not self._allow_files:
            raise SettingError("a model must lie in the object store", where=model.name, value=model.location)
        if path.is_dir():
            return path
        if not path.is_file():
            rule = "a model must be a folder, an archive, or the address of one in the object store"
            raise RecordError(rule, where=model.name, value=model.location)
        name = await asyncio.to_thread(_digest, path)
        async with self._locks.setdefault(name, asyncio.Lock()):
            return await asyncio.to_thread(self._unpacked, path, name)

    async def keep_only(self, wanted: set[Path]) -> None:
        """Remove the folders that nobody needs, and what was left half-way; not while something is being fetched."""
        if any(lock.locked() for lock in self._locks.values()) or not self._folder.is_dir():
            return
        unneeded = [path for path in self._folder.iterdir() if path not in wanted and path.name != _EMPTY]
        gone = [path if path.suffix == _GONE else path.rename(self._aside(path)) for path in unneeded]
        for path in gone:
            await asyncio.to_thread(_remove, path)

    def _aside(self, path: Path) -> Path:
        """A name by which nobody looks for it."""
        self._count += 1
        return path.with_name(f"{path.name}-{self._count}{_GONE}")

    async def _from_store(self, location: str) -> Path:
        bucket, key = place_of(location)
        entry = await self._objects.head(bucket, key)
        name = hashlib.sha256(f"{location}\n{entry.etag}\n{entry.size}".encode()).hexdigest()
        async with self._locks.setdefault(name, asyncio.Lock()):
            target = self._folder / name
            if target.is_dir():
                return target
            found = await self._objects.get(bucket, key)
            if found.entry.etag != entry.etag:
                raise ObjectError("PreconditionFailed", "an archive must stay while it is fetched", where=location)
            self._folder.mkdir(parents=True, exist_ok=True)
            archive = self._folder / f"{name}.part"
            try:
                with archive.open("wb") as file:
                    async for piece in found.body:
                        await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(unpack, archive, target)
            finally:
                archive.unlink(missing_ok=True)
            return target

    def _unpacked(self, archive: Path, name: str) -> Path:
        target = self._folder / name
        if not target.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            unpack(archive, target)
        return target

    def _empty(self) -> Path:
        """A folder without files, of a model whose handler needs none."""
        target = self._folder / _EMPTY
        target.mkdir(parents=True, exist_ok=True)
        return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _digest(path: Path, new: Callable[[], "hashlib._Hash"] = hashlib.sha256) -> str:
    found = new()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()
