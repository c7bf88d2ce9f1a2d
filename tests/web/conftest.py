"""A queue with items of every kind, a desk over it, and a real browser, which is asked over a pipe."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modelwright.clock import ManualClock
from modelwright.guard import Queue
from modelwright.records import ReviewItem, ReviewRules
from modelwright.web.access import Access
from modelwright.web.review import Desk, Inputs, no_inputs, review_app

CLASSES = ("ant", "bee", "cat")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--in-process-gpu", "--no-zygote", "--disable-extensions",
         "--disable-features=SpareRendererForSitePerProcess,IsolateOrigins,site-per-process",
         "--remote-debugging-pipe")  # fmt: skip

HOME = "http://127.0.0.1:8765"
SILENCE_S = 60
AS_3_AND_4 = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def made(key: str, priority: float = 0.0, **fields: Any) -> ReviewItem:
    given = {"predicted": "ant", "text": f"{key * 3} was said", "reason": "uncertain", "probability": 0.5, "score": 1.5}
    return ReviewItem(key, priority=priority, **{**given, **fields})


@pytest.fixture
def item() -> Callable[..., ReviewItem]:
    """Makes an item of a key, a priority, and fields that differ from the usual ones."""
    return made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(tmp_path: Path, clock: ManualClock) -> Queue:
    queue = Queue.create(tmp_path / "reviews.db", ReviewRules(classes=CLASSES, lease_s=100.0), clock)
    queue.add(made(key, -number) for number, key in enumerate(("one", "two", "three")))
    return queue


@pytest.fixture
def desk(queue: Queue, clock: ManualClock) -> Desk:
    return Desk(queue, clock, map("page-{}".format, itertools.count()).__next__)


@pytest.fixture
def client(desk: Desk) -> Callable[..., TestClient]:
    """Makes what asks the page as its own pages do: by default for ann, of whom nobody asks who she is."""

    def asks(access: Access | None = None, inputs: Inputs = no_inputs) -> TestClient:
        app = review_app(desk, access or Access(b"secret", user="ann"), inputs)
        return TestClient(app, base_url=HOME, headers={"origin": HOME})

    return asks


class Browser:
    """Debian's Chromium, spoken to in its DevTools protocol: messages of JSON, each ended by a zero byte."""

    def __init__(self, program: str, folder: Path) -> None:
        (inward, self._write), (self._read, outward) = os.pipe(), os.pipe()
        given = [str(fcntl.fcntl(end, fcntl.F_DUPFD, 10)) for end in (inward, outward)]  # clear of 3 and 4
        words = [sys.executable, "-c", AS_3_AND_4, *given, program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(words, pass_fds=[int(end) for end in given], stderr=subprocess.DEVNULL)
        for end in (inward, outward, *map(int, given)):
            os.close(end)
        self._held = b""
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        os.close(self._write)  # the browser ends with its pipe
        self._process.wait(30)
        os.close(self._read)

    def ask(self, method: str, session: str = "", **given: Any) -> dict[str, Any]:
        """The answer to one command; what is told besides is kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": given} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (told := self._told()).get("id") != number:
            self.events.append(told)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        return told["result"]

    def wait_for(self, method: str, session: str) -> dict[str, Any]:
        """The next event of a kind, the kept ones first."""
        while True:
            for event in self.events:
                if event["method"] == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    return event["params"]
            self.events.append(self._told())

    def _told(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            part = os.read(self._read, 2**16) if select.select([self._read], [], [], SILENCE_S)[0] else b""
            if not part:
                raise RuntimeError("the browser has gone, or is silent")
            self._held += part
        message, _, self._held = self._held.partition(b"\0")
        return json.loads(message)

    def tab(self) -> "Tab":
        return Tab(self)


class Tab:
    """A tab of the browser."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.ask("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **given: Any) -> dict[str, Any]:
        return self._browser.ask(method, self.session, **given)

    def then(self, act: Callable[[], Any]) -> None:
        """Do something that loads a page, and wait until it is there."""
        self._browser.events = [event for event in self._browser.events if event["method"] != "Page.loadEventFired"]
        act()
        self._browser.wait_for("Page.loadEventFired", self.session)
        self.ask("Page.bringToFront")
        self.run("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))).then(() => 0)")

    def go(self, address: str) -> None:
        self.then(lambda: self.ask("Page.navigate", url=address))

    def run(self, script: str) -> Any:
        """What a script comes to."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def text(self) -> str:
        return self.run("document.body.innerText")

    def press(self, key: str) -> None:
        codes = {"Enter": 13, "Tab": 9, "Escape": 27}
        typed = {"text": {"Enter": "\r"}.get(key, key)} if key == "Enter" or len(key) == 1 else {}
        given = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **given, **typed)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **given)

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the window's size and the scheme of colours."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=scheme)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """What the browser has to complain of: errors of scripts, and what the policy refused."""
        told = [event["params"] for event in self._browser.events if event.get("sessionId") == self.session
                and event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]  # fmt: skip
        return [json.dumps(params) for params in told]

    def close(self) -> None:
        self._browser.ask("Target.closeTarget", targetId=self.target)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if not program:
        pytest.skip("no chromium here")
    with tempfile.TemporaryDirectory() as folder:
        found = Browser(program, Path(folder))
        yield found
        found.close()
