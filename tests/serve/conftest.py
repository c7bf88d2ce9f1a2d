"""What tests of serving share: a store that fails by a seeded plan, a PostgreSQL server, and servers of a service."""

import asyncio
import itertools
import os
import random
import secrets
import shutil
import socket
import subprocess
import tempfile
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from modelwright.clock import SystemClock
from modelwright.errors import StoreError
from modelwright.serve.aws import Access, AwsApp
from modelwright.serve.objects import Found, Objects
from modelwright.serve.objects.objects import pieces
from modelwright.serve.service import Service, Site, deliverer, open_service

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


class Server:
    """A service behind its face, in a thread of its own."""

    def __init__(self, folder: Path, keys: dict[str, str], **settings: Any) -> None:
        self.folder, self.keys = folder, keys
        self.heard = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.heard.getsockname()[1]}"
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.site = Site(folder / "data", **({"environment": environment, "grace_s": 10.0} | settings))
        self.service: Service | None = None
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()
        if self._failed:
            raise self._failed

    def client(self, name: str, id: str = "AKLOCAL", secret: str = "local", **config: Any) -> Any:
        import boto3
        from botocore.config import Config

        secret = self.keys.get(id, secret)
        settings = Config(retries={"total_max_attempts": 1}, **config)
        return boto3.client(
            name,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=id,
            aws_secret_access_key=secret,
            config=settings,
        )

    def model(self, name: str, source: str) -> str:
        """A folder of a model, as its location."""
        folder = self.folder / "models" / name
        (folder / "code").mkdir(parents=True, exist_ok=True)
        (folder / "code" / "inference.py").write_text(textwrap.dedent(source))
        return str(folder)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001  # it is raised in the thread that waits
            self._failed = failure
            self._ready.set()

    async def _serve(self) -> None:
        deliver = deliverer(self.url, self.site)
        async with open_service(self.site, SystemClock(), lambda: secrets.token_hex(8), deliver) as service:
            self.service = service
            app = AwsApp(service, Access(self.keys))
            config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", http="h11")
            self._server = uvicorn.Server(config)
            self._ready.set()
            await self._server.serve(sockets=[self.heard])


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers; all end with the module."""
    made: list[Server] = []

    def starts(keys: dict[str, str] | None = None, **settings: Any) -> Server:
        made.append(Server(tmp_path_factory.mktemp("served"), keys or {}, **settings))
        return made[-1]

    yield starts
    for one in made:
        one.close()
