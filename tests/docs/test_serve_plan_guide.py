"""The guide to planning capacity says what is true: its examples are run, and its table names what ships."""

import argparse
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from modelwright.cli.serve_plan import add_arguments

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "serve-plan.md").read_text(encoding="utf-8")
GENERATOR: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "generate_serve_plan.py"))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def made() -> str:
    text: str = GENERATOR["page"](PAGE)
    return text


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(add_help=False)
    add_arguments(made)
    return made


def options() -> dict[str, str]:
    """Option -> its default, as the table tells it."""
    rows = re.findall(r"^\| (`--[^|]*) \|.*\|([^|]*)\|$", PAGE, re.MULTILINE)
    return {option: default.strip() for names, default in rows for option in re.findall(r"`(--[a-z-]+)`", names)}


def test_its_table_names_every_option_and_no_other() -> None:
    assert options().keys() == {option for action in parser()._actions for option in action.option_strings}


def test_its_table_tells_the_defaults() -> None:
    told = options()
    for action in parser()._actions:
        if isinstance(action.default, str | int) and action.default:
            assert told[action.option_strings[0]] == str(action.default), action.option_strings


def test_its_examples_print_what_stands_beside_them(made: str) -> None:
    """Words are compared exactly; numbers nearly, as other machines round otherwise."""
    shapes = [[" ".join(line.split()) for line in NUMBER.sub("#", text).splitlines()] for text in (made, PAGE)]
    assert shapes[0] == shapes[1], "run python docs/generate_serve_plan.py"
    numbers = [list(map(float, NUMBER.findall(text))) for text in (made, PAGE)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.02), "run python docs/generate_serve_plan.py"


def rows(*words: str) -> dict[str, dict[str, float]]:
    """Plan -> heading -> number (times in seconds), of the tables that a command with these words printed."""
    units = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}
    found = {}
    blocks = re.findall(r"```console\n\$ modelwright (serve .*)\n((?:.*\n)*?)```", PAGE)
    (text,) = (text for command, text in blocks if all(word in command.split() for word in words))
    head, *lines = text.split("\n\n")[0].splitlines()
    names = re.split(r" {2,}", head)
    for line in lines:
        cells = re.split(r" {2,}", line.strip())
        found[cells[0]] = {
            name: sum(float(number) * units.get(unit, 1) for number, unit in re.findall(r"([\d.]+) ?([a-z]*)", cell))
            for name, cell in zip(names[1:], cells[1:], strict=True)
        }
    return found


def test_what_it_says_of_the_day_is_so() -> None:
    day = rows("--fixed", "6", "8")
    scaled, always = day["target 2, 0 to 6"], day["always 6"]
    assert scaled["p95"] == pytest.approx(always["p95"], rel=0.1)
    assert scaled["cost"] / always["cost"] == pytest.approx(0.75, abs=0.03)
    by_target = [day[f"target {value}, 0 to 6"] for value in (2, 5, 10)]
    assert [row["cost"] for row in by_target] == sorted((row["cost"] for row in by_target), reverse=True)
    assert [row["waiting"] for row in by_target] == sorted(row["waiting"] for row in by_target)
    aws = rows("--imitate-aws")
    assert all(aws[name]["p95"] > day[name]["p95"] and aws[name]["cost"] > day[name]["cost"] for name in aws)


def test_what_the_decision_says_was_measured_is_so() -> None:
    ours, aws = (rows(word)["target 5, 0 to 6"] for word in ("--fixed", "--imitate-aws"))
    assert ours["cost"] / aws["cost"] == pytest.approx(0.8, abs=0.03)
    assert aws["waiting"] > 4 * ours["waiting"]


def test_a_day_of_a_million_requests_takes_less_than_ten_seconds_of_one_core() -> None:
    for row in GENERATOR["read"]("serve-replay-amd-epyc.csv"):
        assert float(row["requests"]) == pytest.approx(1e6, rel=0.01)
        assert float(row["cpu_s"]) < 10
        assert float(row["cpu_s"]) == pytest.approx(2, abs=1.5) or row["interval_s"] != "10.0"
        assert int(row["finished"]) + int(row["lost"]) == int(row["requests"])
