"""Models that behave and misbehave, behind a service of real processes."""

import asyncio
import os
import secrets
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelwright.clock import Clock, SystemClock
from modelwright.records import (
    ConfigurationRecord,
    EndpointSettings,
    Invocation,
    ModelRecord,
    RequestRecord,
    Retry,
    VariantRecord,
)
from modelwright.serve.service import Service, Site, open_service
from modelwright.serve.state import create_configuration, create_endpoint, create_model, request

PATIENCE_S = 60.0

ECHO = """
    def model_fn(folder):
        return None
    def transform_fn(model, body, content_type, accept):
        return body
"""


async def until(true: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Wait until something holds; whatever it is then."""
    async with asyncio.timeout(patience_s):
        while not (found := true()):
            await asyncio.sleep(0.005)
        return found


class Bench:
    """A service, and what tests do with it."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.folder = folder
        self.count = 0

    def model(self, name: str, source: str) -> Path:
        folder = self.folder / "models" / name
        (folder / "code").mkdir(parents=True, exist_ok=True)
        (folder / "code" / "inference.py").write_text(textwrap.dedent(source))
        return folder

    async def endpoint(
        self, name: str = "one", source: str = ECHO, instances: int = 1, real_time: bool = False, **settings: Any
    ) -> Path:
        """Make an endpoint; the folder of its model."""
        folder = self.model(name, source)
        bucket = self.service.site.buckets[0]
        made = EndpointSettings(f"s3://{bucket}/out/", **({"retry": Retry(first_s=0.01)} | settings))
        variant = VariantRecord("main", name, instances)
        do = self.service.ledger.do
        await do(create_model, ModelRecord(name, str(folder)))
        await do(create_configuration, ConfigurationRecord(name, (variant,), None if real_time else made))
        await do(create_endpoint, name, name)
        self.service.poke(name)
        return folder

    async def serving(self, name: str = "one", *more: Any, **settings: Any) -> Path:
        """Make an endpoint, and wait until it is in service."""
        folder = await self.endpoint(name, *more, **settings)
        await until(lambda: self.status(name) == "InService")
        return folder

    def status(self, name: str) -> str:
        stand = self.service.endpoints.stands.get(name)
        return stand.record.status if stand else ""

    async def ask(self, body: bytes = b"x", endpoint: str = "one", **fields: Any) -> RequestRecord:
        self.count += 1
        name = fields.pop("inference_id", f"r{self.count}")
        bucket = self.service.site.buckets[0]
        fields = {
            "output_location": f"s3://{bucket}/out/{name}",
            "failure_location": f"s3://{bucket}/bad/{name}",
        } | fields
        return await self.service.accept(Invocation(endpoint, name, **{"input_location": "", **fields}), body)

    async def without_body(self, location: str) -> RequestRecord:
        """Ask with an input that lies somewhere already."""
        self.count += 1
        bucket, name = self.service.site.buckets[0], f"r{self.count}"
        out = {"output_location": f"s3://{bucket}/out/{name}", "failure_location": f"s3://{bucket}/bad/{name}"}
        return await self.service.accept(Invocation("one", name, location, **out))

    def now(self, record: RequestRecord) -> RequestRecord:
        found = self.service.state.read(request, record.number)
        assert found is not None
        return found

    async def end(self, record: RequestRecord) -> RequestRecord:
        """The request when it has come to its end."""
        return await until(lambda: (found := self.now(record)).finished and found)

    async def output(self, record: RequestRecord, *, bad: bool = False) -> bytes:
        location = record.invocation.failure_location if bad else record.invocation.output_location
        bucket, _, key = location.removeprefix("s3://").partition("/")
        return await (await self.service.objects.get(bucket, key)).read()


@pytest.fixture(name="until")
def waits() -> Callable[..., Any]:
    """Waits until something holds."""
    return until


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Any]:
    """Opens a service in the test's folder: `async with bench() as it`."""

    @asynccontextmanager
    async def opens(clock: Clock | None = None, deliver: Any = None, **settings: Any) -> AsyncIterator[Bench]:
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        usual = {"data": tmp_path / "data", "environment": environment, "patience_s": 60.0, "grace_s": 10.0}
        site = Site(**(usual | settings))
        async with open_service(site, clock or SystemClock(), lambda: secrets.token_hex(6), deliver) as service:
            yield Bench(service, tmp_path)

    return opens


@pytest.fixture
def run() -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine to its end."""
    return lambda work: asyncio.run(asyncio.wait_for(work, 240))
