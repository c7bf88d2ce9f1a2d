"""Pages lead somewhere: every relative link in the README and in docs/ resolves, to its heading too."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if path.is_file()
)


def prose(text: str) -> str:
    """A page without its code, where brackets mean something else."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL))


def links(text: str) -> Iterator[str]:
    """The targets of inline links, images and reference definitions that name no scheme."""
    inline = re.findall(r"\]\(\s*<?([^)\s>]+)", text)
    defined = re.findall(r"^\s*\[[^\]]+\]:\s*<?([^\s>]+)", text, re.MULTILINE)
    return (target for target in inline + defined if not re.match(r"[a-z][a-z0-9+.-]*:", target))


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get: lower case, hyphens for spaces, no other marks."""
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    astray = []
    for link in links(prose((ROOT / page).read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            astray.append(link)
    assert astray == []


def test_decisions_are_numbered_in_a_row_and_each_fits_one_page() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name.partition("-")[0]) for page in pages] == list(range(1, len(pages) + 1))
    assert [page.name for page in pages if len(page.read_text(encoding="utf-8").splitlines()) > 60] == []
