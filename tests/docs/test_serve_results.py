"""The page of what serving comes to is made from its results."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "serve-results.md"


def test_the_page_is_made_from_the_results() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_serve_results.py"))
    text = PAGE.read_text(encoding="utf-8")
    assert generator["page"](text) == text, "run python docs/generate_serve_results.py"
    assert all(f"<!-- {part} -->" in text for part in generator["PARTS"])
