"""The guide to evidence says what is true: its examples run, and its tables name what ships."""

import doctest
import re
from pathlib import Path
from typing import get_args

from modelwright.records.study import Evidence
from modelwright.search.evaluate.scores import SCORES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")


def test_the_page_prints_what_it_says() -> None:
    examples = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    told: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(examples, {}, "evidence.md", None, 0), out=told.append)
    assert runner.tries > 15
    assert "".join(told) == ""


def test_the_page_names_every_evidence_and_every_score() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert named == {*get_args(Evidence), *SCORES}
