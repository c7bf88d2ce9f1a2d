"""Objects in an S3-compatible service elsewhere: our own, which is always there, and moto where it is installed."""

import hashlib
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from modelwright.clock import ManualClock
from modelwright.errors import ObjectError, StoreError
from modelwright.serve.objects import About, Condition, Objects, Span, open_objects
from modelwright.serve.objects.remote import MOST_CONDITIONAL

SETTINGS = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request"}


@pytest.fixture(scope="module", params=["own", "moto"])
def service(request: pytest.FixtureRequest, serve: Callable[..., Any]) -> Iterator[str]:
    """The service's address; it has a bucket "things"."""
    if request.param == "own":
        server = serve()
        server.client("s3").create_bucket(Bucket="things")
        yield server.url
        return
    module = pytest.importorskip("moto.server", reason="moto is one such service")
    server = module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"{address}/things", method="PUT", headers=SIGNED)).read()
    yield address
    server.stop()


@pytest.fixture
def remote(run, service: str) -> Iterator[Objects]:
    """The store, with that bucket empty."""
    made = run(open_objects(service, ManualClock(), str, SETTINGS))
    run(made.delete("things", [entry.key for entry in run(made.list("things")).entries]))
    yield made
    made.close()


async def flow(pieces: int):
    for number in range(pieces):
        yield bytes([number]) * 1_000_000


def refused(run, coroutine) -> str:
    with pytest.raises(ObjectError) as refusal:
        run(coroutine)
    return refusal.value.code


def test_what_is_put_is_what_is_got_with_what_is_told_of_it(run, remote) -> None:
    about = About("text/plain", {"owner": "x"}, {"cache-control": "no-store"})
    for key in ("a/b.txt", "with space", "50%", "%2F", "ä/日本", "+?&=#"):
        entry = run(remote.put("things", key, b"hello", about))
        assert (entry.size, entry.etag, entry.about) == (5, hashlib.md5(b"hello").hexdigest(), about)
        assert run(run(remote.get("things", key)).read()) == b"hello"
        assert run(run(remote.get("things", key, Span(1, 2))).read()) == b"el"
    assert run(remote.copy(("things", "50%"), ("things", "copy"))).about == about
    assert [entry.key for entry in run(remote.list("things", "ä/")).entries] == ["ä/日本"]


def test_long_bodies_go_in_parts(run, remote) -> None:
    entry = run(remote.put("things", "big", flow(12)))
    assert (entry.size, entry.etag[-2:]) == (12_000_000, "-3")

    async def read() -> bytes:
        return b"".join([piece async for piece in (await remote.get("things", "big")).body])

    assert run(read()) == b"".join(bytes([number]) * 1_000_000 for number in range(12))


def test_conditions_and_what_is_missing_have_s3s_names(run, remote) -> None:
    entry = run(remote.put("things", "k", b"1", condition=Condition(absent=True)))
    assert refused(run, remote.put("things", "k", b"2", condition=Condition(absent=True))) == "PreconditionFailed"
    assert refused(run, remote.put("things", "k", b"2", condition=Condition(etag="0" * 32))) == "PreconditionFailed"
    run(remote.put("things", "k", b"3", condition=Condition(etag=entry.etag)))
    too_much = bytes(MOST_CONDITIONAL + 1)
    assert refused(run, remote.put("things", "k", too_much, condition=Condition(absent=True))) == "EntityTooLarge"
    assert refused(run, remote.get("things", "none")) == "NoSuchKey"
    assert refused(run, remote.get("things", "k", Span(9))) == "InvalidRange"
    assert refused(run, remote.put("nobody", "k", b"")) == "NoSuchBucket"
    for key in ("a//b", "/a", "a/", "a/../b", "."):
        assert refused(run, remote.put("things", key, b"")) == "InvalidURI"
    run(remote.delete("things", ["none", "k"]))
    assert run(remote.list("things")).entries == ()


def test_pages_are_those_of_the_sorted_list(run, remote) -> None:
    for key in ("a/b", "a/c/1", "a!", "a0", "b", "a/c/2"):
        run(remote.put("things", key, b""))

    async def pages(**words: object) -> list[tuple[list[str], tuple[str, ...]]]:
        found, token = [], ""
        while True:
            page = await remote.list("things", token=token, **words)
            found.append(([entry.key for entry in page.entries], page.prefixes))
            token = page.token
            if not token:
                return found

    assert run(pages(limit=4)) == [(["a!", "a/b", "a/c/1", "a/c/2"], ()), (["a0", "b"], ())]
    assert run(pages(prefix="a", delimiter="/", limit=2)) == [(["a!"], ("a/",)), (["a0"], ())]
    assert run(pages(prefix="a/", delimiter="/", limit=1)) == [(["a/b"], ()), ([], ("a/c/",))]
    assert run(pages(after="a/c/1")) == [(["a/c/2", "a0", "b"], ())]


def test_a_service_that_is_not_there_is_a_store_error(run) -> None:
    gone = run(open_objects("http://127.0.0.1:9", ManualClock(), str, {**SETTINGS, "retry_config": {"max_retries": 0}}))
    with pytest.raises(StoreError, match="must take and give bytes"):
        run(gone.head("things", "k"))
