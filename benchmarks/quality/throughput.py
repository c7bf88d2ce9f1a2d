"""Predicted against measured throughput of timm's networks on a card, estimated from its specification.

    python benchmarks/quality/throughput.py RESULTS.csv ... --cache FOLDER [--sample N] [--cached]

Each file is one of timm's published `results/benchmark-infer-*.csv`; its name says precision, layout, card and whether
it was compiled. Every row is built with timm, traced and estimated from the published specification alone; a row whose
parameters differ from the file's by more than 2 % is another version of the network and is left out. Tracing 1,400
networks takes hours; what has been traced is kept in the cache. Rows are taken in a shuffled order (seed 0), so that a
sample is fair. The scores of files that are not named stay in throughput.csv as they are. "amp" is read as autocast
with timm's fast norm: the files do not say, but without it networks with group normalisation are predicted half as fast
as measured. The networks of looked_at.txt were looked at while the model was built; the others were not, and are
reported apart.
"""

import argparse
import csv
import random
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from timm_networks import kept, workload

from modelwright.hardware import estimate, platform, platform_names
from modelwright.records import Workload

LOOKED_AT = frozenset((Path(__file__).parent / "looked_at.txt").read_text().split("\n")[1:])
CPUS = {"i9_10940x": "core-i9-10940x"}


class Setting(NamedTuple):
    """What a file's name says."""

    platform: str
    precision: str
    execution: str
    channels_last: bool


class Row(NamedTuple):
    """One network: the measured samples per second and the predicted."""

    model: str
    size: int
    batch: int
    measured: float
    predicted: float
    bound: str
    held: bool
    gmacs: float
    macts: float
    params: float


def setting(path: Path) -> Setting:
    """Read benchmark-infer-PRECISION-LAYOUT-ptXXX-[cuXXX-]CARD[-dynamo].csv."""
    parts = path.stem.removeprefix("benchmark-infer-").split("-")
    named = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in parts[3:]]
    known = {re.sub(r"[^a-z0-9]", "", name): name for name in platform_names()}
    known.update({re.sub(r"[^a-z0-9]", "", cpu): name for cpu, name in CPUS.items()})
    joined = "".join(part for part in named if part not in {"dynamo", "cpu"} and not part.startswith("cu1"))
    card = next((known[key] for key in sorted(known, key=len, reverse=True) if key in joined), None)
    if card is None:
        sys.exit(f"{path.name}: no platform is named like {joined!r}; known: {', '.join(platform_names())}")
    precision = "amp-fast-norm" if parts[0] == "amp" else {"fp32": "fp32", "bf16": "bf16", "fp16": "fp16"}[parts[0]]
    return Setting(card, precision, "compiled" if "dynamo" in named else "eager", parts[1] == "nhwc")


def order(paths: Sequence[Path]) -> dict[tuple[str, int], int]:
    """Every (model, size) of all files with its place in the shuffled list."""
    keys = {(row["model"], int(row["infer_img_size"])) for path in paths for row in _read(path)}
    shuffled = sorted(keys)
    random.Random(0).shuffle(shuffled)
    return {key: place for place, key in enumerate(shuffled)}


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def chosen(path: Path, places: dict[tuple[str, int], int], arguments: argparse.Namespace) -> list[dict[str, str]]:
    """The file's rows that take part, in the shuffled order."""
    rows = sorted(_read(path), key=lambda row: places[row["model"], int(row["infer_img_size"])])
    rows = [row for row in rows if places[row["model"], int(row["infer_img_size"])] < arguments.sample]
    if not arguments.cached:
        return rows
    last = setting(path).channels_last
    return [row for row in rows if kept(row["model"], int(row["infer_img_size"]), last, arguments.cache).exists()]


def predict(path: Path, rows: Sequence[dict[str, str]], cache: Path, jobs: int) -> Iterator[Row | str]:
    """A Row for every network that can be built, a reason for every one that cannot."""
    how = setting(path)
    target = platform(how.platform)
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(workload, r["model"], int(r["infer_img_size"]), how.channels_last, cache) for r in rows]
        for number, (row, future) in enumerate(zip(rows, futures, strict=True)):
            if sys.stderr.isatty():
                print(f"\r{path.name}: {number + 1} of {len(rows)}", end="", file=sys.stderr)
            traced = future.result()
            params = float(row["param_count"].replace(",", ""))
            if isinstance(traced, Workload) and abs(traced.parameters / 1e6 - params) > 0.02 * params + 0.02:
                traced = f"{traced.parameters / 1e6:.2f} million parameters, measured with {params}"
            if isinstance(traced, str):
                yield f"{row['model']}@{row['infer_img_size']}: {traced}"
                continue
            batch = int(row["infer_batch_size"])
            cost = estimate(traced, target, batch=batch, precision=how.precision, execution=how.execution, strict=False)  # type: ignore[arg-type]
            held = f"{row['model']}@{row['infer_img_size']}" not in LOOKED_AT
            yield Row(
                row["model"], int(row["infer_img_size"]), batch, float(row["infer_samples_per_sec"]),
                cost.throughput_per_s, cost.bound, held,
                float(row["infer_gmacs"] or 0), float(row["infer_macts"] or 0), params,
            )  # fmt: skip


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b."""
    upper = np.triu_indices(len(a), 1)
    signs_a, signs_b = np.sign(a[:, None] - a[None])[upper], np.sign(b[:, None] - b[None])[upper]
    return float((signs_a * signs_b).sum() / np.sqrt((signs_a != 0).sum() * (signs_b != 0).sum()))


def score(measured: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """tau, mean absolute percentage error after the one scale factor that suits it, share within 10 %, that factor."""
    ratio = measured / predicted
    factors = np.median(ratio) * np.exp(np.linspace(-0.4, 0.4, 401))
    errors = np.abs(predicted[None] * factors[:, None] / measured[None] - 1)
    best = int(errors.mean(axis=1).argmin())
    return {
        "tau": kendall(measured, predicted),
        "mape": float(errors[best].mean()),
        "median_error": float(np.median(errors[best])),
        "within_10": float((errors[best] < 0.1).mean()),
        "scale": float(factors[best]),
    }


def log_linear(rows: Sequence[Row]) -> np.ndarray:
    """The peer: seconds a sample fitted to MACs, activations and parameters (all in logarithms) on these very rows."""
    columns = [np.log(np.array([getattr(r, name) for r in rows]) + 1e-3) for name in ("gmacs", "macts", "params")]
    design = np.column_stack([np.ones(len(rows)), *columns])
    target = np.log([1 / r.measured for r in rows])
    return np.exp(design @ np.linalg.lstsq(design, target, rcond=None)[0])


def summary(name: str, rows: Sequence[Row]) -> Iterator[dict[str, object]]:
    """Scores of this model and of its peers, on all rows and on those never looked at."""
    for which, chosen in (("all", list(rows)), ("never looked at", [r for r in rows if r.held])):
        if len(chosen) < 10:
            continue
        measured = np.array([1 / r.measured for r in chosen])
        peers = {
            "modelwright": np.array([1 / r.predicted for r in chosen]),
            "MACs alone": np.array([r.gmacs + 1e-3 for r in chosen]),
            "log-linear fit on this card": log_linear(chosen),
        }
        for peer, predicted in peers.items():
            scores = {key: round(value, 4) for key, value in score(measured, predicted).items()}
            yield {"file": name, "rows": which, "networks": len(chosen), "predictor": peer, **scores}


def main() -> None:
    """Parse, predict, write benchmarks/results/throughput-*.csv and throughput.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("build/timm"))
    parser.add_argument("--sample", type=int, default=10**9, help="only the first N of the shuffled list")
    parser.add_argument("--cached", action="store_true", help="only networks that the cache already holds")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results")
    arguments = parser.parse_args()
    places = order(arguments.files)
    lines: list[dict[str, object]] = []
    for path in arguments.files:
        found = list(predict(path, chosen(path, places, arguments), arguments.cache, arguments.jobs))
        rows = [row for row in found if isinstance(row, Row)]
        for reason in (row for row in found if isinstance(row, str)):
            print("left out:", reason, file=sys.stderr)
        name = path.stem.removeprefix("benchmark-infer-")
        _write(arguments.output / f"throughput-{name}.csv", [row._asdict() for row in rows])
        lines += [{**line, "left_out": len(found) - len(rows)} for line in summary(name, rows)]
    whole = [*_others(arguments.output / "throughput.csv", lines), *lines]
    _write(arguments.output / "throughput.csv", sorted(whole, key=lambda line: str(line["file"])))
    for line in lines:
        print("  ".join(f"{key}={value}" for key, value in line.items()))


def _others(path: Path, lines: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """What earlier runs found on other files: it stays."""
    new = {line["file"] for line in lines}
    return [dict(row) for row in _read(path) if row["file"] not in new] if path.exists() else []


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})


if __name__ == "__main__":
    main()
