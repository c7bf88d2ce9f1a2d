"""Keys, their paths, and lists of them."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelwright.errors import ObjectError, SettingError
from modelwright.serve.objects import address_of, place_of
from modelwright.serve.objects.keys import folder_path, object_path, piece_of

NASTY = [
    "..", ".", "../../etc/passwd", "/", "//", "/a", "a/", "a//b", "a/./b", "a/../b", "...", "~", "$", "%", "%2e%2e",
    "^a", "A", "a", "Aa/aA", "é", "é", "日本語", "\x00", "a\nb", "CON", "a#1", "a/b#2", "-", " ", "a ", "\\", "C:\\x",
    "x" * 1024, "X" * 1024, "/" * 1024, "a/" * 512, "€" * 341, "y" * 200, "y" * 200 + "/", "y" * 200 + "!",
    "y" * 199, "y" * 199 + "/z", "y" * 201, "y" * 400, "y" * 200 + "/b", "lock", "staging", "a!", "a0", "a/b", "a/b/c",
]  # fmt: skip

keys = st.text(st.sampled_from("aAbé/.~$%^ \x00") | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
repeated = st.builds(
    lambda piece, times: piece * times, st.sampled_from(["a", "A/", "é", "/", "ab"]), st.integers(1, 300)
)


def key_of(path: str) -> bytes:
    return b"".join(piece_of(name)[0] for name in path.split("/"))


@given(key=keys | repeated)
@example(key="x" * 1024)
def test_a_path_is_read_back_as_its_key(key: str) -> None:
    path = object_path(key.encode())
    assert key_of(path) == key.encode()
    names = path.split("/")
    assert all(0 < len(os.fsencode(name)) <= 255 for name in names)
    assert {".", ".."}.isdisjoint(names)
    assert not path.startswith("/")
    assert path.isascii()
    assert path == path.lower()


@given(first=keys, second=keys)
def test_two_keys_never_share_a_path_nor_lie_in_one_anothers_way(first: str, second: str) -> None:
    one, other = object_path(first.encode()), object_path(second.encode())
    assert (one == other) == (first == second)
    assert not other.startswith(f"{one}/")


@given(folder=keys, rest=keys)
def test_a_folder_holds_the_paths_of_its_keys(folder: str, rest: str) -> None:
    prefix = f"{folder}/".encode()
    assert object_path(prefix + rest.encode()).startswith(f"{folder_path(prefix)}/")


def test_no_key_escapes_the_folder(run, stored, tmp_path: Path) -> None:
    for number, key in enumerate(NASTY):
        run(stored.put("things", key, str(number).encode()))
    for number, key in enumerate(NASTY):
        last = len(NASTY) - 1 - NASTY[::-1].index(key)
        assert run(run(stored.get("things", key)).read()) == str(last).encode(), (number, key)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert [path.name for path in (tmp_path / "store" / "objects").iterdir()] == ["things"]
    listed = [entry.key for entry in run(stored.list("things")).entries]
    assert listed == sorted(set(NASTY), key=str.encode)
    run(stored.delete("things", NASTY))
    assert run(stored.list("things")).entries == ()
    assert not any(path.is_file() for path in (tmp_path / "store" / "objects").rglob("*"))


def expected(all_keys: list[str], prefix: str, delimiter: str, after: str, limit: int) -> list[list[str]]:
    """The pages of S3's documentation, over the whole list at once."""
    rows: list[str] = []
    for key in sorted((key for key in all_keys if key.startswith(prefix) and key > after), key=str.encode):
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        row = f"P{key[: cut + len(delimiter)]}" if cut >= 0 else f"E{key}"
        if rows[-1:] != [row]:
            rows.append(row)
    return [rows[start : start + limit] for start in range(0, len(rows), limit)] or [[]]


small = st.text("ab/!", min_size=1, max_size=5)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    names=st.sets(small, max_size=12),
    prefix=st.text("ab/", max_size=3),
    delimiter=st.sampled_from(["", "/", "a", "b/"]),
    after=st.just("") | small,
    limit=st.integers(1, 5),
)
def test_pages_are_those_of_the_sorted_list(run, objects, names, prefix, delimiter, after, limit) -> None:
    run(objects.delete("things", [entry.key for entry in run(objects.list("things")).entries]))
    for name in names:
        run(objects.put("things", name, b""))
    pages, token = [], ""
    while True:
        page = run(objects.list("things", prefix, delimiter, after=after, token=token, limit=limit))
        rows = [*(f"E{entry.key}" for entry in page.entries), *(f"P{common}" for common in page.prefixes)]
        pages.append(sorted(rows, key=lambda row: row[1:].encode()))
        token = page.token
        if not token:
            break
    assert pages == expected(list(names), prefix, delimiter, after, limit)


def test_a_page_has_at_most_a_thousand_and_a_token_is_no_text_of_ones_own(run, objects) -> None:
    for number in range(1003):
        run(objects.put("things", f"{number:04}", b""))
    first = run(objects.list("things", limit=5000))
    rest = run(objects.list("things", token=first.token))
    assert [len(first.entries), len(rest.entries), rest.token] == [1000, 3, ""]
    assert run(objects.list("things", limit=0)).entries == ()
    for token in ("!", "é", "a"):
        with pytest.raises(ObjectError, match="continuation token"):
            run(objects.list("things", token=token))
    with pytest.raises(ObjectError, match="zero or more"):
        run(objects.list("things", limit=-1))


def test_an_address_names_bucket_and_key() -> None:
    assert place_of("s3://b/a//c/") == ("b", "a//c/")
    assert place_of(address_of("b", "k")) == ("b", "k")
    assert place_of("s3://b") == ("b", "")
    for wrong in ("b/k", "https://b/k", "s3:///k", ""):
        with pytest.raises(SettingError, match="s3://bucket/key"):
            place_of(wrong)
