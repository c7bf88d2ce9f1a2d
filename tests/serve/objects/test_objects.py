"""Objects by S3's semantics, in a folder and in memory."""

import asyncio
import contextlib
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.errors import ObjectError, StoreError
from modelwright.serve.objects import LEAST_PART, About, Condition, Span

ABOUT = About("text/plain; charset=utf-8", {"owner": "Grüße", "empty": ""}, {"cache-control": "no-store"})
LONG = bytes(range(256)) * 2000  # 512,000 bytes: more than one piece, and more than the end that is read at once


async def flow(content: bytes, size: int = 70_000):
    for start in range(0, len(content), size):
        yield content[start : start + size]


def refused(run, coroutine) -> str:
    with pytest.raises(ObjectError) as refusal:
        run(coroutine)
    return refusal.value.code


@pytest.mark.parametrize("content", [b"", b"a", b"x" * 16_000, b"y" * 16_384, LONG])
def test_what_is_put_is_what_is_got(run, objects, content) -> None:
    entry = run(objects.put("things", "k", flow(content), ABOUT))
    found = run(objects.get("things", "k"))
    assert run(found.read()) == content
    assert found.entry == entry == run(objects.head("things", "k"))
    assert (entry.size, entry.etag, entry.about) == (len(content), hashlib.md5(content).hexdigest(), ABOUT)
    assert entry.modified == 946_684_800.0  # where a manual clock stands


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=st.none() | st.integers(0, 600_000), last=st.integers(0, 600_000), length=st.sampled_from([0, 9, 512_000]))
def test_a_range_is_the_slice_that_http_defines(run, objects, first, last, length) -> None:
    content = LONG[:length]
    run(objects.put("things", "r", content))
    want = content[max(0, length - last) :] if first is None else content[first : last + 1]
    if first is None and not last:
        want = b""
    if not want:
        assert refused(run, objects.get("things", "r", Span(first, last))) == "InvalidRange"
    else:
        found = run(objects.get("things", "r", Span(first, last)))
        assert run(found.read()) == want == content[found.start : found.stop]


def test_what_is_missing_has_s3s_name(run, objects) -> None:
    assert refused(run, objects.get("things", "none")) == "NoSuchKey"
    assert refused(run, objects.head("things", "none")) == "NoSuchKey"
    for coroutine in (
        objects.get("nobody", "k"),
        objects.put("nobody", "k", b""),
        objects.list("nobody"),
        objects.delete("nobody", ["k"]),
        objects.delete_bucket("nobody"),
        objects.parts.create("nobody", "k"),
    ):
        assert refused(run, coroutine) == "NoSuchBucket"
    run(objects.delete("things", ["none", "of", "these"]))


def test_a_put_is_refused_by_its_condition(run, objects) -> None:
    absent = Condition(absent=True)
    assert refused(run, objects.put("things", "c", b"1", condition=Condition(etag="x"))) == "NoSuchKey"
    entry = run(objects.put("things", "c", b"1", condition=absent))
    assert refused(run, objects.put("things", "c", b"2", condition=absent)) == "PreconditionFailed"
    run(objects.put("things", "c", b"2", condition=Condition(etag=entry.etag)))
    assert refused(run, objects.put("things", "c", b"3", condition=Condition(etag=entry.etag))) == "PreconditionFailed"
    assert run(run(objects.get("things", "c")).read()) == b"2"


def test_of_many_who_would_be_first_one_is(run, objects) -> None:
    async def race() -> list:
        bodies = [flow(bytes([n]) * 100_000) for n in range(12)]
        puts = (objects.put("things", "first", body, condition=Condition(absent=True)) for body in bodies)
        return await asyncio.gather(*puts, return_exceptions=True)

    ended = run(race())
    [winner] = [entry for entry in ended if not isinstance(entry, ObjectError)]
    assert {error.code for error in ended if isinstance(error, ObjectError)} == {"PreconditionFailed"}
    assert run(objects.head("things", "first")) == winner


def test_a_counter_that_many_raise_under_a_condition_loses_no_step(run, objects) -> None:
    run(objects.put("things", "n", b"0"))

    async def raised() -> None:
        while True:
            found = await objects.get("things", "n")
            number, seen = int(await found.read()) + 1, Condition(etag=found.entry.etag)
            with contextlib.suppress(ObjectError):  # another one was faster
                await objects.put("things", "n", str(number).encode(), condition=seen)
                return

    async def all_of_them() -> None:
        await asyncio.gather(*(raised() for _ in range(8)))

    run(all_of_them())
    assert run(run(objects.get("things", "n")).read()) == b"8"


def test_who_has_opened_an_object_reads_it_as_it_was(run, stored) -> None:
    run(stored.put("things", "k", LONG))
    found = run(stored.get("things", "k"))
    run(stored.put("things", "k", b"new"))
    run(stored.delete("things", ["k"]))
    assert run(found.read()) == LONG


def test_readers_see_old_or_new_and_nothing_between(run, stored) -> None:
    versions = {hashlib.md5(bytes([n]) * 300_000).hexdigest(): n for n in range(10)}

    async def write() -> None:
        for n in versions.values():
            await stored.put("things", "k", flow(bytes([n]) * 300_000))

    async def read() -> None:
        for _ in range(30):
            found = await stored.get("things", "k")
            assert hashlib.md5(await found.read()).hexdigest() == found.entry.etag in versions

    async def both() -> None:
        await stored.put("things", "k", bytes([0]) * 300_000)
        await asyncio.gather(write(), read(), read())

    run(both())


def test_a_copy_is_the_object_and_may_be_told_of_otherwise(run, objects) -> None:
    run(objects.put("things", "a", LONG, ABOUT))
    run(objects.create_bucket("others"))
    copied = run(objects.copy(("things", "a"), ("others", "b")))
    assert (copied.about, copied.etag) == (ABOUT, hashlib.md5(LONG).hexdigest())
    assert run(run(objects.get("others", "b")).read()) == LONG
    told = run(objects.copy(("others", "b"), ("others", "b"), About("a/b")))  # onto itself
    assert (told.about, told.size) == (About("a/b"), len(LONG))
    assert refused(run, objects.copy(("things", "none"), ("others", "c"))) == "NoSuchKey"


def test_a_bucket_goes_when_it_is_empty(run, objects) -> None:
    assert refused(run, objects.create_bucket("things")) == "BucketAlreadyOwnedByYou"
    for name in ("A-b", "ab", "-abc", "a..b", "1.2.3.4", "a" * 64, "a/b", "", "..", "täg"):
        assert refused(run, objects.create_bucket(name)) == "InvalidBucketName"
    run(objects.put("things", "a/b", b""))
    run(objects.parts.create("things", "begun"))
    assert refused(run, objects.delete_bucket("things")) == "BucketNotEmpty"
    run(objects.delete("things", ["a/b"]))
    run(objects.delete_bucket("things"))
    assert [bucket.name for bucket in objects.buckets()] == []
    run(objects.create_bucket("things"))
    assert run(objects.list("things")).entries == run(objects.parts.uploads("things")) == ()


def test_metadata_have_a_limit(run, objects) -> None:
    assert refused(run, objects.put("things", "k", b"", About(metadata={"a": "x" * 9000}))) == "MetadataTooLarge"
    assert refused(run, objects.put("things", "k" * 1025, b"")) == "KeyTooLongError"
    assert refused(run, objects.put("things", "", b"")) == "InvalidURI"
    assert refused(run, objects.put("things", "\ud800", b"")) == "InvalidURI"
    entry = run(objects.put("things", "\x01" * 1024, b"abc", About(metadata={"a": "\x01" * 1000})))
    assert run(objects.head("things", "\x01" * 1024)) == entry


def test_a_body_that_breaks_off_leaves_nothing(run, objects) -> None:
    async def broken():
        yield b"z" * 3_000_000
        raise ConnectionResetError("the client is gone")

    run(objects.put("things", "k", b"old"))
    with pytest.raises(ConnectionResetError):
        run(objects.put("things", "k", broken()))
    with pytest.raises(ConnectionResetError):
        run(objects.put("things", "new", broken()))
    assert run(run(objects.get("things", "k")).read()) == b"old"
    assert [entry.key for entry in run(objects.list("things")).entries] == ["k"]


def test_an_upload_in_parts_is_their_bytes_and_the_digest_of_their_digests(run, objects) -> None:
    first, second = b"1" * LEAST_PART, b"2" * 1000
    upload = run(objects.parts.create("things", "big", ABOUT))
    two = run(objects.parts.put(upload.id, 2, flow(second)))
    run(objects.parts.put(upload.id, 1, b"another one, replaced"))
    one = run(objects.parts.put(upload.id, 1, first))
    run(objects.parts.put(upload.id, 7, b"left out"))
    assert [part.number for part in run(objects.parts.parts(upload.id))] == [1, 2, 7]
    assert run(objects.list("things")).entries == ()
    assert run(objects.parts.uploads("things", "b")) == (upload,)
    entry = run(objects.parts.complete(upload.id, [(1, one.etag), (2, f'"{two.etag}"')]))
    digests = hashlib.md5(first).digest() + hashlib.md5(second).digest()
    assert entry.etag == f"{hashlib.md5(digests).hexdigest()}-2"
    assert entry.about == ABOUT
    assert run(run(objects.get("things", "big")).read()) == first + second
    assert refused(run, objects.parts.parts(upload.id)) == "NoSuchUpload"
    assert run(objects.parts.uploads("things")) == ()


def test_parts_that_do_not_make_an_object_are_refused_and_stay(run, objects) -> None:
    upload = run(objects.parts.create("things", "big"))
    parts = [run(objects.parts.put(upload.id, number, bytes([number]))) for number in (1, 2)]
    one, two = [(part.number, part.etag) for part in parts]
    complete = objects.parts.complete
    assert refused(run, complete(upload.id, [])) == "MalformedXML"
    assert refused(run, complete(upload.id, [two, one])) == "InvalidPartOrder"
    assert refused(run, complete(upload.id, [one, one])) == "InvalidPartOrder"
    assert refused(run, complete(upload.id, [one, two])) == "EntityTooSmall"
    assert refused(run, complete(upload.id, [(1, "0" * 32)])) == "InvalidPart"
    assert refused(run, complete(upload.id, [(3, one[1])])) == "InvalidPart"
    for number in (0, 10_001):
        assert refused(run, objects.parts.put(upload.id, number, b"")) == "InvalidArgument"
    for strange in ("nobody", "", "../upload-1", "a/b", "x" * 200):
        assert refused(run, objects.parts.put(strange, 1, b"")) == "NoSuchUpload"
    assert len(run(objects.parts.parts(upload.id))) == 2
    run(objects.parts.abort(upload.id))
    assert refused(run, objects.parts.abort(upload.id)) == "NoSuchUpload"


def test_with_a_faulty_store_before_it_all_is_old_or_new(run, objects, faulty) -> None:
    shaky, known = faulty(objects, seed=3, failing=0.4, yields=5), {}
    for number in range(60):
        key, content = f"k{number % 5}", bytes([number]) * 100
        known.setdefault(key, {None})
        try:
            run(shaky.put("things", key, flow(content, 30)))
            known[key] = {content}
        except StoreError:
            known[key].add(content)
        try:
            assert run(run(objects.get("things", key)).read()) in known[key]
        except ObjectError:
            assert None in known[key]
    assert shaky.failures > 10
