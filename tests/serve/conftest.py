"""What the tests of serving share: a store that fails and dawdles by a seeded plan, and a PostgreSQL server."""

import asyncio
import itertools
import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import StoreError
from modelwright.serve.objects import Found, Objects
from modelwright.serve.objects.objects import pieces

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class FaultyObjects:
    """An object store before another one, which fails in a share of all calls, before, amid or after their work.

    Args:
        inner: the store that works.
        seed: of the plan; the same one fails the same calls.
        failing: share of calls that raise StoreError.
        yields: how often a call gives way to others, at most, before it does anything: a slow store without waiting.
    """

    def __init__(self, inner: Objects, seed: int, failing: float = 0.2, yields: int = 0) -> None:
        self.inner = inner
        self.failures = 0
        self._drawn = random.Random(seed)
        self._failing = failing
        self._yields = yields

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        return self._with_faults(name, method) if asyncio.iscoroutinefunction(method) else method

    def _with_faults(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*words: Any, **named: Any) -> Any:
            for _ in range(self._drawn.randint(0, self._yields)):
                await asyncio.sleep(0)
            fault = self._drawn.choice(("before", "amid", "after")) if self._drawn.random() < self._failing else ""
            if fault == "before":
                raise self._failure(name)
            if fault == "amid" and name == "put":
                bucket, key, body, *rest = words
                return await method(bucket, key, self._torn(body), *rest, **named)
            result = await method(*words, **named)
            if fault == "amid" and isinstance(result, Found):
                return Found(result.entry, result.start, result.stop, self._torn(result.body))
            if fault:
                raise self._failure(name)
            return result

        return call

    async def _torn(self, body: Any) -> AsyncIterator[bytes]:
        async for piece in pieces(body):
            yield piece[: len(piece) // 2]
            break
        raise self._failure("stream")

    def _failure(self, name: str) -> StoreError:
        self.failures += 1
        return StoreError("the object store must answer", where=name, way_out="This one fails by a plan.")


@pytest.fixture
def faulty() -> type[FaultyObjects]:
    """The faulty store, to be put before another one."""
    return FaultyObjects


def as_postgres(*command: str | Path) -> None:
    """PostgreSQL refuses to run as root."""
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["runuser", "-u", "postgres", "--", *words]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a server, without a database's name."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed here (apt-get install postgresql)")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a disk takes seconds to copy a database
    binaries, folder = BINARIES[-1], Path(tempfile.mkdtemp(prefix="serve-pg-", dir=memory))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    try:
        as_postgres(binaries / "initdb", "-D", folder / "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N")
        as_postgres(binaries / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            as_postgres(binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_postgresql(postgresql: str, tmp_path: Path) -> Callable[[], str]:
    """Makes addresses of PostgreSQL databases that are empty."""
    number = itertools.count()
    port = postgresql.rpartition(":")[2]

    def create() -> str:
        name = f"t{next(number)}_{tmp_path.name}"[:60].lower()
        tool = [BINARIES[-1] / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "postgres", name]
        subprocess.run([str(word) for word in tool], check=True)
        return f"{postgresql}/{name}"

    return create
