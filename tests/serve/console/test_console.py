"""The console and the client over a real server: what is told, changed and refused."""

import asyncio
import json
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelwright.clock import SystemClock
from modelwright.errors import RefusedError, StoreError, UnknownNameError
from modelwright.serve.aws import Access, AwsApp
from modelwright.serve.client import Client, Deployment, Scaled, deploy, invoke
from modelwright.serve.console import console
from modelwright.serve.front import listening, served
from modelwright.serve.service import Site, deliverer, open_service
from modelwright.serve.signing import Keys
from modelwright.serve.watching import Watch

SECRET, TOKEN = "the secret/of+all", "the token"
MODEL = """
def model_fn(folder):
    return None
def transform_fn(model, body, content_type, accept):
    if body == b"wrong":
        raise RuntimeError("out of order")
    return body[::-1]
"""


class Up:
    """A server in a thread, with its console."""

    def __init__(self, folder: Path, keys: dict[str, str]) -> None:
        self.folder, self.keys = folder, keys
        self.heard = listening("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.heard.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)

    def client(self, keys: Keys | None = None) -> Client:
        return Client(self.url, lambda: datetime.now(UTC), keys)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._told.set)
            self._thread.join(30)

    @property
    def over(self) -> bool:
        self._thread.join(30)
        return not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        site = Site(self.folder / "data", time_factor=60.0, environment={"PATH": "/usr/bin:/bin"}, grace_s=10.0)
        async with open_service(
            site, SystemClock(), lambda: secrets.token_hex(8), deliverer(self.url, site)
        ) as service:
            watch, access = Watch(service), Access(self.keys)
            others = console(service, watch, access, token=TOKEN if self.keys else "", drain=self._told.set)
            watching = asyncio.create_task(watch.run())
            async with served(AwsApp(service, access, others), self.heard):
                self._ready.set()
                await self._told.wait()
                await service.drain()
            watching.cancel()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    made = Up(tmp_path_factory.mktemp("up"), {})
    yield made
    made.close()


def model(folder: Path) -> Path:
    (folder / "model" / "code").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "code" / "inference.py").write_text(MODEL)
    return folder / "model"


def until(true: Any) -> Any:
    for _ in range(3000):
        if found := true():
            return found
        threading.Event().wait(0.02)
    raise AssertionError("waited too long")


def test_deployed_invoked_watched_and_changed(up: Up) -> None:
    client, said = up.client(), []
    assert client.status().endpoints == ()
    wanted = Deployment(model(up.folder), "mirror", scaled=Scaled(0, 3, 5.0, 120))
    deploy(client, wanted, said.append)
    until(lambda: client.status().endpoints[0].status == "InService")
    done = invoke(client, "mirror", b"abc", inference_id="first")
    told = until(lambda: (one := client.told("/-/api/requests/mirror/first"))["state"] == "completed" and one)
    assert told["invocation"]["output_location"] == done.output
    assert client.get(done.output) == b"cba"
    long = bytes(range(256)) * 1000
    more = invoke(client, "mirror", long)
    until(lambda: client.told(f"/-/api/requests/mirror/{more.inference_id}")["state"] == "completed")
    assert client.get(more.output) == long[::-1]
    bad = invoke(client, "mirror", b"wrong", inference_id="bad/one ?")
    assert bad.inference_id == "bad/one ?"
    until(lambda: client.told("/-/api/requests/mirror/bad%2Fone%20%3F")["state"] == "failed")
    [one] = client.status().endpoints
    assert (one.ended["completed"], one.ended["failed"]) == (2, 1)
    assert (one.variants[0].least, one.variants[0].most) == (0, 3)
    assert one.median_s is not None
    assert one.p95_s is not None
    assert 0 < one.median_s <= one.p95_s < 60
    listed = client.told("/-/api/requests?state=failed")["requests"]
    assert [each["invocation"]["inference_id"] for each in listed] == ["bad/one ?"]
    points = until(lambda: client.told("/-/api/history/mirror"))
    assert sum(point[7] for point in points) <= 3
    text = client.ask("GET", "/-/metrics").decode()
    assert 'modelwright_invocations_processed_total{endpoint="mirror",variant="main"} 3' in text
    assert 'modelwright_model_seconds_bucket{endpoint="mirror",variant="main",le="+Inf"} 3' in text
    deploy(client, wanted, said.append)  # the same again is no new model
    until(lambda: client.status().endpoints[0].status == "InService")
    assert len(client.operate("sagemaker", "ListModels", {})["Models"]) == 1
    with pytest.raises(UnknownNameError):
        invoke(client, "none", b"x")
    for path in ("/-/api/requests/mirror/none", "/-/api/history/none", "/-/none"):
        with pytest.raises((RefusedError, StoreError)):
            client.told(path)
    with pytest.raises(RefusedError, match="state must be one of"):
        client.told("/-/api/requests?state=nonsense")


def test_with_keys_only_signatures_and_the_token_are_admitted_and_drain_ends_it(tmp_path: Path) -> None:
    up = Up(tmp_path, {"AKID": SECRET})
    try:
        client = up.client(Keys("AKID", SECRET))
        assert client.status().region == "us-east-1"
        assert client.operate("sagemaker", "ListModels", {})["Models"] == []
        assert up.client().ask("GET", "/-/ping") == b"Healthy\n"
        assert up.client().ask("GET", "/-/sns/certificate.pem").startswith(b"-----BEGIN CERTIFICATE")
        for other in (up.client(), up.client(Keys("AKID", "wrong")), up.client(Keys("other", SECRET))):
            with pytest.raises(RefusedError) as told:
                other.status()
            assert told.value.status in (401, 403)
            assert SECRET not in str(told.value)
        asked = urllib.request.Request(f"{up.url}/-/api/status", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(asked) as answer:
            assert json.load(answer)["draining"] is False
        wrong = urllib.request.Request(f"{up.url}/-/api/drain", b"", {"Authorization": "Bearer wrong"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong)
        assert refused.value.code == 401
        assert client.told("/-/api/drain", "POST") == {"draining": True}
        assert up.over
        with pytest.raises(StoreError, match="must answer"):
            client.status()
    finally:
        up.close()
