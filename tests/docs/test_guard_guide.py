"""The guide to the guard says what is true: its examples are run, and its tables name what ships."""

import argparse
import importlib
import re
import runpy
from pathlib import Path

import pytest

from modelwright.cli.guard import add_arguments
from modelwright.cli.guard_arrays import NAMES, SUFFIXES
from modelwright.guard import DETECTORS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guard.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def actions() -> dict[str, argparse.ArgumentParser]:
    made = argparse.ArgumentParser(add_help=False)
    add_arguments(made)
    (found,) = (action.choices for action in made._actions if isinstance(action.choices, dict))
    return found


def tables() -> dict[str, list[list[str]]]:
    """Rows of each table, by its first heading."""
    found = re.findall(r"^(\|.*\|)\n\| ---.*\|\n((?:\|.*\|\n)+)", PAGE, re.MULTILINE)
    cells = [
        [[cell.strip() for cell in row.split("|")[1:-1]] for row in (head, *rows.splitlines())] for head, rows in found
    ]
    return {rows[0][0]: rows[1:] for rows in cells}


def test_its_tables_name_every_option_of_each_action_and_no_other() -> None:
    for heading, rows in tables().items():
        named = {option for row in rows for option in re.findall(r"`(--[a-z-]+)|, `(--[a-z-]+)", row[0])}
        words = [name for name in re.findall(r"`(\w+)`", heading) if name in actions()]
        if words:
            given = {
                option
                for name in words
                for action in actions()[name]._actions
                for option in action.option_strings
                if option not in ("-h", "--help")
            }
            assert {first or second for first, second in named} == given, heading


def test_its_tables_tell_the_defaults() -> None:
    told = {option: row[2] for row in tables()["`fit`"] for option in re.findall(r"`(--[a-z-]+)", row[0])}
    for action in actions()["fit"]._actions:
        if action.default and action.default is not argparse.SUPPRESS and action.option_strings:
            assert told[action.option_strings[0]].strip("`") == str(action.default), action.option_strings


def test_it_names_every_detector_every_array_and_every_module() -> None:
    found = tables()
    assert sorted(row[0].strip("`") for row in found["detector"]) == sorted(DETECTORS)
    assert sorted(name for row in found["array"] for name in re.findall(r"`(\w+)`", row[0])) == sorted(NAMES)
    assert all(suffix in PAGE for suffix in SUFFIXES)
    for row in found["what"]:
        for module in re.findall(r"`([\w.]+)`", row[1]):
            importlib.import_module(module)


def test_its_examples_print_what_stands_beside_them() -> None:
    """Words are compared exactly; numbers nearly, as other machines round otherwise."""
    made = runpy.run_path(str(ROOT / "docs" / "generate_guard_guide.py"))["page"](PAGE)
    both = [
        [" ".join(line.split()) for line in NUMBER.sub("#", text).splitlines() if line.strip()] for text in (made, PAGE)
    ]
    assert sorted(both[0]) == sorted(both[1])  # classes and detectors that are nearly alike may change places
    numbers = [sorted(map(float, NUMBER.findall(text))) for text in (made, PAGE)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.1, abs=3), "run python docs/generate_guard_guide.py"
