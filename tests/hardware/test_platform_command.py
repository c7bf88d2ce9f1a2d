"""The command `platform` and the page docs/platforms.md."""

import json
import re
import runpy
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import tomli_w

from modelwright.cli.main import main
from modelwright.errors import PlatformFileError
from modelwright.hardware.catalogue import claims, numbers, platform, platform_names, source_of
from modelwright.records import Platform, to_toml

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "src" / "modelwright" / "hardware" / "platforms"
PAGE = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
NAMES = platform_names()


def plain(name: str) -> dict[str, Any]:
    return tomllib.loads((FILES / f"{name}.toml").read_text(encoding="utf-8"))


def _at(data: Any, way: tuple[str, ...]) -> Any:
    for step in way:
        data = data[step]
    return data


def test_the_tables_of_the_page_are_those_of_the_files() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_platforms.py"))
    assert generator["page"](PAGE) == PAGE, "run python docs/generate_platforms.py"
    assert all(f"`{name}`" in PAGE for name in NAMES)


def test_what_the_page_shows_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Python runs, its commands exist, and its error reads so."""
    monkeypatch.chdir(tmp_path)
    mine = to_toml(msgspec.structs.replace(platform("t4"), name="mine", aliases=()))
    Path("platforms").mkdir()
    for file in ("mine.toml", "platforms/mine.toml"):
        Path(file).write_text(mine, encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/platforms.md", "exec"), {})
    for command in re.findall(r"^modelwright (platform (?:list|show|check)[^ ]*(?: [^ ]+)?)  ", PAGE, re.MULTILINE):
        assert main(command.split()) == 0
    broken = plain("a100") | {"name": "mine", "aliases": []}
    broken["memory"][0]["bandwidth"], broken["memory"][1]["bandwidth"] = 1e12, 2e12
    Path("mine.toml").write_text(tomli_w.dumps(broken), encoding="utf-8")
    with pytest.raises(PlatformFileError) as caught:
        platform("mine.toml")
    assert f"```\n{caught.value}\n```" in PAGE


def test_the_list_has_a_row_a_platform(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["platform", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert tuple(rows) == NAMES
    assert rows["a100"]["ridge"] == pytest.approx(312e12 / 2039e9)
    assert main(["platform", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_is_the_record(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON the whole record; else TOML with dotted keys, in which every number stands below its source."""
    found = platform(name)
    assert main(["platform", "show", name, "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Platform) == found
    assert main(["platform", "show", name]) == 0
    shown = capsys.readouterr().out
    tree = tomllib.loads(shown)
    for key in claims(found):
        value = _at(tree, tuple(key.split(".")))
        assert value == (numbers(found)[key] if key != "matrix.tiles" else [list(tile) for tile in found.matrix.tiles])
        above = shown[: shown.index(f"\n{key} = ")]
        comment = re.sub(r"\n# ", " ", above[above.rindex("\n\n# ") :])
        assert source_of(found, key) in comment


def test_check_accepts_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["platform", "check", str(FILES / "t4.toml")]) == 0
    assert "t4 keeps all rules" in capsys.readouterr().out
    broken = plain("t4")
    broken["matrix"]["depth"] = -1
    (tmp_path / "t4.toml").write_text(tomli_w.dumps(broken), encoding="utf-8")
    assert main(["platform", "check", str(tmp_path / "t4.toml")]) == 2
    assert "matrix.depth" in capsys.readouterr().err


def test_calibration_is_written_whole_and_never_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, float]] = []

    def calibrate(name: str, device: str = "cpu", seconds: float = 60, report: Any = None) -> Platform:
        report("measuring")
        asked.append((name, device, seconds))
        return msgspec.structs.replace(platform("t4"), name=name)

    stand_in = ModuleType("modelwright.networks.calibrate")
    vars(stand_in)["calibrate"] = calibrate
    monkeypatch.setitem(sys.modules, "modelwright.networks", ModuleType("modelwright.networks"))
    monkeypatch.setitem(sys.modules, "modelwright.networks.calibrate", stand_in)
    monkeypatch.chdir(tmp_path)
    words = ["platform", "calibrate", "--name", "mine", "--seconds", "3"]
    assert main(words) == 0
    assert platform("mine.toml") == msgspec.structs.replace(platform("t4"), name="mine")
    assert main(words) == 2
    assert main([*words, "--force", "--device", "cuda:0"]) == 0
    assert asked == [("mine", "cpu", 3.0), ("mine", "cuda:0", 3.0)]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]
