"""The review page in a real browser: keys, tabs, leaving, and what is seen and read aloud."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from modelwright.clock import ManualClock
from modelwright.guard import Queue
from modelwright.records import ReviewItem, ReviewRules
from modelwright.web.access import Access
from modelwright.web.review import Desk, Inputs, inputs_in_array, no_inputs, review_app
from modelwright.web.review.desk import GRACE_S
from modelwright.web.server import listening

EVIL = '<script>evil = 1</script><img src=x onerror="evil = 1">{{ 7 * 7 }}'
CONTRAST = """
(() => {
  const levels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = levels(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !one.checkVisibility()) continue;
    const [a, b] = [light(levels(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(walker.currentNode.data.trim());
  }
  return weak;
})()
"""
Tab = Any


class Site:
    """The page over one queue, in this process, so that its clock stands still; it tells what was asked for."""

    def __init__(self, queue: Queue, clock: ManualClock, access: Access, inputs: Inputs) -> None:
        self.queue = queue
        self.desk = Desk(queue, clock, map("page-{}".format, itertools.count()).__next__)
        self._app = review_app(self.desk, access, inputs)
        self.left = threading.Event()
        self._socket = listening("127.0.0.1", 0)
        self.home = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self, log_level="error", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        if scope["type"] == "http" and scope["path"] == "/leave":
            self.left.set()

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def told(self) -> dict[str, str | None]:
        return {verdict.key: verdict.label for verdict in self.queue.verdicts()}


@pytest.fixture
def site(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def serve(
        *items: ReviewItem, classes: tuple[str, ...] = ("ant", "bee", "cat"), user: str = "ann", token: str = "",
        inputs: Inputs = no_inputs,
    ) -> Site:  # fmt: skip
        queue = Queue.create(tmp_path / "reviews.db", ReviewRules(classes=classes, lease_s=100.0), clock)
        queue.add(items)
        made.append(Site(queue, clock, Access(b"secret", token=token, user=user), inputs))
        return made[-1]

    yield serve
    for one in made:
        one.end()


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[[], Tab]]:
    opened: list[Tab] = []

    def open_one() -> Tab:
        opened.append(browser.tab())
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def items(item: Callable[..., ReviewItem]) -> list[ReviewItem]:
    return [item(key, -number) for number, key in enumerate(("one", "two", "three", "four"))]


def test_keys_alone_are_enough(site: Callable[..., Site], tab: Callable[[], Tab], items: list[ReviewItem]) -> None:
    here, page = site(*items), tab()
    page.go(here.home)
    page.then(lambda: page.press("Enter"))
    page.press("m")
    assert page.run("document.getElementById('model').open")
    for key in ("2", "n", "s"):
        page.then(lambda key=key: page.press(key))
    assert here.told() == {"one": "bee", "two": None}
    page.then(lambda: page.press("u"))
    assert "You said none of the classes" in page.text()
    page.then(lambda: page.press("3"))
    assert here.told() == {"one": "bee", "two": "cat"}
    assert "fourfourfour was said" in page.text(), "it goes on with what it held"
    page.then(lambda: page.press("1"))
    assert "Only what you have skipped is left." in page.text()
    page.then(lambda: page.press("q"))
    assert (here.queue.counts().held, here.queue.counts().decided) == (0, 3)
    assert page.complaints() == []


def test_keys_can_be_turned_off_and_fields_keep_theirs(site: Any, tab: Any, items: list[ReviewItem]) -> None:
    here, page = site(*items, classes=()), tab()
    page.go(here.home)
    page.then(lambda: page.press("Enter"))
    page.press("/")
    for letter in "snq1":
        page.press(letter)
    page.then(lambda: page.press("Enter"))
    assert here.told() == {"one": "snq1"}
    page.run("document.getElementById('keys').click()")
    for letter in "snqum":
        page.press(letter)
    page.then(lambda: page.ask("Page.reload"))
    assert not page.run("document.getElementById('keys').checked"), "it is remembered"
    assert "twotwotwo was said" in page.text()
    page.run("localStorage.clear()")


def test_of_many_classes_a_number_or_a_few_letters_choose_one(site: Any, tab: Any, items: list[ReviewItem]) -> None:
    here, page = site(*items, classes=tuple(f"class {chr(97 + n)}" for n in range(26))), tab()
    page.go(here.home)
    page.then(lambda: page.press("Enter"))
    page.press("1")
    assert "1: class a, Enter takes it" in page.text()
    page.then(lambda: page.press("3"))
    page.press("2")
    page.then(lambda: page.press("Enter"))
    page.then(lambda: page.press("3"))
    page.press("/")
    page.ask("Input.insertText", text="S Z")
    page.then(lambda: page.press("Enter"))
    assert here.told() == {"one": "class m", "two": "class b", "three": "class c", "four": "class z"}


def test_two_tabs_never_hold_one_item(site: Any, tab: Any, items: list[ReviewItem]) -> None:
    here, first, second = site(*items), tab(), tab()
    for page in (first, second):
        page.go(here.home)
        page.then(lambda page=page: page.press("Enter"))
    assert "oneoneone was said" in first.text()
    assert "twotwotwo was said" in second.text()
    second.go(first.run("location.href"))
    first.run("hold()")
    assert "this one was opened in another since" in first.run("document.querySelector('#live').innerText")
    assert first.run("[...document.querySelectorAll('form[action^=\"/seats\"] button')].every((one) => one.disabled)")
    second.then(lambda: second.press("2"))
    assert here.told() == {"one": "bee"}


def test_a_page_that_is_loaded_again_keeps_its_item_and_one_that_is_closed_gives_it_back(
    site: Any, browser: Any, clock: ManualClock, items: list[ReviewItem]
) -> None:
    here, page = site(*items), browser.tab()
    page.go(here.home)
    page.then(lambda: page.press("Enter"))
    page.then(lambda: page.ask("Page.reload"))
    here.desk.sweep()
    assert here.queue.counts().held == 1
    assert "oneoneone was said" in page.text()
    here.left.clear()
    page.close()
    assert here.left.wait(60)
    clock.advance(GRACE_S)
    here.desk.sweep()
    assert (here.queue.counts().held, here.queue.counts().waiting) == (0, 4)


def test_a_page_tells_when_its_item_or_its_server_is_gone(
    site: Any, tab: Any, clock: ManualClock, items: list[ReviewItem]
) -> None:
    here, page = site(*items), tab()
    page.go(here.home)
    page.then(lambda: page.press("Enter"))
    for _ in range(8):
        clock.advance(25)
        page.run("hold()")
    assert not page.run("document.querySelector('#live').innerText"), "an open page holds its item"
    clock.advance(101)
    here.queue.claim("bob")
    page.run("hold()")
    assert "does not hold it any more" in page.run("document.querySelector('#live').innerText")
    here.end()
    page.run("hold()")
    assert "The server does not answer" in page.run("document.querySelector('#live').innerText")


def test_the_token_in_the_address_lets_in_and_leaves_it(site: Any, tab: Any, items: list[ReviewItem]) -> None:
    here, page = site(*items, user="", token="t0ken"), tab()
    page.go(f"{here.home}/#t0ken")
    assert page.run("location.href") == f"{here.home}/"
    page.ask("Input.insertText", text="bob")
    page.then(lambda: page.press("Enter"))
    page.then(lambda: page.press("Enter"))
    page.then(lambda: page.press("1"))
    assert [verdict.reviewer for verdict in here.queue.verdicts()] == ["bob"]


@pytest.mark.parametrize(("width", "height"), [(1000, 800), (360, 640)])
@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_in_light_and_dark_on_a_desk_and_on_a_phone(
    site: Any, tab: Any, item: Any, width: int, height: int, dark: bool
) -> None:
    text = f"{EVIL} {'long' * 100} a sentence that is long enough to have shingles in common"
    one = item(EVIL, text=text, details={EVIL: "x" * 200})
    rows = np.zeros((1, 200, 300, 3), np.uint8)
    here = site(one, item(f"{EVIL} 2", text=f"{text}!"), item("last", -1.0), classes=("ant", "bee" * 30),
                inputs=inputs_in_array(rows, {EVIL: 0}))  # fmt: skip
    page = tab()
    page.look(width, height, dark=dark)
    page.go(here.home)
    steps = ["Enter", "2", "u"]
    for step in steps:
        page.then(lambda step=step: page.press(step))
        page.run("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.run(CONTRAST) == []
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), step
        assert page.run("typeof evil") == "undefined"
    assert page.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(18, 21, 24)" if dark else "rgb(246, 247, 248)"
    )
    assert page.complaints() == []


def test_what_a_screen_reader_reads_has_a_name_and_nothing_comes_from_elsewhere(
    site: Any, tab: Any, browser: Any, items: list[ReviewItem]
) -> None:
    here, page = site(*items, inputs=inputs_in_array(np.zeros((1, 8, 8), np.uint8), {"two": 0})), tab()
    browser.events.clear()
    page.go(here.home)
    for step in ("Enter", "1"):
        page.then(lambda step=step: page.press(step))
    nodes = [node for node in page.ask("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
    touched = (
        "button",
        "textbox",
        "searchbox",
        "checkbox",
        "link",
        "image",
        "progressbar",
        "heading",
        "DisclosureTriangle",
    )
    assert [role for role, name in named if role in touched and not name] == []
    for wanted in (("heading", "two"), ("button", "bee 2"), ("image", "The input two"), ("button", "Undo u"),
                   ("group", "Which class is it?"), ("progressbar", "Decided by all")):  # fmt: skip
        assert wanted in named
    focused = [node for node in nodes if any(p["name"] == "focused" for p in node.get("properties", []))]
    assert ("heading", "two") in [(node["role"]["value"], node["name"]["value"]) for node in focused]
    description = next(node["description"]["value"] for node in focused if node["role"]["value"] == "heading")
    assert "one is ant, you said" in description, "the last verdict is read with the next item"
    asked = [
        event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"
    ]
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith(here.home)] == [], json.dumps(asked)
