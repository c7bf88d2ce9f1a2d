"""Results of the guard's benchmarks as CSV, named by the device, with what they were made with."""

import csv
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from modelwright.cli.measure import commit
from modelwright.networks.measuring.machine import describe

RESULTS = Path(__file__).parents[1] / "results"


def write(word: str, rows: Sequence[Mapping[str, object]], keys: Sequence[str], folder: Path = RESULTS) -> None:
    """A table; rows of an earlier one stay, unless one of now has the same in all of `keys`."""
    device = describe(torch.device("cpu"), torch.get_num_threads(), commit())
    tail = {
        "device": device.name,
        "threads": device.threads,
        "torch": device.versions["torch"],
        "sklearn": version("scikit-learn"),
        "commit": device.commit,
    }
    made: list[Mapping[str, object]] = [{**row, **tail} for row in rows]
    file = folder / f"{word}-{re.sub(r'[^a-z0-9]+', '-', device.name.lower()).strip('-')}.csv"
    if file.exists():
        now = {tuple(str(row[key]) for key in keys) for row in made}
        with file.open(encoding="utf-8", newline="") as text:
            made = [row for row in csv.DictReader(text) if tuple(row.get(key, "") for key in keys) not in now] + made
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(made[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)
    print(f"wrote {file}")
