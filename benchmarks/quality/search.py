"""How much of the true front each search finds on tables in which every candidate's outcome is known.

    python benchmarks/quality/search.py [FOLDER] [--only PART] [--seeds N]

FOLDER (or the environment variable MODELWRIGHT_NAS_TABLES) holds nas_bench_201.csv.gz (NAS-Bench-201: 2020, arXiv
2001.00326; latencies of HW-NAS-Bench, 2021, arXiv 2103.10584, and of BRP-NAS, 2020, arXiv 2007.08668) and
hw_gpt_bench_s.csv.gz (HW-GPT-Bench: 2024, arXiv 2405.10299). A race that benchmarks/results/search-races.csv holds is
not run again, so the benchmark may be stopped and resumed at will. Writes search-races.csv as it goes and search.csv,
the summary, at the end, with search-versions.csv beside it. `--summary` writes only the summary.

The peers need Optuna and pymoo, which the tests bring, and BoTorch with what it imports, which `make bench-setup` adds
without touching torch. Where a race takes minutes, seeds are fewer: PLAN says how many.
"""

import argparse
import csv
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).parent))  # botorch_peer is met by its name

from modelwright.search.bench import Race, Table, read_table

RESULTS = Path(__file__).parents[1] / "results"
RACES, SUMMARY, VERSIONS = (RESULTS / f"search{part}.csv" for part in ("-races", "", "-versions"))
PACKAGES = ("numpy", "scipy", "scikit-learn", "optuna", "pymoo", "botorch", "gpytorch", "torch")
MARKS = (50, 100, 200, 400)
FREE = "auto, latency free"
"""The one method that is told what latency costs nothing to know."""
METHODS = {FREE: "auto", "botorch-qlognehvi": "botorch_peer:QLogNEHVI"}
"""What stands behind the names that are no search algorithm's own."""

Key = tuple[str, str, int]


@dataclass(frozen=True)
class Problem:
    """A table and what is asked of it.

    Attributes:
        name: for the results.
        file: in the folder of tables.
        choices, minimise, maximise: columns.
        latency: the column that may be free.
    """

    name: str
    file: str
    choices: tuple[str, ...]
    minimise: tuple[str, ...]
    maximise: tuple[str, ...]
    latency: str

    def table(self, folder: Path) -> Table:
        """The table, every outcome to be paid for."""
        return _read(folder / self.file, self.choices, self.minimise, self.maximise)


def cells(latency: str, accuracy: str) -> Problem:
    """NAS-Bench-201: all 15,625 cells of six operations."""
    name = f"nas-bench-201 {accuracy.removeprefix('acc_')} x {latency.removeprefix('lat_')}"
    return Problem(name, "nas_bench_201.csv.gz", ("arch_str",), (latency,), (accuracy,), latency)


def transformers(latency: str) -> Problem:
    """HW-GPT-Bench, its smallest scale: 10,000 GPTs, heads and widths chosen layer by layer."""
    choices = ("embed_dim", "n_layer", "n_head", "mlp_ratio", "bias")
    name = f"hw-gpt-bench perplexity x {latency.removeprefix('lat_ms_')}"
    return Problem(name, "hw_gpt_bench_s.csv.gz", choices, ("perplexity", latency), (), latency)


MAIN, GPT = cells("lat_titan_rtx_256", "acc_cifar100"), transformers("lat_ms_a100")
OTHERS = (cells("lat_titan_rtx_256", "acc_cifar10"), cells("lat_silver_4114", "acc_cifar100"))
CHEAP = ("random", "local", "evolution", "nsga2", "reinforce", "pymoo-nsga2", "optuna-nsga2")
AUTO = (FREE, "auto")


@dataclass(frozen=True)
class Part:
    """Races that belong together.

    Attributes:
        name: for `--only`.
        problems, methods: each problem with each method.
        seeds, evaluations: of each.
    """

    name: str
    problems: tuple[Problem, ...]
    methods: tuple[str, ...]
    seeds: int
    evaluations: int


PLAN = (
    Part("cheap", (MAIN,), CHEAP, 20, 400),
    Part("auto", (MAIN,), AUTO, 20, 200),
    Part("gpt", (GPT,), (*CHEAP, *AUTO), 20, 200),
    Part("tpe", (MAIN, GPT), ("optuna-tpe",), 20, 200),
    Part("others", OTHERS, (*CHEAP, *AUTO), 20, 200),
    Part("slow", (MAIN, GPT), ("bayesian",), 10, 200),
    Part("botorch", (MAIN, GPT), ("botorch-qlognehvi",), 3, 100),
)


def races(parts: Sequence[Part], seeds: int) -> Iterator[tuple[Problem, str, int, int]]:
    """Each race of the plan: problem, method, seed, evaluations."""
    for part in parts:
        for problem in part.problems:
            for method in part.methods:
                for seed in range(min(part.seeds, seeds)):
                    yield problem, method, seed, part.evaluations


def run(problem: Problem, method: str, seed: int, evaluations: int, folder: Path) -> dict[str, object]:
    """One race, as a row of the results."""
    table = problem.table(folder)
    if method == FREE:
        table = replace(table, free=tuple(name == problem.latency for name in table.objectives))
    start = time.process_time()
    outcome = Race(table, METHODS.get(method, method), evaluations).run(seed)
    seconds = time.process_time() - start
    ratios = {f"ratio_{mark}": f"{outcome.ratios[mark]:.5f}" if mark in outcome.ratios else "" for mark in MARKS}
    row = {"problem": problem.name, "method": method, "seed": seed, "evaluations": evaluations, **ratios}
    return row | {"cpu_seconds_a_suggestion": f"{seconds / evaluations:.4f}"}


def done(path: Path = RACES) -> dict[Key, dict[str, str]]:
    """The races that were run."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {(row["problem"], row["method"], int(row["seed"])): row for row in csv.DictReader(file)}


def append(path: Path, row: dict[str, object]) -> None:
    """Add a row to a CSV file; its names first, if it is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def summary(rows: Sequence[dict[str, str]]) -> Iterator[dict[str, object]]:
    """Mean and standard deviation over the seeds, one row a problem and method."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["problem"], row["method"]), []).append(row)
    for (problem, method), group in sorted(groups.items()):
        found: dict[str, object] = {"problem": problem, "method": method, "seeds": len(group)}
        for mark in MARKS:
            ratios = [float(row[f"ratio_{mark}"]) for row in group if row[f"ratio_{mark}"]]
            found[f"mean_{mark}"] = f"{mean(ratios):.4f}" if ratios else ""
            found[f"deviation_{mark}"] = f"{stdev(ratios):.4f}" if len(ratios) > 1 else ""
        seconds = [float(row["cpu_seconds_a_suggestion"]) for row in group]
        yield found | {"cpu_seconds_a_suggestion": f"{mean(seconds):.4f}"}


def write_summary() -> None:
    """Write search.csv from search-races.csv."""
    write(SUMMARY, list(summary(list(done().values()))))


def write_versions() -> None:
    """Write search-versions.csv: what the races were run with."""
    used = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    write(VERSIONS, [{"package": name, "version": number} for name, number in used.items()])


def write(path: Path, lines: Sequence[dict[str, object]]) -> None:
    """Write rows as a CSV file; none where there are none."""
    if lines:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)


def folder_of(given: Path | None) -> Path | None:
    """Where the tables are; None where nobody said, or they are not there."""
    named = given or (Path(os.environ["MODELWRIGHT_NAS_TABLES"]) if "MODELWRIGHT_NAS_TABLES" in os.environ else None)
    return named if named and all((named / problem.file).exists() for problem in (MAIN, GPT)) else None


@cache
def _read(path: Path, choices: tuple[str, ...], minimise: tuple[str, ...], maximise: tuple[str, ...]) -> Table:
    return read_table(path, choices, minimise=minimise, maximise=maximise)


def main() -> None:
    """Run what is missing, write the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--only", action="append", choices=[part.name for part in PLAN], help="a part of the plan")
    parser.add_argument("--seeds", type=int, default=20, help="at most so many of each")
    parser.add_argument("--summary", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    folder = folder_of(arguments.folder)
    if not arguments.summary and folder is None:
        print("skipped: the tables are not here; name their folder")
        return
    parts = [part for part in PLAN if not arguments.only or part.name in arguments.only]
    for problem, method, seed, evaluations in races(parts, arguments.seeds) if folder and not arguments.summary else ():
        if (problem.name, method, seed) not in done():
            row = run(problem, method, seed, evaluations, folder)
            append(RACES, row)
            print("  ".join(f"{name}={value}" for name, value in row.items()), flush=True)
    if folder and not arguments.summary:
        write_versions()
    write_summary()


if __name__ == "__main__":
    main()
