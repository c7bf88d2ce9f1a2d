"""The action `search bench`: a search algorithm on a table in which every outcome is known."""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from modelwright.cli.cells import show_note, show_table
from modelwright.errors import SettingError
from modelwright.report.markup import Data
from modelwright.search.algorithms import SEARCHERS, searchers
from modelwright.search.bench import Outcome, Race, Table, read_table


def bench_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table, what its columns are, and the race."""
    add = parser.add_argument
    add("table", type=Path, metavar="TABLE.csv", help="a row is a candidate; may be gzipped")
    add("--choices", nargs="+", required=True, metavar="COLUMN", help="what makes up a candidate")
    add("--minimise", nargs="+", default=[], metavar="COLUMN", help="to be made small, on a logarithmic scale if > 0")
    add("--maximise", nargs="+", default=[], metavar="COLUMN", help="to be made large")
    add("--free", nargs="+", default=[], metavar="COLUMN", help="objectives that cost nothing to know")
    add("--linear", nargs="+", default=[], metavar="COLUMN", help="of --minimise: not on a logarithmic scale")
    add("--method", default="auto", metavar="NAME", help=f"{', '.join(SEARCHERS)} (default: auto)")
    add("--evaluations", type=int, default=200, metavar="N", help="candidates a race may try (default: 200)")
    add("--seeds", type=int, default=20, metavar="N", help="races, from seeds 0 to N - 1 (default: 20)")
    add("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: processors)")
    add("--json", action="store_true", help="print JSON")


def bench(arguments: argparse.Namespace) -> int:
    """Run the races and print the mean share of the true front's hypervolume."""
    for name in ("evaluations", "seeds", "workers"):
        if getattr(arguments, name) < 1:
            raise SettingError(f"{name} must be at least 1", where=f"--{name}", value=getattr(arguments, name))
    searchers[arguments.method]  # an unknown name is told before the table is read
    table = read_table(
        arguments.table,
        arguments.choices,
        minimise=arguments.minimise,
        maximise=arguments.maximise,
        free=arguments.free,
        linear=arguments.linear,
    )
    race = Race(table, arguments.method, arguments.evaluations)
    with _progress(arguments.seeds) as report:
        outcomes = race.run_all(arguments.seeds, arguments.workers, report)
    found = _summary(table, arguments.method, outcomes)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    marks = [str(mark) for mark in outcomes[0].ratios]
    rows = tuple((mark, f"{found['hypervolume_ratio'][mark]:.4f}", f"{found['deviation'][mark]:.4f}") for mark in marks)
    show_table(Data((">evaluations", ">hypervolume ratio", ">deviation"), rows), title=arguments.method)
    print()
    for sentence in _remarks(table, len(outcomes)):
        show_note(sentence)
    return 0


def _summary(table: Table, method: str, outcomes: list[Outcome]) -> dict[str, Any]:
    by_mark = {str(mark): [outcome.ratios[mark] for outcome in outcomes] for mark in outcomes[0].ratios}
    return {
        "hypervolume_ratio": {mark: statistics.fmean(ratios) for mark, ratios in by_mark.items()},
        "deviation": {mark: statistics.pstdev(ratios) for mark, ratios in by_mark.items()},
        "method": method,
        "seeds": len(outcomes),
        "candidates": table.domain.size,
        "front": len(table.front),
        "objectives": {
            name: {"logarithmic": log, "free": free, "reference": reference}
            for name, log, free, reference in zip(
                table.objectives, table.logarithmic, table.free, table.reference.tolist(), strict=True
            )
        },
    }


def _remarks(table: Table, seeds: int) -> Iterator[str]:
    yield f"{table.domain.size} candidates, {len(table.front)} on the true front; mean over {seeds} seeds."
    if table.domain.dropped:
        yield f"{table.domain.dropped} rows were left out: their choices are those of an earlier row."
    scales = ", ".join(
        f"{name}{' (logarithmic)' if log else ''}{' (free)' if free else ''}"
        for name, log, free in zip(table.objectives, table.logarithmic, table.free, strict=True)
    )
    yield f"Hypervolume of {scales}, up to the nadir of the true front and a tenth of its extent."


@contextmanager
def _progress(seeds: int) -> Iterator[Callable[[int], None] | None]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status(f"0 of {seeds} seeds") as status:
        yield lambda done: status.update(f"{done} of {seeds} seeds")
