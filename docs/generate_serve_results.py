"""Writes the tables of docs/serve-results.md from benchmarks/results: python docs/generate_serve_results.py."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import RESULTS, read, renewed, table, write

PAGE = Path(__file__).with_name("serve-results.md")
DEVICE = "amd-epyc"
HOW = {"device", "processor", "commit", "version"}
"""Columns that tell how a number was got: they stand below a table."""


def page(text: str) -> str:
    """The page with each generated part made anew."""
    return renewed(text, PARTS)


def told(name: str, columns: Sequence[str] = (), turned: bool = False) -> str:
    """A results file as a table (turned: a row a column of its), or that there is none yet."""
    path = f"serve-{name}-{DEVICE}.csv"
    if not (RESULTS / path).is_file():
        return "Not measured yet."
    rows = read(path)
    heads = list(columns) or [one for one in rows[0] if one not in HOW]
    if turned:
        shown = table(("", *[""] * len(rows)), [(head, *(row[head] for row in rows)) for head in heads])
    else:
        shown = table(heads, [tuple(row[head] for head in heads) for row in rows])
    commits = ", ".join(dict.fromkeys(row["commit"] for row in rows if row.get("commit")))
    return f"{shown}\n\n[{path}](../benchmarks/results/{path}), commit {commits or 'not told'}."


PARTS = {
    "run": lambda: told("run", turned=True),
    "service": lambda: told("service"),
    "peers": lambda: told("peers"),
    "reality": lambda: told("replay-reality"),
    "replay": lambda: told("replay", ("way", "requests", "median_s", "slowest_s", "cpu_s", "lost", "waiting_s")),
    "state": lambda: told("state", ("database", "callers_are", "callers", "changes_per_s", "p50_ms", "p99_ms")),
}


if __name__ == "__main__":
    write(PAGE, PARTS)
