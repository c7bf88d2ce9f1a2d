"""Databases for the tests: a SQLite file, and a PostgreSQL server of their own where PostgreSQL is installed."""

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelwright.clock import ManualClock
from modelwright.records import ConfigurationRecord, EndpointSettings, ModelRecord, VariantRecord
from modelwright.serve.state import State, create_configuration, create_endpoint, create_model, set_status

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

Address = str | Path


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


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Address]:
    """Makes addresses of databases that are empty, of each kind."""
    if request.param == "postgresql":
        return request.getfixturevalue("new_postgresql")
    number = itertools.count()
    return lambda: tmp_path / f"{next(number)}.db"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def furnish() -> Callable[..., None]:
    """Puts an endpoint in service into a state."""

    def endpoint(state: State, name: str = "summarizer", settings: EndpointSettings | None = None) -> None:
        state.submit(create_model, ModelRecord(f"{name}-model")).result()
        made = ConfigurationRecord(f"{name}-made", (VariantRecord("main", f"{name}-model"),), settings)
        made = made if settings else ConfigurationRecord(made.name, made.variants, EndpointSettings("s3://bucket/out"))
        state.submit(create_configuration, made).result()
        state.submit(create_endpoint, name, made.name).result()
        state.submit(set_status, name, "InService").result()

    return endpoint


@pytest.fixture
def state(new_database: Callable[[], Address], clock: ManualClock, furnish: Callable[..., None]) -> Iterator[State]:
    """A state on each kind of database, with the endpoint "summarizer" in service."""
    opened = State.open(new_database(), clock)
    furnish(opened)
    yield opened
    opened.close()
