"""An instance on another machine, as what hosts it there: the model's files come in pieces, calls as lines of bytes."""

import asyncio
import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, final

from modelwright.errors import InstanceError
from modelwright.serve.instances.archive import unpack
from modelwright.serve.instances.instance import HOST, Instance, Launch
from modelwright.serve.instances.starting import start_instance

PIECE = 1024 * 1024
"""Bytes that are handed over at once at most."""

_FOREVER_S = 30 * 86_400.0
_PREFIX = "modelwright-guest-"


@final
class Guest:
    """Hosts one instance; all its methods are for one event loop.

    Args:
        environment: gives the variables of this machine, to which the model's own are added.
    """

    def __init__(self, environment: Callable[[], Mapping[str, str]]) -> None:
        self._environment = dict(environment())
        self._home, self._lock = _settle(Path(tempfile.gettempdir()))
        self._instance: Instance | None = None
        self._lines: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def take(self, piece: bytes) -> None:
        """Keep the next piece of the model's archive, a tar file."""
        with (self._home / "model.tar").open("ab") as file:
            file.write(piece)

    async def start(self, words: Sequence[str], variables: Mapping[str, str]) -> str:
        """Unpack the model and start its instance.

        Args:
            words: for the runner, besides those that say where the model is and where to listen.
            variables: that the model finds in its environment besides.

        Returns:
            Why there is none; "" if it is ready. How long that may take is the caller's to limit.
        """
        archive, folder = self._home / "model.tar", self._home / "model"
        await asyncio.to_thread(unpack, archive, folder)
        archive.unlink()
        launch = Launch(
            folder, self._home / "record", options=tuple(words), environment=self._environment | dict(variables)
        )
        try:
            self._instance = await start_instance(launch, patience_s=_FOREVER_S)
        except InstanceError as failure:
            self.remove()
            return str(failure)
        return ""

    async def ended(self) -> str:
        """Wait for the end of the instance's process: how it ended, and what it wrote last."""
        instance = self._running()
        ending = await instance.ended()
        said = instance.last_lines()
        self.remove()
        return f"{ending}; it wrote last: {said}" if said else str(ending)

    async def stop(self, grace_s: float) -> None:
        """Tell the process to end, and kill it where it has not after the grace."""
        await self._running().stop(grace_s)

    async def connect(self, line: int) -> None:
        """Open a line to the instance, under a number that the caller chose.

        Raises:
            OSError: the instance takes none.
        """
        self._lines[line] = await asyncio.open_connection(HOST, self._running().port)

    async def send(self, line: int, piece: bytes) -> None:
        """Send bytes to the instance; b"" says that no more come.

        Raises:
            OSError: the line is broken.
        """
        writer = self._lines[line][1]
        if piece:
            writer.write(piece)
            await writer.drain()
        else:
            writer.write_eof()

    async def receive(self, line: int) -> bytes:
        """The next bytes from the instance; b"" when no more come.

        Raises:
            OSError: the line is broken.
        """
        return await self._lines[line][0].read(PIECE)

    async def close(self, line: int) -> None:
        """Close a line, whatever has become of it."""
        found = self._lines.pop(line, None)
        if found is not None:
            found[1].close()

    def remove(self) -> None:
        """Remove the model's files."""
        shutil.rmtree(self._home, ignore_errors=True)
        self._lock.close()

    def _running(self) -> Instance:
        if self._instance is None:
            raise InstanceError("unready", "an instance must be started before it is used")
        return self._instance


def _settle(place: Path) -> tuple[Path, IO[bytes]]:
    """A folder of one's own, and the file by whose lock others see that its guest lives; those of dead ones go."""
    for old in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (old / "lock").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=".modelwright-", dir=place))
    lock = (part / "lock").open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return part.rename(place / f"{_PREFIX}{part.name.rpartition('-')[2]}"), lock  # it is seen with its lock
