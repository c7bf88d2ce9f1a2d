"""Writes the tables of docs/search-benchmark.md from benchmarks/results: python docs/generate_search.py."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path

PAGE = Path(__file__).with_name("search-benchmark.md")
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
MARKS = (50, 100, 200, 400)
OURS = ("auto, latency free", "auto")
MAIN = "nas-bench-201 cifar100 x titan_rtx_256"
PROBLEMS = (
    MAIN,
    "hw-gpt-bench perplexity x a100",
    "nas-bench-201 cifar10 x titan_rtx_256",
    "nas-bench-201 cifar100 x silver_4114",
)
Rows = list[dict[str, str]]


def page(text: str) -> str:
    """The page with each generated part made anew; a part stands between <!-- NAME --> and <!-- end -->."""
    pieces = text.split("<!-- ")
    made = [pieces[0]]
    for piece in pieces[1:]:
        name = piece.partition(" -->")[0]
        part = PARTS.get(name)
        made.append(f"{name} -->\n\n{part()}\n\n" if part else piece)
    return "<!-- ".join(made)


def read(name: str) -> Rows:
    """The rows of one file of benchmarks/results."""
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def raced(problem: str) -> Rows:
    """The methods of one problem, those that found most in 100 evaluations first."""
    return sorted((r for r in read("search.csv") if r["problem"] == problem), key=lambda r: -float(r["mean_100"]))


def cell(row: dict[str, str], mark: int) -> str:
    """Mean and deviation; nothing where the races were shorter."""
    mean, deviation = row[f"mean_{mark}"], row[f"deviation_{mark}"]
    return f"{float(mean):.3f} ± {float(deviation):.3f}" if mean and deviation else ""


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
    rows = [r for r in raced(problem) if r[f"mean_{mark}"] and r["method"] != OURS[0]]
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
}

if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE.name}")
