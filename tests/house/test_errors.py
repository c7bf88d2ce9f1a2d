"""The tree drawn on top of errors.py is the tree."""

import ast
import inspect
import re

from modelwright import errors
from modelwright.cli.main import EXIT_CODES
from modelwright.errors import ModelwrightError

BUILT_IN = (LookupError, ValueError)


def drawn() -> dict[str, tuple[str, set[str]]]:
    """Each error of the drawing -> its parent, and the built-in errors that it also is."""
    tree: dict[str, tuple[str, set[str]]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        row = re.fullmatch(r"    ([│├└─ ]*)(\w+Error)\b(.*)", line)
        if row:
            depth = len(row[1]) // 4
            above[depth:] = [row[2]]
            also = re.findall(r"also an? (\w+)", row[3])
            tree[row[2]] = (above[depth - 1] if depth else "Exception", set(also))
    return tree


def real() -> dict[str, tuple[str, set[str]]]:
    """The same, from the classes."""
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ModelwrightError)]
    return {
        kind.__name__: (
            kind.__bases__[0].__name__,
            {base.__name__ for base in BUILT_IN if base in kind.__bases__[1:]},
        )
        for kind in classes
    }


def test_the_drawing_is_the_tree() -> None:
    assert drawn() == real()


def test_no_error_is_defined_elsewhere(modules: dict[str, ast.Module]) -> None:
    strays = {
        f"{path}:{node.name}"
        for path, tree in modules.items()
        if path != "errors.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Error", "Exception"))
    }
    assert strays == set()


def test_every_error_has_an_exit_code_and_every_row_can_be_reached() -> None:
    kinds = [kind for kind, _ in EXIT_CODES]
    assert kinds[-1] is ModelwrightError
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:place])
