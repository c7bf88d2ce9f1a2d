"""The plan stands in three places, which agree with one another and with the source."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

import pytest

import modelwright

Floors = list[set[str]]

LIGHT = {"registry", "errors", "clock", "records", "hardware", "store", "promote"}
"""The rooms that must import no torch, whether they exist yet or not."""


def contracts(root: Path) -> dict[str, dict]:
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in table["tool"]["importlinter"]["contracts"]}


def floor(line: str) -> set[str]:
    """The rooms of one floor, those to come in parentheses: "(web) | report" -> {"(web)", "report"}."""
    return set(re.split(r" [|:] ", line.strip()))


def drawn(text: str) -> Floors:
    """The floors of the plan drawn in a text: the indented block whose first line begins with `cli`."""
    lines = re.search(r"^ {4}cli {2}.*\n(?: {4}\S.*\n)+", text, re.MULTILINE)
    assert lines, "no plan is drawn here"
    return [floor(re.split(r" {2,}", line.strip())[0]) for line in lines.group().splitlines()]


@pytest.fixture(scope="module")
def plan(root: Path) -> Floors:
    return [floor(line) for line in contracts(root)["floors"]["layers"]]


def test_the_docstring_and_the_contract_draw_one_plan(plan: Floors) -> None:
    assert drawn(modelwright.__doc__ or "") == plan


def test_the_page_and_the_contract_draw_one_plan(plan: Floors, root: Path) -> None:
    assert drawn((root / "docs" / "house.md").read_text(encoding="utf-8")) == plan


def test_the_plan_marks_exactly_the_rooms_that_exist(plan: Floors, rooms: set[str]) -> None:
    assert {room for floor in plan for room in floor if not room.startswith("(")} == rooms


def test_no_room_stands_on_two_floors(plan: Floors) -> None:
    names = [room.strip("()") for floor in plan for room in floor]
    assert len(names) == len(set(names))


def test_every_light_room_that_exists_is_forbidden_torch(root: Path, rooms: set[str]) -> None:
    assert set(contracts(root)["light"]["source_modules"]) == {f"modelwright.{room}" for room in LIGHT & rooms}


def test_no_light_room_brings_torch_along_when_it_is_imported(root: Path) -> None:
    light = ", ".join(contracts(root)["light"]["source_modules"])
    look = f"import sys, {light}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


def test_the_contract_is_kept(root: Path) -> None:
    lint = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    result = subprocess.run([sys.executable, "-c", lint], cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def imported(tree: ast.Module, modules: Collection[str]) -> set[str]:
    """The modules of the package that a module imports: `from a import b` is a.b where that is a module, else a."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & set(modules)) | ({node.module} if names - set(modules) else set())
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(modules)


def test_no_module_goes_in_a_circle_with_the_face_of_its_own_room(modules: dict[str, ast.Module]) -> None:
    """The contract compares siblings; this compares a package's `__init__` with what is inside the package."""
    trees = {
        f"modelwright/{path}"[:-3].removesuffix("/__init__").replace("/", "."): tree for path, tree in modules.items()
    }
    reach = {name: imported(tree, trees.keys()) for name, tree in trees.items()}
    circles = {
        (inner, face)
        for inner, reached in reach.items()
        for face in reached
        if face != "modelwright" and inner.startswith(f"{face}.")
        if any(name.startswith(f"{face}.") for name in reach[face])
    }
    assert circles == set()


def test_an_extra_is_named_after_a_room(root: Path, rooms: set[str]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    others = {"dev", "openvino", "ray"}  # tools, a runtime, further machines
    assert set(project["optional-dependencies"]) - others <= rooms
