"""The guide to search algorithms says what is true: its examples run, its tables name what ships."""

import argparse
import dataclasses
import doctest
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from modelwright.cli.main import main
from modelwright.cli.search_bench import bench_arguments
from modelwright.search.algorithms import SEARCHERS
from modelwright.search.history import History

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "algorithms.md").read_text(encoding="utf-8")


def named(pattern: str) -> set[str]:
    """What stands in the first cells of the rows of a table, where it matches."""
    cells = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(pattern, cell)}


def run_python() -> doctest.TestResults:
    examples = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    told: list[str] = []
    found = doctest.DocTestRunner().run(
        doctest.DocTestParser().get_doctest(examples, {}, "algorithms.md", None, 0), out=told.append
    )
    assert "".join(told) == ""
    return found


def like(shown: Any, printed: Any) -> bool:
    """Whether two JSON values are the same, numbers to within what another machine's rounding may change."""
    if isinstance(shown, dict):
        return list(shown) == list(printed) and all(like(shown[name], printed[name]) for name in shown)
    return bool(printed == pytest.approx(shown, abs=0.03) if isinstance(shown, float) else printed == shown)


def test_its_python_prints_what_it_says_and_its_command_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_python().attempted > 15
    capsys.readouterr()
    (command,) = re.findall(r"^\$ modelwright (.*)$", PAGE, re.MULTILINE)
    assert main([*shlex.split(command), "--workers", "1", "--json"]) == 0
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert like(json.loads(shown), json.loads(capsys.readouterr().out))


def test_it_names_every_algorithm() -> None:
    assert set(SEARCHERS) <= named(r"`([a-z][\w-]*)`")


def test_it_names_every_option_and_no_other() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    bench_arguments(parser)
    options = {option for action in parser._actions for option in action.option_strings}  # argparse has no public list
    assert named(r"`(--[a-z]+)") == options
    defaults = {option: parser.get_default(option.strip("-")) for option in ("--evaluations", "--seeds")}
    for option, default in defaults.items():
        (row,) = re.findall(rf"^\| `{option} .*$", PAGE, re.MULTILINE)
        assert f": {default} |" in row


def test_it_names_every_field_of_a_history() -> None:
    assert {field.name for field in dataclasses.fields(History)} <= named(r"`([a-z_]+)`")
