"""Each room's face is sorted and exact; the package's own is lazy."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelwright
from modelwright.cli import COMMANDS

PACKAGE = Path(modelwright.__file__).parent
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def in_order(names: list[str]) -> list[str]:
    """Constants, then classes, then functions, each by the alphabet."""
    return sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


def bound(room: str, body: list[ast.stmt]) -> Iterator[str]:
    """Names that a room's `__init__` defines, or takes from its own modules to show them."""
    for node in body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"modelwright.{room}"):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.If):
            yield from bound(room, [*node.body, *node.orelse])


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after a statement."""
    listing = f"import sys\n{statement}\nprint(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(run.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_shows_exactly_its_face(room: str) -> None:
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
    public = {name for name in bound(room, tree.body) if not name.startswith("_")}
    face = importlib.import_module(f"modelwright.{room}")
    lazy = {name for name in face.__all__ if name not in public and "__getattr__" in vars(face)}
    assert set(face.__all__) == public | lazy
    assert face.__all__ == in_order(face.__all__)
    assert [name for name in face.__all__ if not hasattr(face, name)] == []


def test_the_package_shows_exactly_its_face() -> None:
    assert modelwright.__all__ == in_order(modelwright.__all__)
    assert set(modelwright.__all__) == modelwright._FACE.keys()
    assert set(modelwright.__all__) <= set(dir(modelwright))


@pytest.mark.parametrize("name", modelwright.__all__)
def test_each_name_of_the_package_is_what_its_room_calls_so(name: str) -> None:
    module, _, attribute = modelwright._FACE[name].partition(":")
    assert getattr(modelwright, name) is getattr(importlib.import_module(module), attribute)


def test_the_types_of_the_lazy_names_are_declared() -> None:
    """What type checkers read under TYPE_CHECKING is the table that is followed when the program runs."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    declared = {
        alias.name: f"{node.module}:{alias.name}"
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == modelwright._FACE


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = modelwright.nothing


@pytest.mark.parametrize(
    "statement",
    [
        "import modelwright",
        "from modelwright.cli.main import main; main([])",
        "from modelwright.cli.main import main; main(['--help'])",
        "from modelwright.cli.main import main; main(['--version'])",
        "from modelwright.cli.main import main; main(['nothing'])",
    ],
)
def test_the_way_in_imports_no_torch_and_no_room(statement: str) -> None:
    held = modules_after(statement)
    assert held.isdisjoint({"torch", "numpy", "msgspec", "rich"})
    assert {name for name in held if name.startswith("modelwright.")} <= {
        "modelwright.cli",
        "modelwright.cli.main",
        "modelwright.errors",
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_module(command: str) -> None:
    module = importlib.import_module(COMMANDS[command][1])
    assert callable(module.add_arguments)
    assert callable(module.run)
