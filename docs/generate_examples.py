"""Writes what each command of the cost, whatif, explain and tour pages prints: python docs/generate_examples.py."""

import contextlib
import io
import re
import shlex
from pathlib import Path

from modelwright.cli.main import main

PAGES = tuple(Path(__file__).with_name(name) for name in ("cost.md", "whatif.md", "explain.md", "tour.md"))

_EXAMPLE = re.compile(r"^```console\n\$ modelwright (.*)\n(?:.*\n)*?```$", re.MULTILINE)


def page(text: str) -> str:
    """The page with the output of each example made anew."""
    return _EXAMPLE.sub(lambda found: f"```console\n$ modelwright {found[1]}\n{output(found[1])}```", text)


def output(words: str) -> str:
    """What the command prints, without spaces at the ends of lines."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        main(shlex.split(words))
    return re.sub(r" +$", "", printed.getvalue(), flags=re.MULTILINE)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
