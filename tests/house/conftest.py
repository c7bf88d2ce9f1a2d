"""The source as the tests of the house see it."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def package() -> Path:
    """The package's own folder."""
    return ROOT / "src" / "modelwright"


@pytest.fixture(scope="session")
def modules(package: Path) -> dict[str, ast.Module]:
    """Every module of the package, parsed; by path below the package."""
    return {
        path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for path in sorted(package.rglob("*.py"))
    }


@pytest.fixture(scope="session")
def rooms(package: Path) -> set[str]:
    """The rooms that exist: packages and modules directly below the package."""
    return {
        path.stem
        for path in package.iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__")) or (path / "__init__.py").exists()
    }


@pytest.fixture(scope="session")
def functions(modules: dict[str, ast.Module]) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, by "path:Class.name"."""
    found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{prefix}{child.name}"] = child
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")
            else:
                visit(child, prefix)

    for path, tree in modules.items():
        visit(tree, f"{path}:")
    return found


@pytest.fixture(scope="session")
def except_for() -> Callable[[set[str], dict[str, str]], None]:
    """Check offenders against a list of exceptions: none is missing, none is stale, and each bears its reason."""

    def check(offenders: set[str], exceptions: dict[str, str]) -> None:
        assert offenders - exceptions.keys() == set(), "breaks the rule"
        assert exceptions.keys() - offenders == set(), "listed as an exception but keeps the rule: take it off"
        assert all(len(reason.split()) >= 3 for reason in exceptions.values()), "an exception bears its reason"

    return check
