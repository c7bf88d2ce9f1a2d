"""Writes the tables of docs/results.md from benchmarks/results: python docs/generate_results.py."""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import RESULTS, Rows, read, renewed, table, write

PAGE = Path(__file__).with_name("results.md")


def page(text: str) -> str:
    """The page with each generated part made anew."""
    return renewed(text, PARTS)


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


def families() -> str:
    """Each family that was searched for, smallest first, and what it is held against."""
    made = []
    for path in sorted(RESULTS.glob("family-*.csv")):
        rows = read(path.name)
        told = f"{path.stem.removeprefix('family-')}: {rows[0]['images']} training images, {rows[0]['epochs']} epochs"
        shown = table(
            ("network", "test accuracy", "measured", "spread", "predicted", "parameters", "FLOPs"),
            [
                (r["network"] if r["role"] == "reference" else f"**{r['network']}**",
                 f"{float(r['test_accuracy']):.1%}", f"{float(r['measured_s']) * 1e3:.2f} ms",
                 f"{float(r['spread']):.0%}", f"{float(r['predicted_s']) * 1e3:.2f} ms",
                 f"{int(r['params']) / 1e3:.0f} k", f"{int(r['flops']) / 1e6:.1f} M")
                for r in rows
            ],
        )  # fmt: skip
        made.append(f"{told}, on {rows[0]['device']}, {rows[0]['threads']} thread.\n\n{shown}")
    return "\n\n".join(made)


def candidates() -> str:
    """Candidates that were measured on a GPU, beside what the calibrated model had said of them."""
    rows = [r for r in read("candidates-cifar10-nvidia-h200.csv") if r["measured_s"]]
    off = sorted(abs(float(r["predicted_s"]) / float(r["measured_s"]) - 1) for r in rows)
    shown = table(
        ("trial", "epochs", "validation accuracy", "predicted", "measured", "FLOPs of a batch"),
        [
            (r["trial"], r["epochs"], f"{float(r['validation_accuracy']):.1%}",
             f"{float(r['predicted_s']) * 1e3:.3f} ms", f"{float(r['measured_s']) * 1e3:.3f} ms",
             f"{int(r['flops']) / 1e9:.1f} G")
            for r in sorted(rows, key=lambda r: float(r["measured_s"]))
        ],
    )  # fmt: skip
    return f"{shown}\n\nThe predictions are off by {median(off):.1%} in the median and by {off[-1]:.1%} at most."


PARTS: dict[str, Callable[[], str]] = {
    "speedups": speedups,
    "variants": variants,
    "generations": generations,
    "proportionality": proportionality,
    "throughput": throughput,
    "speed": speed,
    "families": families,
    "candidates": candidates,
}

if __name__ == "__main__":
    write(PAGE, PARTS)
