"""How calls are read, answered, taken together and refused, without a process."""

import asyncio
import io
import json
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import BusyError, RecordError, SettingError
from modelwright.serve.instances import Call, Reply, unpack
from modelwright.serve.instances.batching import Desk
from modelwright.serve.instances.coding import BYTES, CSV, JSON, NPY, TEXT, decode, encode
from modelwright.serve.instances.loading import install, load_handler, requirements_of
from modelwright.serve.instances.record import Record

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(plain)
def test_json_is_read_as_it_was_written(value) -> None:
    body, kind = encode(value, "*/*")
    assert kind == JSON
    assert decode(body, "application/json; charset=utf-8") == value


@given(st.lists(st.lists(st.integers(-1000, 1000), min_size=2, max_size=2), min_size=1, max_size=5))
def test_tables_of_numbers_are_the_same_in_csv_and_npy(rows) -> None:
    array = np.array(rows, np.float32)
    for kind in (CSV, NPY):
        body, told = encode(array, kind)
        assert told == kind
        assert np.array_equal(decode(body, kind), array)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("text/csv;q=0.5, application/x-npy", NPY),
        ("image/png, text/csv", CSV),
        ("application/*", JSON),
        ("application/json;q=0, text/csv", CSV),
        ("text/csv;q=x, application/json", JSON),
    ],
)
def test_the_best_of_what_is_accepted_is_answered(accept, kind) -> None:
    assert encode([[1, 2]], accept)[1] == kind


def test_bytes_and_texts_stay_what_they_are() -> None:
    assert encode(b"\x00", "") == (b"\x00", BYTES)
    assert encode("Grüße", TEXT) == ("Grüße".encode(), TEXT)
    assert decode(b"\xff\x00", BYTES) == b"\xff\x00"
    assert decode(b"a,b\n1,2\n", CSV) == [["a", "b"], ["1", "2"]]


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{", JSON), (b"\xff", TEXT), (b"", NPY), (b"\x93NUMPY", NPY), (b'"' * 3 + b"\xff", CSV), (b"[" * 100_000, JSON)],
)
def test_a_body_that_is_not_of_its_type_is_told_so(body, kind) -> None:
    with pytest.raises(RecordError, match="body must be"):
        decode(body, kind)


def test_pickled_objects_are_refused_and_so_are_foreign_types() -> None:
    held = io.BytesIO()
    np.save(held, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(RecordError, match="pickle"):
        decode(held.getvalue(), NPY)
    with pytest.raises(SettingError, match="content type"):
        decode(b"", "image/png")
    with pytest.raises(SettingError, match="accepted"):
        encode([1], "image/png")


def served(folder: Path, source: str, body: bytes, kind: str = JSON, accept: str = "", **environment: str) -> Reply:
    (folder / "code").mkdir(parents=True, exist_ok=True)
    (folder / "code" / environment.get("SAGEMAKER_PROGRAM", "inference.py")).write_text(source)
    handler = load_handler(folder, "", environment)
    [reply] = handler.answer([Call(io.BytesIO(body), kind, accept)])
    return reply


FOUR = """
import beside
def model_fn(folder): return folder
def input_fn(body, content_type): return body.decode() + content_type
def predict_fn(data, model): return [data, model[-5:], beside.WORD]
def output_fn(prediction, accept): return "|".join(prediction), "text/" + accept
"""


def test_four_functions_are_called_one_after_another(tmp_path) -> None:
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "beside.py").write_text("WORD = 'word'")
    reply = served(tmp_path / "model", FOUR, b"in", "a/b", "c")
    assert (reply.body, reply.content_type, reply.status) == (b"ina/b|model|word", "text/c", 200)


def test_what_a_script_leaves_out_is_done_by_default(tmp_path) -> None:
    source = "def model_fn(folder, context): return lambda rows: rows.sum(1)"
    reply = served(tmp_path, source, b"1,2\n3,4\n", CSV)
    assert (json.loads(reply.body), reply.content_type) == ([3.0, 7.0], JSON)


def test_the_context_is_none_for_who_asks_for_it(tmp_path) -> None:
    source = """
def model_fn(folder, context=7): return context
def transform_fn(model, body, content_type, accept, context): return [model, context]
"""
    assert json.loads(served(tmp_path, source, b"").body) == [None, None]


def test_another_program_may_be_named_but_none_outside_of_the_folder(tmp_path) -> None:
    source = "def model_fn(folder): return str\n"
    assert served(tmp_path / "a", source, b"7", SAGEMAKER_PROGRAM="serve.py").body == b'"7"'
    (tmp_path / "evil.py").write_text(source)
    (tmp_path / "b").mkdir()
    with pytest.raises(RecordError, match="model_fn"):
        load_handler(tmp_path / "b", "", {"SAGEMAKER_PROGRAM": "../evil.py"})


def test_a_handler_comes_by_its_address(tmp_path) -> None:
    with pytest.raises(RecordError, match="importable"):
        load_handler(tmp_path, "nothing.at:all", {})
    assert requirements_of(tmp_path) is None


class Sums:
    """Answers with the number of calls that it got at once; refuses "bad"."""

    batches = True

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def answer(self, calls):
        self.sizes.append(len(calls))
        bodies = [call.read() for call in calls]
        if b"bad" in bodies:
            raise ValueError("bad")
        return [Reply(body) for body in bodies]


def call(body: bytes) -> Call:
    return Call(io.BytesIO(body))


def test_calls_are_taken_together_up_to_the_limit_and_a_bad_one_fails_alone() -> None:
    async def main() -> tuple[list, list[int]]:
        handler = Sums()
        desk = Desk(handler, 1, 100, 4, 0.5)
        bodies = [b"1", b"bad", b"3", b"4", b"5", b"6", b"7", b"8"]
        ended = await asyncio.gather(*(desk.answer(call(body)) for body in bodies), return_exceptions=True)
        await desk.close()
        return ended, handler.sizes

    ended, sizes = asyncio.run(main())
    assert [getattr(reply, "body", str(reply)) for reply in ended] == [b"1", "bad", b"3", b"4", b"5", b"6", b"7", b"8"]
    assert sizes == [4, 1, 1, 1, 1, 4]


class Holds:
    """Answers when it is let; counts how many it works on at once."""

    batches = False

    def __init__(self) -> None:
        self.free, self.here, self.most, self.begun = threading.Event(), 0, 0, 0
        self.lock = threading.Lock()

    def answer(self, calls):
        with self.lock:
            self.begun += 1
            self.here += 1
            self.most = max(self.most, self.here)
        self.free.wait()
        with self.lock:
            self.here -= 1
        return [Reply(calls[0].read())]


def test_so_many_run_at_once_so_many_wait_and_more_are_refused() -> None:
    async def main() -> tuple[list, Holds]:
        handler = Holds()
        desk = Desk(handler, 2, 3, 1, 0.0)
        calls = [asyncio.create_task(desk.answer(call(b"%d" % number))) for number in range(9)]
        await asyncio.sleep(0)
        handler.free.set()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        await desk.close()
        return ended, handler

    ended, handler = asyncio.run(main())
    assert [isinstance(reply, BusyError) for reply in ended] == [False] * 5 + [True] * 4
    assert handler.most <= 2


def test_a_call_whose_client_has_gone_is_not_begun() -> None:
    async def main() -> int:
        handler = Holds()
        desk = Desk(handler, 1, 3, 1, 0.0)
        first, second, third = (asyncio.create_task(desk.answer(call(b"x"))) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        handler.free.set()
        await asyncio.gather(first, third)
        await desk.close()
        return handler.begun

    assert asyncio.run(main()) == 2


def archive(path: Path, *members: tuple[str, bytes | None], mode: str = "w:gz", **fields: object) -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.type = tarfile.REGTYPE if content is not None else tarfile.DIRTYPE
            member.size = len(content or b"")
            for field, value in fields.items():
                setattr(member, field, value)
            file.addfile(member, io.BytesIO(content or b""))
    return path


def test_an_archive_is_unpacked_without_rights_to_run(tmp_path) -> None:
    made = archive(tmp_path / "m.tar.gz", ("./", None), ("./code/inference.py", b"x"), ("w.bin", b"yy"), mode="w:gz")
    unpack(made, tmp_path / "model")
    assert (tmp_path / "model" / "code" / "inference.py").read_bytes() == b"x"
    assert not (tmp_path / "model" / "w.bin").stat().st_mode & 0o111
    unpack(archive(tmp_path / "m.tar", ("a", b"1"), mode="w"), tmp_path / "plain")
    assert (tmp_path / "plain" / "a").read_bytes() == b"1"


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "a\\..\\out", "..", "a/.."])
def test_a_path_that_leads_outside_is_refused(tmp_path, name) -> None:
    with pytest.raises(RecordError, match="within it"):
        unpack(archive(tmp_path / "m.tar.gz", ("fine", b"1"), (name, b"evil")), tmp_path / "in" / "model")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "m.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind) -> None:
    made = archive(tmp_path / "m.tar.gz", ("link", b""), type=kind, linkname="/etc/passwd")
    with pytest.raises(RecordError, match="plain files"):
        unpack(made, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_too_much_twice_the_same_and_damage_are_refused(tmp_path) -> None:
    big = archive(tmp_path / "big.tar.gz", ("zeros", bytes(10_000_000)), ("more", b"1"))
    for limits in ({"most_bytes": 9_999_999}, {"most_files": 1}):
        with pytest.raises(RecordError, match="at most"):
            unpack(big, tmp_path / "model", **limits)
    for members in ([("a", b"1"), ("a", b"2")], [("a", b"1"), ("a/b", b"2")], [("a/b", b"1"), ("a", b"2")]):
        with pytest.raises(RecordError):
            unpack(archive(tmp_path / "twice.tar.gz", *members), tmp_path / "model")
    content = big.read_bytes()
    for damaged in (
        content[:-100],
        content[:40],
        b"",
        b"no archive at all",
        content[:60] + b"\x00" * 50 + content[110:],
    ):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(RecordError):
            unpack(tmp_path / "damaged", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_a_record_stays_small_and_keeps_the_end(tmp_path_factory, pieces) -> None:
    folder = tmp_path_factory.mktemp("record")
    record = Record(folder / "r", 500)
    for piece in pieces:
        record.write(piece)
    record.close()
    kept = b"".join((folder / name).read_bytes() for name in ("r.1", "r") if (folder / name).exists())
    written = b"".join(pieces)
    assert len(kept) <= 500
    assert written.endswith(kept)
    assert len(kept) >= min(len(written), 1)


def test_requirements_are_installed_where_they_are_asked_for_and_once(tmp_path, monkeypatch) -> None:
    wheel = tmp_path / "oneword-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("oneword.py", "WORD = 'installed'")
        file.writestr("oneword-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: oneword\nVersion: 1.0\n")
        file.writestr("oneword-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("oneword-1.0.dist-info/RECORD", "")
    (tmp_path / "model" / "code").mkdir(parents=True)
    needed = tmp_path / "model" / "code" / "requirements.txt"
    needed.write_text(f"{wheel}\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert requirements_of(tmp_path / "model") == needed
    install(needed, tmp_path / "packages")
    wheel.unlink()
    install(needed, tmp_path / "packages")  # it is there already
    source = "import oneword\ndef model_fn(folder): return None\ndef predict_fn(data, model): return oneword.WORD"
    assert json.loads(served(tmp_path / "model", source, b"1").body) == "installed"
    needed.write_text("--no-index\nnothing-of-that-name\n")
    with pytest.raises(SettingError, match="nothing-of-that-name"):
        install(needed, tmp_path / "packages")
