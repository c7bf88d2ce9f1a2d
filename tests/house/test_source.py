"""Rules that every line of the package keeps, read from its syntax."""

import ast
from collections.abc import Callable, Iterator

Exceptions = Callable[[set[str], dict[str, str]], None]
Modules = dict[str, ast.Module]

READS_A_CLOCK: dict[str, str] = {
    "clock.py": "the one place that reads a clock",
}
READS_THE_ENVIRONMENT: dict[str, str] = {
    "serve/instances/afar.py": "stands for such a process, and hands its variables on",
    "serve/instances/runner.py": "a process of its own, to which a container's contract gives its settings so",
}
ASSERTS: dict[str, str] = {}

CLOCKS = {"time"}
"""Modules that are nothing but clocks: importing one is reading it."""

NOW = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
ENVIRONMENT = {("os", "environ"), ("os", "environb"), ("os", "getenv"), ("os", "getenvb"), ("os", "putenv")}


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every imported (module, name); the name is "" for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def attributes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every (holder, attribute) that is looked up, the holder's last name only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            yield node.value.id if isinstance(node.value, ast.Name) else node.value.attr, node.attr


def undocumented(path: str, node: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    """Public modules, classes, functions and methods without a docstring."""
    if not ast.get_docstring(node):
        yield f"{path}:{prefix}".rstrip(":.")
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from undocumented(path, child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            overloaded = any(getattr(mark, "id", "") == "overload" for mark in child.decorator_list)
            if not overloaded and not ast.get_docstring(child):
                yield f"{path}:{prefix}{child.name}"


def test_everything_public_says_what_it_is(modules: Modules) -> None:
    assert [name for path, tree in modules.items() for name in undocumented(path, tree)] == []


def test_assert_validates_nothing(modules: Modules, except_for: Exceptions) -> None:
    def asserts(tree: ast.Module) -> bool:
        return any(isinstance(node, ast.Assert) for node in ast.walk(tree))

    except_for({path for path, tree in modules.items() if asserts(tree)}, ASSERTS)


def test_only_the_clock_reads_a_clock(modules: Modules, except_for: Exceptions) -> None:
    def reads(tree: ast.Module) -> bool:
        return any(module in CLOCKS for module, _ in imports(tree)) or not NOW.isdisjoint(attributes(tree))

    except_for({path for path, tree in modules.items() if reads(tree)}, READS_A_CLOCK)


def test_only_the_face_reads_the_environment(modules: Modules, except_for: Exceptions) -> None:
    def reads(tree: ast.Module) -> bool:
        return not ENVIRONMENT.isdisjoint({*imports(tree), *attributes(tree)})

    offenders = {path for path, tree in modules.items() if reads(tree) and not path.startswith("cli/")}
    except_for(offenders, READS_THE_ENVIRONMENT)
