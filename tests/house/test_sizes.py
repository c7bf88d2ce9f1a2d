"""Small: files, functions and lists of parameters that fit one thought; no file that is named after nothing."""

import ast
from collections.abc import Callable
from pathlib import Path

FILE = 400
FUNCTION = 60
PARAMETERS = 7

LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
MANY_PARAMETERS: dict[str, str] = {
    "guard/fitting.py:fit": "three of them are one table, rows as users of other libraries hold them; fit_rows takes 7",
}

NAMELESS = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "tools"}

Exceptions = Callable[[set[str], dict[str, str]], None]
Functions = dict[str, ast.FunctionDef | ast.AsyncFunctionDef]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    listed = function.args
    names = [argument.arg for argument in (*listed.posonlyargs, *listed.args, *listed.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_no_file_is_longer_than_400_lines(root: Path, except_for: Exceptions) -> None:
    sources = [path for part in ("src", "benchmarks", "docs", "examples") for path in (root / part).rglob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    except_for({path.relative_to(root).as_posix() for path, lines in lengths.items() if lines > FILE}, LONG_FILES)


def test_no_function_is_longer_than_60_lines(functions: Functions, except_for: Exceptions) -> None:
    lengths = {name: (function.end_lineno or 0) - function.lineno + 1 for name, function in functions.items()}
    except_for({name for name, lines in lengths.items() if lines > FUNCTION}, LONG_FUNCTIONS)


def test_no_function_takes_more_than_7_parameters(functions: Functions, except_for: Exceptions) -> None:
    except_for({name for name, function in functions.items() if parameters(function) > PARAMETERS}, MANY_PARAMETERS)


def test_every_module_is_named_after_a_thing(modules: dict[str, ast.Module]) -> None:
    assert {path for path in modules if NAMELESS & set(Path(path).with_suffix("").parts)} == set()
