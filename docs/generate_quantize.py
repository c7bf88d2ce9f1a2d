"""Writes the tables of docs/quantize-results.md from benchmarks/results: python docs/generate_quantize.py."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import Rows, read, renewed, table, write

PAGE = Path(__file__).with_name("quantize-results.md")
ACCURACY = "quantized-accuracy-amd-epyc.csv"
PUBLISHED = (
    ("MobileNet v1", ".709", ".001", ".591", ".703", ".70", ".707", ".001", ".65"),
    ("MobileNet v2", ".719", ".001", ".698", ".697", ".709", ".711", ".001", ".62"),
    ("ResNet v1 50", ".752", ".75", ".751", ".751", ".75", ".751", ".54", ".732"),
)
"""Krishnamoorthi, 2018, arXiv 1806.08342: what `published` shows of our own networks, of his."""
HEADLINE = (
    ("scheme", "tensor affine, affine, 8/8"),
    ("scheme", "channel symmetric, affine, 8/8"),
    ("scheme", "channel affine, affine, 8/8"),
    ("qat", "tensor symmetric, affine, 8/8"),
    ("qat", "channel symmetric, affine, 8/8"),
    ("scheme", "channel symmetric, affine, 4/8"),
    ("qat", "channel symmetric, affine, 4/8"),
)
"""Its columns: part and candidate of the results."""

Network = tuple[str, str]
"""Data set and network."""


def page(text: str) -> str:
    """The page with each generated part made anew."""
    return renewed(text, PARTS)


def published() -> str:
    """Our networks as Krishnamoorthi shows his, whose figures stand below."""
    heads = ("network", "fp32", "a tensor, affine", "a channel, symmetric", "a channel, affine",
             "a tensor, trained", "a channel, trained", "4 bits, a channel", "4 bits, trained")  # fmt: skip
    rows = read(ACCURACY)
    ours = [
        (called(one), share(find(rows, one, "float", "fp32")), *(kept(rows, one, *column) for column in HEADLINE))
        for one in networks(rows)
    ]
    return table(heads, [*ours, *((f"*{name}, ImageNet*", *figures) for name, *figures in PUBLISHED)])


def schemes() -> str:
    """Every scheme: a row each, a column a network."""
    return by_network("scheme", ("weights a", "activations", "bits"), lambda name: tuple(name.rsplit(", ", 2)))


def calibrations() -> str:
    """Every calibration."""
    return by_network("calibration", ("calibration", "bits of activations"), lambda name: tuple(name.split(", ")))


def partial() -> str:
    """The most sensitive layers in float."""
    return by_network("partial", ("eighths of the layers in float", "bits"), lambda name: tuple(name.split(" of 8, ")))


def lighter() -> str:
    """Weights only, and dynamic activations."""
    rows = [row for row in read(ACCURACY) if row["part"] in ("weight-only", "dynamic")]
    return crossed(rows, ("what", "how"), lambda row: (row["part"], row["candidate"]))


def techniques() -> str:
    """What makes a network lose less."""
    wanted = {"tensor symmetric, affine, 8/8", "channel symmetric, affine, 4/8"}
    rows = [row for row in read(ACCURACY) if row["part"] == "technique" or
            (row["part"] == "scheme" and row["candidate"] in wanted)]  # fmt: skip
    keys = [(row["candidate"].rpartition("; ")[2], row["techniques"] or "none") for row in rows]
    order = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    rows.sort(key=lambda row: (row["weight_bits"] != "8", order[key_of(row)]))
    return crossed(rows, ("scheme", "techniques"), key_of)


def key_of(row: dict[str, str]) -> tuple[str, str]:
    """A technique's row: its scheme, and the techniques."""
    return row["candidate"].rpartition("; ")[2], row["techniques"] or "none"


def trainings() -> str:
    """What training with quantization simulated brings back, with intervals."""
    rows = read(ACCURACY)
    return table(
        ("network", "scheme", "fp32", "calibrated: lost", "trained: lost"),
        [
            (called(network_of(row)), row["candidate"], share(find(rows, network_of(row), "float", "fp32")),
             lost(find(rows, network_of(row), "scheme", row["candidate"].partition(", scales")[0])), lost(row))
            for row in rows if row["part"] == "qat"
        ],
    )  # fmt: skip


def target() -> str:
    """The simulation beside the program that OpenVINO runs, on the same images."""
    rows = [row for row in read(ACCURACY) if row["target_images"] and row["part"] != "flow"]
    return table(
        ("network", "candidate", "fp32 lost, simulated", "in OpenVINO", "SQNR, simulated", "in OpenVINO"),
        [
            (called(network_of(row)), f"{row['part']}: {row['candidate']}", lost(row), lost(row, "target_"),
             f"{float(row['sqnr_db']):.1f} dB", f"{float(row['target_sqnr_db']):.1f} dB")
            for row in rows
        ],
    )  # fmt: skip


def flow() -> str:
    """What `modelwright quantize` tried, the one that it chose in bold."""
    rows = [row for row in read(ACCURACY) if row["part"] == "flow"]
    plain = {network_of(row): float(row["latency_s"]) for row in rows if row["candidate"] == "fp32"}

    def cells(row: dict[str, str]) -> tuple[str, ...]:
        name = f"**{row['candidate']}**" if row["chosen"] == "True" else row["candidate"]
        took = float(row["latency_s"])
        return (called(network_of(row)), name, f"{took * 1e3:.3f} ms", f"{plain[network_of(row)] / took:.2f}x",
                lost(row), lost(row, "target_"), f"{float(row['target_sqnr_db']):.1f} dB")  # fmt: skip

    heads = ("network", "candidate", "latency", "faster", "lost, validation", "lost, test", "SQNR")
    return table(heads, [cells(row) for row in rows])


def by_network(part: str, heads: tuple[str, ...], split: Callable[[str], tuple[str, ...]]) -> str:
    """A table of one part: a row a candidate, its name split into cells, and a column a network."""
    rows = [row for row in read(ACCURACY) if row["part"] == part]
    return crossed(rows, heads, lambda row: split(row["candidate"]))


def crossed(rows: Rows, heads: tuple[str, ...], key: Callable[[dict[str, str]], tuple[str, ...]]) -> str:
    """A table of what is lost: rows by key, a column a network, and the float accuracy above."""
    columns = networks(rows)
    every = read(ACCURACY)
    found = {(key(row), network_of(row)): row for row in rows}
    plain = ("fp32", *[""] * (len(heads) - 1), *(share(find(every, one, "float", "fp32")) for one in columns))
    keys = list(dict.fromkeys(map(key, rows)))
    return table(
        (*heads, *map(called, columns)),
        [plain, *((*one, *(points(found.get((one, column))) for column in columns)) for one in keys)],
    )


def networks(rows: Iterable[dict[str, str]]) -> list[Network]:
    """Those that there are, in order."""
    return list(dict.fromkeys(map(network_of, rows)))


def network_of(row: dict[str, str]) -> Network:
    """Which network a row is about."""
    return row["data"], row["network"]


def called(network: Network) -> str:
    """How the page calls a network."""
    return f"{network[0].replace('_', '-')}, {network[1]}"


def find(rows: Rows, network: Network, part: str, candidate: str) -> dict[str, str] | None:
    """The row of a candidate, None where it was not tried."""
    able = (row for row in rows if network_of(row) == network and (row["part"], row["candidate"]) == (part, candidate))
    return next(able, None)


def share(row: dict[str, str] | None) -> str:
    """An accuracy in percent."""
    return f"{float(row['accuracy']):.1%}" if row else ""


def kept(rows: Rows, network: Network, part: str, candidate: str) -> str:
    """The float accuracy on all images, less what is lost on those that a candidate was judged on."""
    plain, row = find(rows, network, "float", "fp32"), find(rows, network, part, candidate)
    return f"{float(plain['accuracy']) - float(row['drop']):.1%}" if plain and row else ""


def points(row: dict[str, str] | None) -> str:
    """Points of accuracy that were lost."""
    return f"{round(100 * float(row['drop']), 1) + 0:.1f}" if row else ""  # 0 makes -0.0 one without a sign


def lost(row: dict[str, str] | None, before: str = "") -> str:
    """Points of accuracy that were lost, with their interval."""
    if not row:
        return ""
    drop, low, high = (round(100 * float(row[f"{before}drop{end}"]), 2) + 0 for end in ("", "_low", "_high"))
    return f"{drop:.2f} ({low:.2f} to {high:.2f})"


PARTS: dict[str, Callable[[], str]] = {
    "published": published,
    "schemes": schemes,
    "calibrations": calibrations,
    "partial": partial,
    "lighter": lighter,
    "techniques": techniques,
    "trainings": trainings,
    "target": target,
    "flow": flow,
}

if __name__ == "__main__":
    write(PAGE, PARTS)
