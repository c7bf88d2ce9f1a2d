"""A server of a real service, and AWS's own clients that are pointed at it."""

import asyncio
import os
import secrets
import socket
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config

from modelwright.clock import SystemClock
from modelwright.serve.aws import Access, AwsApp
from modelwright.serve.service import Service, Site, deliverer, open_service


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


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    """A server without keys."""
    return serve(time_factor=60.0)
