"""Writes the tables of docs/serve-results.md from benchmarks/results: python docs/generate_serve_results.py."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import RESULTS, read, renewed, table, write

PAGE = Path(__file__).with_name("serve-results.md")
DEVICE = "amd-epyc"
WORDS = {
    "most_instances": "instances at most", "accepted_per_s": "accepted a second",
    "completed_per_s": "completed a second", "server_ms": "processor time of the server, ms a request",
    "instances_ms": "of the instances, ms a request",
    "work_s": "a request's work, s", "other_ends": "other ends", "tried_again": "tried again",
    "marked_twice": "marked as answered twice", "wrong_answers": "wrong answers", "twice": "there twice",
    "time_factor": "time factor", "startup_s": "start of an instance, s", "cpu_s": "processor time, s",
    "median_s": "median, s", "slowest_s": "slowest, s", "waiting_s": "mean wait, s", "seconds": "s",
    "callers_are": "callers are", "changes_per_s": "changes a second", "p50_ms": "median, ms", "p99_ms": "99 %, ms",
    "per_s": "a second", "cpu_ms": "processor time, ms", "again_s": "runs again after, s",
    "done_s": "all done after, s", "slower_than_5_s": "slower than 5 s",
    "before_mb": "memory before, MB", "after_mb": "memory after, MB", "0xx": "connection closed",
    "ratio": "plan over service",
}  # fmt: skip
"""Columns of the files -> what they are."""

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
        shown = table(("", *[""] * len(rows)), [(word(head), *(row[head] for row in rows)) for head in heads])
    else:
        shown = table([word(head) for head in heads], [tuple(row[head] for head in heads) for row in rows])
    commits = ", ".join(dict.fromkeys(row["commit"] for row in rows if row.get("commit")))
    return f"{shown}\n\n[{path}](../benchmarks/results/{path}), commit {commits or 'not told'}."


def word(column: str) -> str:
    """What a column is called on the page."""
    named = column.removesuffix("_real_s").removesuffix("_plan_s")
    if named != column:
        return f"{named} wait, {'service' if column.endswith('_real_s') else 'plan'}, s"
    return WORDS.get(column, column)


def peers() -> str:
    """How fast each is, and what it loses: two tables, and the versions."""
    name = f"serve-peers-{DEVICE}.csv"
    if not (RESULTS / name).is_file():
        return "Not measured yet."
    rows = read(name)
    fast = [
        (one["peer"], one["load"], one["requests"], one["per_s"], one["cpu_ms"]) for one in rows if not one["fault"]
    ]
    faults = [
        (one["peer"], one["fault"], *(one[head] for head in ("lost", "twice", "refused", "again_s", "done_s")))
        for one in rows
        if one["fault"]
    ]
    lost = ("not done within a minute", "done twice", "errors at the callers", word("again_s"), word("done_s"))
    versions = "; ".join(dict.fromkeys(one["versions"] for one in rows))
    commits = ", ".join(dict.fromkeys(one["commit"] for one in rows))
    told = f"{versions}. [{name}](../benchmarks/results/{name}), commit {commits}."
    speeds = table(("", "requests", "how many", "a second", "processor time, ms a request"), fast)
    return f"{speeds}\n\n{table(('', 'killed, amid 60 requests of 300 ms', *lost), faults)}\n\n{told}"


PARTS = {
    "run": lambda: told("run", turned=True),
    "service": lambda: told("service"),
    "peers": peers,
    "fuzz": lambda: told("fuzz", turned=True),
    "reality": lambda: told("replay-reality"),
    "replay": lambda: told("replay", ("way", "requests", "median_s", "slowest_s", "cpu_s", "lost", "waiting_s")),
    "state": lambda: told("state", ("database", "callers_are", "callers", "changes_per_s", "p50_ms", "p99_ms")),
}


if __name__ == "__main__":
    write(PAGE, PARTS)
