"""The guide to quantization says what is true: its Python runs, and its tables name what ships."""

import argparse
import csv
import re
from pathlib import Path

import pytest

from modelwright.cli.quantize import REPORT, add_arguments
from modelwright.quantize import TARGETS
from modelwright.quantize.settings import CALIBRATIONS, FINDINGS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "quantize.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(add_help=False)
    add_arguments(made)
    return made


def test_its_tables_name_every_option_and_every_target_and_no_other() -> None:
    named = [option for cells in ROWS for option in re.findall(r"`(--[a-z-]+)", cells[0])]
    given = [option for action in parser()._actions for option in action.option_strings]  # argparse has no public list
    assert sorted(named) == sorted(given)
    assert sorted(cells[0].strip("`") for cells in ROWS if len(cells) == 4) == sorted(TARGETS)


def test_its_tables_tell_the_defaults() -> None:
    told = {option: cells[2] for cells in ROWS if len(cells) == 3 for option in re.findall(r"`(--[a-z-]+)", cells[0])}
    for action in parser()._actions:
        if action.default and action.default is not argparse.SUPPRESS and action.option_strings:
            default = " ".join(action.default) if isinstance(action.default, list) else str(action.default)
            assert default in told[action.option_strings[0]], action.option_strings
    assert " ".join(CALIBRATIONS) in told["--calibrations"]
    assert {FINDINGS, REPORT} <= {cells[0].strip("`") for cells in ROWS if len(cells) == 2}


def test_its_python_prints_what_stands_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "quantize.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_its_figures_are_those_of_the_results() -> None:
    results = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
    with (results / "mixes-amd-epyc.csv").open(encoding="utf-8") as text:
        found = {row["candidate"]: row for row in csv.DictReader(text) if row["network"] == "efficientnet-b0"}
    told = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.endswith(" dB |")]
    names = ("fp32", "bf16", "int8 rest fp32", "mix 3", "without 10 bf16", "without 10 fp32")
    for name, (_, latency, noise) in zip(names, told, strict=True):
        (row,) = (row for key, row in found.items() if key == name or key.startswith(f"{name},"))
        assert latency == f"{float(row['latency_s']) * 1e3:.1f} ms"
        assert noise == f"{float(row['sqnr_db']):.1f} dB"
    with (results / "sensitivity-amd-epyc.csv").open(encoding="utf-8") as text:
        rows = [row for row in csv.DictReader(text) if row["network"] == "efficientnet-b0"]
    assert f"each of the {len(rows)} layers by itself on {rows[0]['samples']} images took" in PAGE
    assert f"took {float(rows[0]['seconds']):.0f} s" in PAGE
