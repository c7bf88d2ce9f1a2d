"""Writes the tables of docs/search-benchmark.md from benchmarks/results: python docs/generate_search.py."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import Rows, read, renewed, table, write

PAGE = Path(__file__).with_name("search-benchmark.md")
MARKS = (50, 100, 200, 400)
OURS = ("auto, latency free", "auto")
MAIN = "nas-bench-201 cifar100 x titan_rtx_256"
PROBLEMS = (
    MAIN,
    "hw-gpt-bench perplexity x a100",
    "nas-bench-201 cifar10 x titan_rtx_256",
    "nas-bench-201 cifar100 x silver_4114",
)


def page(text: str) -> str:
    """The page with each generated part made anew."""
    return renewed(text, PARTS)


def raced(problem: str) -> Rows:
    """The methods of one problem, those that found most in 100 evaluations first."""
    return sorted((r for r in read("search.csv") if r["problem"] == problem), key=lambda r: -float(r["mean_100"]))


def cell(row: dict[str, str], mark: int) -> str:
    """Mean and deviation, the mean alone of one race; nothing where the races were shorter."""
    found, deviation = row[f"mean_{mark}"], row[f"deviation_{mark}"]
    return f"{float(found):.3f}{f' ± {float(deviation):.3f}' if deviation else ''}" if found else ""


def ratios(problem: str) -> str:
    """Every method on one problem."""
    rows = raced(problem)
    marks = [mark for mark in MARKS if any(row[f"mean_{mark}"] for row in rows)]
    return table(
        ("method", "seeds", *(f"{mark} evaluations" for mark in marks), "CPU s a suggestion"),
        [
            (f"`{r['method']}`", r["seeds"], *(cell(r, mark) for mark in marks),
             f"{float(r['cpu_seconds_a_suggestion']):.3f}")
            for r in rows
        ],
    )  # fmt: skip


def ahead(problem: str, mark: int) -> tuple[float, float, dict[str, str]]:
    """How far `auto`, told nothing for nothing, is ahead of the best other; the standard error; that other."""
    rows = [r for r in raced(problem) if r[f"deviation_{mark}"] and r["method"] != OURS[0]]
    (own,) = (r for r in rows if r["method"] == OURS[1])
    best = max((r for r in rows if r is not own), key=lambda r: float(r[f"mean_{mark}"]))
    error = math.hypot(*(float(r[f"deviation_{mark}"]) / math.sqrt(int(r["seeds"])) for r in (own, best)))
    return float(own[f"mean_{mark}"]) - float(best[f"mean_{mark}"]), error, best


def verdicts() -> str:
    """`auto` against the best of all others, problem by problem."""
    rows = []
    for problem in PROBLEMS:
        for mark in MARKS[:3]:
            gain, error, best = ahead(problem, mark)
            word = "ahead" if gain > 2 * error else "behind" if gain < -2 * error else "even"
            rows.append((problem, str(mark), f"`{best['method']}`", f"{gain:+.3f} ± {error:.3f}", word))
    return table(("problem", "evaluations", "best of the others", "`auto` less that", "`auto` is"), rows)


def agreement() -> str:
    """How well costs order the cells by measured latency."""
    return table(
        ("latency measured as", "cost", "Kendall tau", "median error, scaled", "median, estimate over measured"),
        [
            (f"`{r['device']}`", r["cost"], r["kendall"], f"{float(r['median_error']):.0%}", r["median_ratio"])
            for r in read("search-thesis-agreement.csv")
        ],
    )


def operations() -> str:
    """What an operation adds, measured and estimated."""
    return table(
        ("operation", "measured, ms", "estimated, ms", "estimated over measured"),
        [
            (f"`{r['operation']}`", r["measured_ms"], r["estimated_ms"],
             f"{float(r['estimated_ms']) / float(r['measured_ms']):.2f}")
            for r in read("search-thesis-operations.csv")
        ],
    )  # fmt: skip


def thesis() -> str:
    """What was found, by what led the search, in measured latency."""
    groups: dict[tuple[str, str], Rows] = {}
    for row in read("search-thesis.csv"):
        groups.setdefault((row["device"], row["led_by"]), []).append(row)
    columns = [f"{which}_{mark}" for which in ("handed_over", "evaluated") for mark in MARKS[:3]]
    rows = []
    for (device, lead), group in groups.items():
        ratios = [[float(row[column]) for row in group] for column in columns]
        cells = [f"{mean(found):.3f} ± {stdev(found):.3f}" if len(found) > 1 else "" for found in ratios]
        rows.append((f"`{device}`", lead, str(len(group)), *cells))
    heads = [f"{which}, {mark}" for which in ("handed over", "all evaluated") for mark in MARKS[:3]]
    return table(("measured as", "led by", "seeds", *heads), rows)


def versions() -> str:
    """What the races were run with."""
    return table(("package", "version"), [(r["package"], r["version"]) for r in read("search-versions.csv")])


PARTS: dict[str, Callable[[], str]] = {
    "main": lambda: ratios(PROBLEMS[0]),
    "gpt": lambda: ratios(PROBLEMS[1]),
    "cifar10": lambda: ratios(PROBLEMS[2]),
    "processor": lambda: ratios(PROBLEMS[3]),
    "verdicts": verdicts,
    "versions": versions,
    "agreement": agreement,
    "operations": operations,
    "thesis": thesis,
}

if __name__ == "__main__":
    write(PAGE, PARTS)
