"""The review page, asked directly: what is shown and what is not, what is recorded, and what is refused."""

import contextlib
import io
import re
import sqlite3
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from modelwright.clock import ManualClock
from modelwright.guard import Queue
from modelwright.records import ReviewItem, ReviewRules
from modelwright.web.access import Access
from modelwright.web.review import Desk, inputs_in_array, inputs_in_folder, no_inputs, review_app
from modelwright.web.review.desk import GRACE_S
from modelwright.web.review.inputs import Picture

CLASSES = ("ant", "bee", "cat")
HOME = "http://127.0.0.1:8765"
OWN = {"origin": HOME}
EVIL = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"
ANN = Access(b"secret", user="ann")
"""Nobody is asked who they are."""


class Page(HTMLParser):
    """Tags, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def fields(self) -> dict[str, str]:
        """The hidden fields of the form that a class is given with."""
        hidden = [held for tag, held in self.tags if tag == "input" and held.get("type") == "hidden"]
        return {str(held["name"]): str(held["value"]) for held in reversed(hidden) if held["name"] != "seat"}


Client = Callable[..., TestClient]
Makes = Callable[..., ReviewItem]


def told(queue: Queue) -> dict[str, str | None]:
    return {verdict.key: verdict.label for verdict in queue.verdicts()}


def test_each_verdict_brings_the_next_item_until_nothing_waits(client: Client, queue: Queue) -> None:
    web = client()
    assert "3 items wait" in web.get("/").text
    answer = web.post("/next")
    for key, verdict in (("one", {"label": "bee"}), ("two", {"none": "1"}), ("three", {"label": "ant"})):
        page = Page(answer.text)
        assert f"{key * 3} was said" in page.text
        answer = web.post(answer.url.path, data={**page.fields(), **verdict})
    assert "Nothing waits" in answer.text
    assert "3 of 3 done by all, 3 by me" in answer.text
    assert told(queue) == {"one": "bee", "two": None, "three": "ant"}


def shown(tmp_path: Path, clock: ManualClock, name: str, one: ReviewItem) -> str:
    """The page of an item that is alone in its queue."""
    folder = tmp_path / name
    folder.mkdir()
    queue = Queue.create(folder / "reviews.db", ReviewRules(classes=CLASSES), clock)
    queue.add([one])
    desk = Desk(queue, clock, lambda: "page")
    return TestClient(review_app(desk, ANN, no_inputs), base_url=HOME, headers=OWN).post("/next").text


def test_nothing_on_a_page_tells_an_audit_from_what_was_deferred(
    tmp_path: Path, clock: ManualClock, item: Makes
) -> None:
    deferred = item("one")
    audit = msgspec.structs.replace(deferred, reason="audit", propensity=0.02, priority=9.0)
    assert shown(tmp_path, clock, "first", deferred) == shown(tmp_path, clock, "second", audit)


def test_the_reason_is_told_after_the_verdict(client: Client, queue: Queue, item: Makes) -> None:
    queue.add([item("audited", 9.0, reason="audit", predicted="cat")])
    web = client()
    answer = web.post("/next")
    for _ in range(4):
        assert "uncertain" not in answer.text.partition('class="last"')[0]
        page = Page(answer.text)
        answer = web.post(answer.url.path, data={**page.fields(), "label": "bee"})
        key = page.fields()["key"]
        why = "an audit: the guard had accepted it" if key == "audited" else "the guard had deferred it: uncertain"
        assert re.search(
            rf"{key} is bee, you said;\s+the model had said \w+. Why it was here: {why}", Page(answer.text).text
        )


def test_what_the_model_said_is_folded_up_and_near_duplicates_are_named(
    client: Client, queue: Queue, item: Makes
) -> None:
    text = "a sentence that is long enough to have many shingles in common with its twin"
    queue.add([item("first", 5.0, text=text), item("second", text=f"{text}!", predicted="secret word")])
    answer = client().post("/next")
    page = Page(answer.text)
    assert ("details", {"class": "card", "id": "model"}) in page.tags, "closed"
    assert re.search(r"counts for 1 near-duplicate, too\s+second: a sentence", page.text)
    assert "secret word" not in page.text


@pytest.mark.parametrize("field", ["key", "predicted", "text", "reason", "detail", "class", "reviewer", "word"])
def test_nothing_that_is_shown_becomes_markup(tmp_path: Path, clock: ManualClock, field: str) -> None:
    one = ReviewItem("key", "ant", "text", reason="why", details={"name": "value"})
    if field in ("key", "predicted", "text", "reason"):
        one = msgspec.structs.replace(one, **{field: EVIL})
    if field == "detail":
        one = msgspec.structs.replace(one, details={EVIL: EVIL})
    classes = (EVIL, "ant") if field == "class" else () if field == "word" else CLASSES
    queue = Queue.create(tmp_path / "reviews.db", ReviewRules(classes=classes), clock)
    queue.add([one, msgspec.structs.replace(one, key=f"{one.key} 2", text=f"{one.text}{one.text}")])
    access = Access(b"secret", user=EVIL if field == "reviewer" else "ann")
    web = TestClient(review_app(Desk(queue, clock, lambda: "page"), access, no_inputs), base_url=HOME, headers=OWN)
    answer = web.post("/next")
    pages = [answer.text]
    label = EVIL if field in ("class", "word") else "ant"
    answer = web.post(answer.url.path, data={**Page(answer.text).fields(), "label": label})
    pages += [answer.text, web.get("/amend", params={"key": one.key}).text, web.get("/").text]
    assert any(EVIL in Page(text).text or EVIL in str(Page(text).tags) for text in pages)
    for text in pages:
        scripts = [held for tag, held in Page(text).tags if tag == "script"]
        assert scripts == [{"src": "/static/review.js", "defer": None}]
        assert not [held for _, held in Page(text).tags if any(name.startswith(("on", "style")) for name in held)]


def test_a_post_that_is_sent_twice_counts_once(client: Client, queue: Queue) -> None:
    web = client()
    answer = web.post("/next")
    sent = {**Page(answer.text).fields(), "label": "bee"}
    for _ in range(2):
        assert web.post(answer.url.path, data=sent, follow_redirects=False).status_code == 303
    again = web.post(answer.url.path, data={**sent, "label": "cat"})
    assert again.status_code == 409
    assert "keeps it" in again.text
    assert told(queue) == {"one": "bee"}


def test_an_item_is_open_in_one_tab(client: Client, queue: Queue) -> None:
    web = client()
    first = web.post("/next")
    second = web.get(first.url.path)  # another tab with the same address
    stale = {**Page(first.text).fields(), "label": "bee"}
    held = {"seat": first.url.path.rpartition("/")[2], "turn": stale["turn"]}
    assert web.post("/hold", data=held).status_code == 409
    answer = web.post(first.url.path, data=stale)
    assert answer.status_code == 409
    assert "opened in another" in answer.text
    assert told(queue) == {}
    web.post(first.url.path, data={**Page(second.text).fields(), "label": "cat"})
    assert told(queue) == {"one": "cat"}


def test_two_reviewers_are_given_two_items(desk: Desk, queue: Queue) -> None:
    keys = []
    for name in ("ann", "bob"):
        web = TestClient(review_app(desk, Access(b"secret"), no_inputs), base_url=HOME, headers=OWN)
        assert web.get("/").status_code == 401
        web.post("/enter", data={"name": name})
        keys.append(Page(web.post("/next").text).fields()["key"])
    assert keys == ["one", "two"]
    assert {key: lease.reviewer for key, lease in queue.state().leases.items()} == {"one": "ann", "two": "bob"}


def test_an_item_is_skipped_given_back_or_left(client: Client, queue: Queue, clock: ManualClock, desk: Desk) -> None:
    web = client()
    first = web.post("/next")
    second = web.post(first.url.path, data={**Page(first.text).fields(), "skip": "1"})
    assert Page(second.text).fields()["key"] == "two"
    assert web.get(first.url.path).status_code == 410
    stopped = web.post(second.url.path, data={**Page(second.text).fields(), "stop": "1"})
    assert (stopped.url.path, queue.counts().held) == ("/", 0)
    left = web.post("/next")
    seat = {"seat": left.url.path.rpartition("/")[2], "turn": "1"}
    assert web.post("/leave", data=seat).status_code == 204
    clock.advance(GRACE_S)
    desk.sweep()
    assert queue.counts().held == 0
    assert told(queue) == {}


def test_the_last_verdict_can_be_undone_and_nobody_elses(client: Client, queue: Queue) -> None:
    queue.claim("bob")
    queue.decide("one", "bee", "bob")
    web = client()
    held = web.post("/next")
    after = web.post(held.url.path, data={**Page(held.text).fields(), "label": "ant"})
    seat = after.url.path.rpartition("/")[2]
    assert 'class="chosen"' in web.get("/amend", params={"key": "two", "seat": seat}).text
    back = web.post("/amend", data={"key": "two", "seat": seat, "label": "cat"})
    assert back.url.path == after.url.path, "the page goes on with what it holds"
    assert told(queue) == {"one": "bee", "two": "cat"}
    assert web.post("/amend", data={"key": "two", "keep": "1"}).url.path == "/"
    assert web.get("/amend", params={"key": "one"}).status_code == 409
    assert web.post("/amend", data={"key": "one", "label": "cat"}).status_code == 409
    assert web.post("/amend", data={"key": "two", "label": "dog"}).status_code == 422
    assert told(queue) == {"one": "bee", "two": "cat"}


@pytest.mark.parametrize("label", ["dog", "", " "])
def test_a_class_that_is_none_is_refused_and_the_item_stays(client: Client, queue: Queue, label: str) -> None:
    web = client()
    held = web.post("/next")
    answer = web.post(held.url.path, data={**Page(held.text).fields(), "label": label})
    assert answer.status_code == 422
    assert "Nothing was recorded; the item is yours still." in Page(answer.text).text
    web.post(held.url.path, data={**Page(answer.text).fields(), "label": "cat"})
    assert told(queue) == {"one": "cat"}


def test_without_classes_any_word_is_one(tmp_path: Path, clock: ManualClock, item: Makes) -> None:
    queue = Queue.create(tmp_path / "words.db", clock=clock)
    queue.add([item("one"), item("two", -1.0)])
    web = TestClient(review_app(Desk(queue, clock, iter("ab").__next__), ANN, no_inputs), base_url=HOME, headers=OWN)
    held = web.post("/next")
    after = web.post(held.url.path, data={**Page(held.text).fields(), "label": "Zebra & co"})
    assert told(queue) == {"one": "Zebra & co"}
    assert ("option", {"value": "Zebra & co"}) in Page(after.text).tags, "words that were used are offered"


@pytest.mark.parametrize(
    ("names", "keys"), [(("a", "b"), ["1", "2"]), (("7", "8", "zebra"), ["7", "8"]), (("b", "0"), ["0"])]
)
def test_a_class_that_is_a_number_is_its_own_key(
    tmp_path: Path, clock: ManualClock, names: tuple[str, ...], keys: list[str], item: Makes
) -> None:
    queue = Queue.create(tmp_path / "words.db", ReviewRules(classes=names), clock)
    queue.add([item("one")])
    web = TestClient(review_app(Desk(queue, clock, iter("ab").__next__), ANN, no_inputs), base_url=HOME, headers=OWN)
    buttons = [held for tag, held in Page(web.post("/next").text).tags if tag == "button"]
    assert [held["data-key"] for held in buttons if "data-key" in held] == keys


# --- pictures and numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 4), (1, 5, 4), (5, 4, 1), (3, 5, 4), (5, 4, 3), (4, 5, 6)])
def test_a_picture_is_sent_as_it_is(client: Client, shape: tuple[int, ...]) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    web = client(inputs=inputs_in_array(rows, {"two": 0, "one": 1}))
    assert web.get("/picture", params={"key": "one"}).status_code == 404, "not yet"
    assert "<img" in web.post("/next").text
    answer = web.get("/picture", params={"key": "one"})
    sent = np.asarray(Image.open(io.BytesIO(answer.content)))
    first = len(shape) == 3 and shape[0] in (1, 3, 4)
    assert np.array_equal(sent, (np.moveaxis(rows[1], 0, -1) if first else rows[1]).squeeze())
    assert web.get("/picture", params={"key": "two"}).status_code == 404, "nobody holds it"


def test_an_input_that_is_no_picture_is_shown_as_numbers(client: Client) -> None:
    rows = np.array([[1.5, -2.25, np.nan], [3, 4, 5]])
    page = Page(client(inputs=inputs_in_array(rows, {"one": 0})).post("/next").text)
    assert "1.5 -2.25 nan" in " ".join(page.text.split())


@given(key=st.text() | st.sampled_from(["../secret.png", "a/../../secret.png", "/etc/passwd", "link.png", "a\0.png"]))
def test_a_folder_gives_nothing_that_is_not_a_picture_in_it(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "outside" / "pictures"
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder.parent / "secret.png").write_bytes(b"secret")
        (folder / "link.png").symlink_to(folder.parent / "secret.png")
        (folder / "a.svg").write_bytes(b"<svg/>")
        (folder / "one.png").write_bytes(b"fine")
    look = inputs_in_folder(folder)
    assert look(key) is None or key == "one.png"
    assert look(str(folder.parent / "secret.png")) is None
    assert look("a.svg") is None
    assert look("one.png") == Picture("image/png", b"fine")


# --- faults -----------------------------------------------------------------------------------------------------------


def test_on_a_full_disk_a_verdict_is_refused_and_can_be_given_again(
    tmp_path: Path, small_disk, clock: ManualClock, item: Makes
) -> None:
    with small_disk(tmp_path / "small", "300k") as disk:
        queue = Queue.create(disk / "reviews.db", ReviewRules(classes=CLASSES), clock)
        queue.add([item("one"), item("two", -1.0)])
        desk = Desk(queue, clock, iter("abc").__next__)
        web = TestClient(review_app(desk, ANN, no_inputs), base_url=HOME, headers=OWN)
        held = web.post("/next")
        with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(512))
        answer = web.post(held.url.path, data={**Page(held.text).fields(), "label": "bee"})
        assert answer.status_code == 500
        assert "must have room for one more entry" in answer.text
        assert "Nothing was recorded; the item is yours still." in answer.text
        (disk / "ballast").unlink()
        assert told(queue) == {}
        answer = web.post(held.url.path, data={**Page(answer.text).fields(), "label": "bee"})
        assert answer.status_code == 200
        assert told(queue) == {"one": "bee"}


def test_a_queue_that_is_spoilt_meanwhile_is_one_clear_error(client: Client, queue: Queue) -> None:
    web = client()
    held = web.post("/next")
    link = sqlite3.connect(queue.path, isolation_level=None)
    link.execute("INSERT INTO entries SELECT number + 1, kind, at, '{}', previous, seal FROM entries WHERE number = 3")
    link.close()
    for answer in (web.post(held.url.path, data={**Page(held.text).fields(), "label": "bee"}), web.get("/")):
        assert answer.status_code == 500
        assert "reviews.db" in Page(answer.text).text
        assert "Traceback" not in answer.text
