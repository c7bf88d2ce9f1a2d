"""What is written is run: the examples print what stands beside them, and the README's Python works."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_stands_beside_it(example: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == example.with_suffix(".out").read_text(encoding="utf-8"), f"run python examples/{example.name}"


def test_the_readme_python_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_the_results_page_is_made_from_the_results() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_results.py"))
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert generator["page"](text) == text, "run python docs/generate_results.py"


def test_the_tour_shows_what_its_commands_print() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_examples.py"))
    text = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    assert generator["page"](text) == text, "run python docs/generate_examples.py"
