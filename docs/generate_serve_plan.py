"""Writes what the examples of docs/serve-plan.md print, and its table: python docs/generate_serve_plan.py."""

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from modelwright.cli.main import main

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import read, renewed, table

PAGE = Path(__file__).with_name("serve-plan.md").resolve()

_FILE = re.compile(r"`([a-z.]+)`:\n\n```(?:csv|toml)\n(.*?)```", re.DOTALL)
_PYTHON = re.compile(r"```python\n(.*?)```\n\n```text\n.*?```", re.DOTALL)
_COMMAND = re.compile(r"^```console\n\$ modelwright (serve .*)\n(?:.*\n)*?```$", re.MULTILINE)


def page(text: str) -> str:
    """The page with the output of each example made anew, in a folder that holds its files and is then removed."""
    here, text = Path.cwd(), renewed(text, {"speed": speed})
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for name, content in _FILE.findall(text):
                Path(name).write_text(content, encoding="utf-8")
            text = _PYTHON.sub(lambda found: f"```python\n{found[1]}```\n\n```text\n{_ran(found[1])}```", text)
            return _COMMAND.sub(lambda found: f"```console\n$ modelwright {found[1]}\n{_said(found[1])}```", text)
        finally:
            os.chdir(here)


def speed() -> str:
    """A row a way to scale a day of a million requests."""
    heads = ("instances", "requests", "replayed in", "processor time", "changes of capacity")
    rows = [
        (row["way"], row["requests"], f"{row['median_s']} s", f"{row['cpu_s']} s", row["changes"])
        for row in read("serve-replay-amd-epyc.csv")
    ]
    return table(heads, rows)


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
