"""Rows are addresses, imported on first use; two rows of one name are an error, whoever wrote them."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from modelwright.errors import RecordError, UnknownNameError
from modelwright.registry import Registry, load


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder on the import path where a test can put modules and distributions."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def distribute(folder: Path, name: str, group: str, row: str) -> None:
    """Install a distribution that brings one entry point."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{row}\n")


def test_a_row_is_imported_when_it_is_asked_for_and_not_before(strangers: Path) -> None:
    (strangers / "late_part.py").write_text("part = 'a part'\n")
    registry: Registry[str] = Registry("part", {"late": "late_part:part"})
    assert list(registry) == ["late"]
    assert "late" in registry
    assert "late_part" not in sys.modules
    assert registry["late"] == "a part"
    assert "late_part" in sys.modules


def test_the_same_part_comes_back_each_time() -> None:
    registry: Registry[object] = Registry("part", {"join": "os.path:join"})
    assert registry["join"] is registry["join"]


def test_an_unknown_name_teaches_the_known_ones() -> None:
    registry: Registry[object] = Registry("part", {"join": "os.path:join", "split": "os.path:split"})
    lesson = r"the part must be a known name, but got 'joint'. Did you mean 'join'\?"
    with pytest.raises(UnknownNameError, match=lesson):
        registry["joint"]
    assert registry.get("joint") is None


def test_a_stranger_joins_by_an_entry_point(strangers: Path) -> None:
    distribute(strangers, "stranger", "modelwright.parts", "basename = os.path:basename")
    registry: Registry[object] = Registry("part", {"join": "os.path:join"}, group="modelwright.parts")
    assert set(registry) == {"join", "basename"}
    assert registry["basename"]("a/b") == "b"


def test_a_stranger_may_not_take_a_name_that_is_taken(strangers: Path) -> None:
    distribute(strangers, "stranger", "modelwright.parts", "join = os.path:split")
    registry: Registry[object] = Registry("part", {"join": "os.path:join"}, group="modelwright.parts")
    with pytest.raises(RecordError, match=r"join -> os\.path:join and os\.path:split"):
        list(registry)


def test_two_strangers_may_not_share_a_name(strangers: Path) -> None:
    distribute(strangers, "one", "modelwright.parts", "part = os.path:join")
    distribute(strangers, "two", "modelwright.parts", "part = os.path:split")
    with pytest.raises(RecordError, match="each part name must stand for one part"):
        len(Registry("part", {}, group="modelwright.parts"))


def test_without_a_group_no_distribution_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda **_: pytest.fail("asked"))
    assert len(Registry("part", {"join": "os.path:join"})) == 1


def test_an_address_may_reach_into_a_class() -> None:
    assert load("pathlib:Path.cwd")() == Path.cwd()


@pytest.mark.parametrize(
    ("address", "lesson"),
    [
        ("os.path", "an address must read module:attribute"),
        (":join", "an address must read module:attribute"),
        ("os.path:", "an address must read module:attribute"),
        ("no_such_module:part", "the module 'no_such_module' must be importable"),
        ("os.path:no_such_part", "the attribute must exist"),
    ],
)
def test_a_wrong_address_is_met_with_its_rule(address: str, lesson: str) -> None:
    with pytest.raises(RecordError, match=lesson):
        load(address)


def test_a_module_that_fails_by_itself_shows_its_own_failure(strangers: Path) -> None:
    (strangers / "broken_part.py").write_text("raise RuntimeError('by itself')\n")
    with pytest.raises(RuntimeError, match="by itself"):
        load("broken_part:part")
