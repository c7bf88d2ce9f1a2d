"""What the pages that are made from results have in common: their parts, the results, and tables."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
Rows = list[dict[str, str]]
Parts = Mapping[str, Callable[[], str]]


def renewed(text: str, parts: Parts) -> str:
    """The page with each generated part made anew; a part stands between <!-- NAME --> and <!-- end -->."""
    pieces = text.split("<!-- ")
    made = [pieces[0]]
    for piece in pieces[1:]:
        name = piece.partition(" -->")[0]
        part = parts.get(name)
        made.append(f"{name} -->\n\n{part()}\n\n" if part else piece)
    return "<!-- ".join(made)


def write(page: Path, parts: Parts) -> None:
    """Make the parts of a page anew."""
    page.write_text(renewed(page.read_text(encoding="utf-8"), parts), encoding="utf-8")
    print(f"wrote {page.name}")


def read(name: str) -> Rows:
    """The rows of one file of benchmarks/results."""
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
