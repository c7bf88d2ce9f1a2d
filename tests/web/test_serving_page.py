"""The live page of a service in a real browser: what is seen, found, cancelled and drawn; and whom it asks."""

import asyncio
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from modelwright.clock import SystemClock
from modelwright.serve.aws import Access, AwsApp
from modelwright.serve.client import Client, Deployment, deploy, invoke
from modelwright.serve.console import console
from modelwright.serve.front import listening, served
from modelwright.serve.service import Site, open_service
from modelwright.serve.watching import Watch
from modelwright.web.serving import serving_pages
from modelwright.web.serving.pages import STATIC

EVIL = '<img src=x onerror="evil=1">'
TOKEN = "shown/once+more"
MODEL = """
import pathlib, time
def model_fn(folder):
    return None
def transform_fn(model, body, content_type, accept):
    while body == b"hold" and not pathlib.Path({go!r}).exists():
        time.sleep(0.01)
    return body
"""


class Up:
    """A server in a thread, with the page."""

    def __init__(self, folder: Path, keys: dict[str, str]) -> None:
        self.folder, self.keys = folder, keys
        self.heard = listening("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.heard.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._told.set)
        self._thread.join(60)

    async def _serve(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        site = Site(self.folder / "data", environment={"PATH": "/usr/bin:/bin"}, grace_s=5.0)
        async with open_service(site, SystemClock(), lambda: secrets.token_hex(8)) as service:
            watch, access = Watch(service), Access(self.keys)
            token = TOKEN if self.keys else ""
            others = console(service, watch, access, token=token, pages=serving_pages())
            watching = asyncio.create_task(watch.run())
            async with served(AwsApp(service, access, others), self.heard):
                self._ready.set()
                await self._told.wait()
            watching.cancel()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    made = Up(tmp_path_factory.mktemp("up"), {})
    yield made
    (made.folder / "go").touch()
    made.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    tab = browser.tab()
    yield tab
    tab.close()


def until(page: Any, script: str) -> None:
    """Wait until a script comes to something."""
    for _ in range(600):
        if page.run(f"Boolean({script})"):
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{script} never came true; the page says {page.text()!r}")


def test_it_shows_draws_finds_and_cancels(up: Up, page: Any, tmp_path: Path) -> None:
    client = Client(up.url, lambda: datetime.now(UTC))
    page.look(1100, 900)
    page.go(f"{up.url}/-/")
    until(page, "document.body.innerText.includes('No endpoints yet')")
    folder = up.folder / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "inference.py").write_text(MODEL.format(go=str(up.folder / "go")))
    deploy(client, Deployment(folder, "echo"), lambda _: None)
    until(page, "document.body.innerText.includes('InService')")
    for number in range(3):
        invoke(client, "echo", b"x", inference_id=f"done {number}")
    until(page, "[...document.querySelectorAll('#endpoints td.number')].some((one) => one.textContent === '3')")
    invoke(client, "echo", b"hold", inference_id=EVIL)
    until(page, f"document.querySelector('#requests').innerText.includes({EVIL!r})")
    assert page.run("window.evil") is None
    page.run("document.querySelector('[name=id]').value = 'done 1'; document.querySelector('#find button').click()")
    until(page, "document.querySelectorAll('#requests tbody tr').length === 1")
    assert "done 1" in page.run("document.querySelector('#requests tbody').innerText")
    page.run("document.querySelector('[name=id]').value = ''; document.querySelector('#find button').click()")
    until(page, "document.querySelector('#requests tbody button')")
    page.run("document.querySelector('#requests tbody button').click()")
    until(page, "document.querySelector('#requests tbody').innerText.includes('cancelled')")
    assert client.told(f"/-/api/requests?id={quote(EVIL)}")["requests"][0]["state"] == "cancelled"
    for name in ("backlog", "instances", "throughput"):
        label = page.run(f"document.querySelector('#{name}').getAttribute('aria-label')")
        assert "Now:" in label
        assert page.run(
            f"(() => {{ const c = document.querySelector('#{name} canvas'); const d = c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data; return d.some((v, i) => i % 4 === 3 && v > 0); })()"
        ), f"nothing is drawn of {name}"
    assert page.complaints() == []
    page.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen_needs_no_scrolling_sideways(up: Up, page: Any, dark: bool) -> None:
    page.look(360, 740, dark=dark)
    page.go(f"{up.url}/-/")
    until(page, "document.querySelector('#endpoints tbody tr') || !document.querySelector('#none').hidden")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints() == []


def test_with_keys_it_shows_nothing_without_the_token(tmp_path: Path, page: Any) -> None:
    up = Up(tmp_path, {"AKID": "secret"})
    try:
        page.go(f"{up.url}/-/")
        until(page, "document.body.innerText.includes('Show the token')")
        page.go("about:blank")
        page.go(f"{up.url}/-/#{TOKEN.replace('/', '%2F').replace('+', '%2B')}")
        until(page, "document.body.innerText.includes('No endpoints yet')")
        assert TOKEN not in page.run("location.href"), "it does not stay where others look"
    finally:
        up.close()


def test_the_pages_files_are_closed_to_other_hosts_and_there_are_no_others() -> None:
    from starlette.applications import Starlette

    client = TestClient(Starlette(routes=serving_pages()))
    for path in ("/-/", *(f"/-/static/{name}" for name in STATIC)):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("nothing.js", "../serving.js", "serving.html"):
        assert client.get(f"/-/static/{name}").status_code == 404
