"""How long it takes to start: a fresh interpreter to its end, the median of 20 runs, one row a way in.

    python benchmarks/speed/startup.py [--device NAME] [--runs 20]

writes benchmarks/results/startup-<device>.csv. The rows take turns, so that a busy moment falls on all of them alike.
"""

import argparse
import csv
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import modelwright

RESULTS = Path(__file__).resolve().parents[1] / "results"

WAYS_IN = {
    "python": ["-c", "pass"],
    "import modelwright": ["-c", "import modelwright"],
    "modelwright --help": ["-m", "modelwright", "--help"],
    "modelwright --version": ["-m", "modelwright", "--version"],
    "import modelwright.records": ["-c", "import modelwright.records"],
}


def processor() -> str:
    """The processor's own name, as a part of a file's name."""
    facts = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", facts.read_text(), re.MULTILINE) if facts.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return re.sub(r"[^a-z0-9]+", "-", name.partition("@")[0].lower()).strip("-")


def seconds(arguments: list[str]) -> float:
    """One run, from the start of the interpreter to its end."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # as installed: the bytecode is there after one run
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environment, check=True)
    return time.perf_counter() - began


def commit() -> str:
    """The checkout's commit, "" outside one."""
    ask = ["git", "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=processor(), help="name for the file (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=20, help="runs a row (default: %(default)s)")
    arguments = parser.parse_args()

    taken: dict[str, list[float]] = {name: [] for name in WAYS_IN}
    for _ in range(arguments.runs + 1):
        for name, words in WAYS_IN.items():
            taken[name].append(seconds(words))

    path = RESULTS / f"startup-{arguments.device}.csv"
    path.parent.mkdir(exist_ok=True)
    how = [arguments.runs, platform.python_version(), modelwright.__version__, commit()]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["what", "median_ms", "fastest_ms", "slowest_ms", "runs", "python", "modelwright", "commit"])
        for name, (_, *runs) in taken.items():  # the first run fills the caches
            figures = (statistics.median(runs), min(runs), max(runs))
            table.writerow([name, *(f"{1000 * figure:.0f}" for figure in figures), *how])
    print(path.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
