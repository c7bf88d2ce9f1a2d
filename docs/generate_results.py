"""Writes the tables of docs/results.md from benchmarks/results: python docs/generate_results.py."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

PAGE = Path(__file__).with_name("results.md")
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
Rows = list[dict[str, str]]


def page(text: str) -> str:
    """The page with each generated part made anew; a part stands between <!-- NAME --> and <!-- end -->."""
    pieces = text.split("<!-- ")
    made = [pieces[0]]
    for piece in pieces[1:]:
        name = piece.partition(" -->")[0]
        part = PARTS.get(name)
        body = f"{name} -->\n\n{part()}\n\n" if part else piece
        made.append(body)
    return "<!-- ".join(made)


def read(name: str) -> Rows:
    """The rows of one file of benchmarks/results."""
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def speedups() -> str:
    """EfficientNet over EfficientNet-X, as the model takes them by itself."""
    rows = [r for r in read("efficientnets-speedups.csv") if r["comparison"].startswith("Eff") and not r["note"]]
    heads = ("from EfficientNet to", "platform", "run as", "batch", "speed-up, mean", "B0", "B7", "FLOPs", "authors")
    return table(
        heads,
        [
            (r["comparison"].partition("-> ")[2], r["platform"], r["execution"], r["batch"], f"{float(r['mean']):.2f}",
             f"{float(r['b0']):.2f}", f"{float(r['b7']):.2f}", f"{float(r['flops_ratio']):.2f}x", r["authors"])
            for r in rows if r["batch"] == "128"
        ],
    )  # fmt: skip


def variants() -> str:
    """The same with one assumption taken differently."""
    rows = [r for r in read("efficientnets-speedups.csv") if r["note"]]
    heads = ("from EfficientNet to", "platform", "assumption", "speed-up, mean", "authors")
    return table(
        heads,
        [
            (r["comparison"].partition("-> ")[2], r["platform"], r["note"], f"{float(r['mean']):.2f}", r["authors"])
            for r in rows
        ],
    )


def generations() -> str:
    """TPU v2 over TPU v4i."""
    rows = [r for r in read("efficientnets-speedups.csv") if r["comparison"].startswith("TPU")]
    return table(
        ("family", "batch", "v2 -> v4i, geometric mean", "authors"),
        [
            (r["comparison"].partition(", ")[2], r["batch"], f"{float(r['geometric_mean']):.2f}", r["authors"])
            for r in rows
        ],
    )


def proportionality() -> str:
    """The error of taking latency for proportional to FLOPs."""
    return table(
        ("data", "networks", "median error", "largest error", "seconds a FLOP, largest over smallest"),
        [
            (r["data"], r["networks"], f"{float(r['median_error']):.0%}", f"{float(r['largest_error']):.0%}",
             f"{float(r['range_of_seconds_a_flop']):.1f}")
            for r in read("flops-latency.csv")
        ],
    )  # fmt: skip


def throughput() -> str:
    """Predicted against measured throughput, beside the peers."""
    return table(
        ("measured file", "rows", "networks", "predictor", "Kendall tau", "MAPE", "within 10 %", "scale"),
        [
            (r["file"], r["rows"], r["networks"], r["predictor"], f"{float(r['tau']):.3f}", f"{float(r['mape']):.1%}",
             f"{float(r['within_10']):.0%}", f"{float(r['scale']):.2f}" if r["predictor"] == "modelwright" else "")
            for r in read("throughput.csv")
        ],
    )  # fmt: skip


def speed() -> str:
    """How fast estimates are made."""
    rows: Rows = []
    for path in sorted(RESULTS.glob("estimates-*.csv")):
        rows += read(path.name)
    return table(("what", "value", "unit", "machine"), [(r["what"], r["value"], r["unit"], r["device"]) for r in rows])


PARTS: dict[str, Callable[[], str]] = {
    "speedups": speedups,
    "variants": variants,
    "generations": generations,
    "proportionality": proportionality,
    "throughput": throughput,
    "speed": speed,
}

if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE.name}")
