"""Writes what the examples of docs/guard.md print: python docs/generate_guard_guide.py."""

import contextlib
import io
import os
import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

from modelwright.cli.main import main

PAGE = Path(__file__).with_name("guard.md").resolve()

_PYTHON = re.compile(r"```python\n(.*?)```\n\n```text\n.*?```", re.DOTALL)
_COMMAND = re.compile(r"^```console\n\$ modelwright (guard .*)\n(?:.*\n)*?```$", re.MULTILINE)


def page(text: str) -> str:
    """The page with the output of each example made anew, in an empty folder, which is then removed."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            text = _PYTHON.sub(lambda found: f"```python\n{found[1]}```\n\n```text\n{_ran(found[1])}```", text)
            return _COMMAND.sub(lambda found: f"```console\n$ modelwright {found[1]}\n{_said(found[1])}```", text)
        finally:
            os.chdir(here)


def _ran(block: str) -> str:
    return _printed(lambda: exec(compile(block, PAGE.name, "exec"), {}))


def _said(words: str) -> str:
    return _printed(lambda: main(shlex.split(words)))


def _printed(act: Callable[[], object]) -> str:
    """What is printed, errors last, without spaces at the ends of lines."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        act()
    return re.sub(r" +$", "", out.getvalue() + err.getvalue(), flags=re.MULTILINE)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
