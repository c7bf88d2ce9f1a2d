"""Who may use the page: under which name of the server, from which origin, with which token; and what is closed."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from modelwright.guard import Queue
from modelwright.web.access import Access
from modelwright.web.gate import LONGEST_BODY
from modelwright.web.review import Desk, no_inputs, review_app

HOME = "http://127.0.0.1:8765"
ANN = Access(b"secret", user="ann")

Client = Callable[..., TestClient]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "", "[", "127.0.0.1.evil.example", "localhost@evil.example."]
)
def test_a_name_that_is_not_this_servers_is_refused(client: Client, host: str) -> None:
    """A site that lets its name resolve to 127.0.0.1 reaches the server, but not under the server's name."""
    assert client().get("/", headers={"host": host}).status_code == 421
    assert client().post("/next", headers={"host": host, "origin": f"http://{host}"}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "localhost:9999", "[::1]:8765", "10.0.0.7", "mine"])
def test_a_name_of_this_server_is_known(client: Client, host: str) -> None:
    web = client(Access(b"secret", frozenset({"mine"}), user="ann"))
    assert web.get("/", headers={"host": host}).status_code == 200
    assert web.post("/next", headers={"host": host, "origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9999"}, {"origin": ""}, {},
     {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "file://127.0.0.1:8765"}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/next", "/enter", "/seats/page-0", "/amend", "/hold", "/leave"])
def test_a_post_of_another_site_is_refused(desk: Desk, queue: Queue, headers: dict[str, str], path: str) -> None:
    web = TestClient(review_app(desk, ANN, no_inputs), base_url=HOME)
    assert web.post(path, headers=headers, data={"label": "bee"}).status_code == 403
    assert (queue.counts().held, queue.counts().decided) == (0, 0)


def test_a_server_that_others_reach_lets_in_who_has_the_token_only(client: Client, queue: Queue) -> None:
    access = Access(b"secret", token="t0ken")
    web = client(access)
    for path in ("/", "/seats/page-0", "/amend", "/picture"):
        assert web.get(path).status_code == 401
    for path in ("/next", "/seats/page-0", "/amend", "/hold", "/leave"):
        assert web.post(path).status_code == 401
    for token in ("", "wrong", "t0kenn", "t0ke", "\N{SNOWMAN}"):
        assert web.post("/enter", data={"name": "ann", "token": token}).status_code == 403
    for forged in ("", "ann", f"{b'ann'.hex()}.", f"{b'ann'.hex()}.{'0' * 64}", Access(b"other").sealed("ann"), "ü.ü"):
        held = {"cookie": f"modelwright-review={forged}"}
        assert web.get("/", headers={name: value.encode() for name, value in held.items()}).status_code == 401
    assert queue.counts().held == 0
    answer = web.post("/enter", data={"name": "ann", "token": "t0ken"}, follow_redirects=False)
    assert all(word in answer.headers["set-cookie"] for word in ("HttpOnly", "SameSite=strict"))
    assert "t0ken" not in answer.headers["set-cookie"]
    assert web.post("/next").status_code == 200
    assert queue.counts().held == 1


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "\N{RIGHT-TO-LEFT OVERRIDE}"])
def test_a_name_that_nobody_could_read_is_refused(client: Client, name: str) -> None:
    assert client(Access(b"secret")).post("/enter", data={"name": name}).status_code == 422


@given(name=st.text(min_size=1))
def test_a_sealed_name_is_read_again_and_no_other_is(name: str) -> None:
    if name.isprintable():
        cookie = Access(b"secret").sealed(name)
        assert Access(b"secret").named(cookie) == name
        assert Access(b"other").named(cookie) == ""
        assert Access(b"secret").named(cookie.replace(cookie[0], "f" if cookie[0] != "f" else "0", 1)) == ""


def test_long_bodies_and_many_fields_are_refused(client: Client, queue: Queue) -> None:
    web = client()
    held = web.post("/next")
    fields = {"turn": "1", "label": "bee"}
    assert web.post(held.url.path, data={**fields, "key": "x" * LONGEST_BODY}).status_code == 413
    assert web.post(held.url.path, data=fields | {f"field {n}": "" for n in range(50)}).status_code == 400
    assert web.post(held.url.path, content=b"\xff\xfe%ff%00&&==;turn=1").status_code in (409, 422)
    assert queue.counts().decided == 0


def test_every_answer_is_closed_to_other_hosts(client: Client) -> None:
    web = client()
    held = web.post("/next")
    answers = [held, *map(web.get, ("/", "/nowhere", "/static/review.js", "/static/review.css", "/static/../app.py"))]
    answers += [web.get("/", headers={"host": "evil.example"}), web.post("/next", headers={"origin": "null"})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
    loaded = re.findall(r'(?:src|href|action)="([^"]*)"', held.text)
    assert [address for address in loaded if not address.startswith("/")] == []
