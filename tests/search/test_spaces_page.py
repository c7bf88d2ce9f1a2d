"""The guide to spaces says what is true: its example runs, and its table names what ships."""

import doctest
import re
from pathlib import Path

from modelwright.search.space import space_names

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "spaces.md").read_text(encoding="utf-8")


def test_the_page_prints_what_it_says() -> None:
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    examples = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    told: list[str] = []
    runner.run(doctest.DocTestParser().get_doctest(examples, {"text": text}, "spaces.md", None, 0), out=told.append)
    assert runner.tries > 10
    assert "".join(told) == ""


def test_the_page_names_every_space() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert set(space_names()) <= named
