"""The guide to the search says what is true: its Python runs, and its tables name what ships."""

import argparse
import re
from pathlib import Path
from typing import get_args

import pytest

from modelwright.cli.search import FINDINGS, LIMITS, REPORT, add_arguments
from modelwright.records.study import Evidence, Metric
from modelwright.search import Site

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(add_help=False)
    add_arguments(made)
    return made


def test_its_tables_name_every_option_and_no_other() -> None:
    named = [option for cells in ROWS if len(cells) == 3 for option in re.findall(r"`(--[a-z-]+)", cells[0])]
    given = [option for action in parser()._actions for option in action.option_strings]  # argparse has no public list
    assert sorted(named) == sorted(given)


def test_its_tables_tell_the_defaults() -> None:
    told = {cells[0].split("`")[1].split()[0]: cells[2].strip("`") for cells in ROWS if len(cells) == 3}
    for action in parser()._actions:
        if action.default and action.default is not argparse.SUPPRESS and action.option_strings:
            default = action.default[0] if isinstance(action.default, list) else action.default
            assert told[action.option_strings[0]].removeprefix("./") == str(default), action.option_strings


def test_it_names_every_cost_every_limits_example_and_every_evidence() -> None:
    (costs,) = (cells[1] for cells in ROWS if cells[0].startswith("`--costs"))
    assert re.findall(r"`(\w+)`", costs) == list(get_args(Metric)[1:])
    (limits,) = (cells for cells in ROWS if cells[0].startswith("`--max-latency"))
    assert limits[1] == f"hard limits, such as {', '.join(example for example, _, _ in LIMITS.values())}"
    assert {cells[0].strip("`") for cells in ROWS} >= set(get_args(Evidence))


def test_it_names_every_action() -> None:
    (actions,) = (action.choices for action in parser()._actions if isinstance(action.choices, dict))
    for name in actions:
        assert f"modelwright search {name}" in PAGE


def test_its_python_runs_and_leaves_the_files_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "search.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "hand over: 0 of 1" in printed
    assert len(re.findall(r"0\.\d+", printed.splitlines()[-1])) == 3
    named = {cells[0].split("`")[1].rstrip("/") for cells in ROWS if len(cells) == 2} - {
        REPORT
    }  # that is the command's
    assert {FINDINGS, Site(Path()).study.name} <= named
    assert named <= {path.name for path in (tmp_path / "found").iterdir()}
