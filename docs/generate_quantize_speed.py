"""Writes the tables of docs/quantize-speed.md from benchmarks/results: python docs/generate_quantize_speed.py."""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import Rows, read, renewed, table, write

PAGE = Path(__file__).with_name("quantize-speed.md")
QUANTIZERS, MIXES, SENSITIVITY = (f"{name}-amd-epyc.csv" for name in ("quantizers", "mixes", "sensitivity"))
OURS = "modelwright"
EQUAL = 1.03
"""Latencies that differ by less are as good as one."""


def page(text: str) -> str:
    """The page with each generated part made anew."""
    return renewed(text, PARTS)


def took(row: dict[str, str]) -> float:
    """Milliseconds."""
    return float(row["latency_s"]) * 1e3


def cells() -> list[tuple[dict[str, str], list[dict[str, str]], Rows]]:
    """Of each network in each runtime: ours in int8, the others' from the fastest on, and all rows of the cell.

    Each quantizer counts with the faster of what it leaves in fp32 and in bf16.
    """
    found: dict[tuple[str, str, str], Rows] = {}
    for row in read(QUANTIZERS):
        found.setdefault((row["network"], row["batch"], row["runtime"]), []).append(row)
    made = []
    for rows in found.values():
        best: dict[str, dict[str, str]] = {}
        for row in sorted(rows, key=took):
            if row["precision"].startswith("int8"):
                best.setdefault(row["quantizer"], row)
        made.append((best.pop(OURS), list(best.values()), rows))
    return made


def latencies() -> str:
    """A row for each network in each runtime."""
    made = []
    for one, others, same in cells():
        floats = {row["precision"]: took(row) for row in same if row["quantizer"] == OURS}
        told = ", ".join(f"{row['quantizer']} {took(row):.2f}{rest(row)}" for row in others)
        ratio = took(one) / took(others[0]) if others else 1.0
        made.append(
            (one["network"], one["runtime"], f"{floats['fp32']:.2f}",
             f"{floats['bf16']:.2f}" if "bf16" in floats else "", f"**{took(one):.2f}**{rest(one)}", told,
             f"{ratio:.2f}", f"{float(one['spread']):.0%}")
        )  # fmt: skip
    return table(
        ("network", "runtime", "fp32", "bf16", "int8, ours", "int8, others'", "ours over the fastest other", "spread"),
        made,
    )


def rest(row: dict[str, str]) -> str:
    """A mark where what is not quantized is in bf16."""
    return " °" if row["precision"].endswith("bf16") else ""


def standing() -> str:
    """In how many of them ours is as fast as any."""
    ratios = [took(one) / took(others[0]) for one, others, _ in cells() if others]
    level = sum(ratio <= EQUAL for ratio in ratios)
    ahead = sum(ratio < 1 / EQUAL for ratio in ratios)
    return (
        f"Ours is the fastest or within 3 % of it in {level} of {len(ratios)} cells, and more than 3 % faster than "
        f"every other in {ahead}; the median ratio is {median(ratios):.2f}, the greatest {max(ratios):.2f}."
    )


def noise() -> str:
    """That all of them compute the same network."""
    rows = [row for one, others, _ in cells() for row in (one, *others)]
    names = list(dict.fromkeys((row["runtime"], row["quantizer"]) for row in rows))
    networks = list(dict.fromkeys(row["network"] for row in rows))
    found = {(row["network"], row["runtime"], row["quantizer"]): f"{float(row['sqnr_db']):.1f}" for row in rows}
    return table(
        ("runtime", "quantizer", *networks),
        [(*name, *(found.get((network, *name), "") for network in networks)) for name in names],
    )


def mixes() -> str:
    """Per network: floats, everything in whole numbers, the allocator's front, layers left out by sensitivity."""
    rows = read(MIXES)
    made = []
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network]
        kinds = {
            "fp32": [row for row in own if row["candidate"] == "fp32"],
            "bf16": [row for row in own if row["candidate"] == "bf16"],
            "everything in int8": [row for row in own if row["candidate"].startswith("int8 rest")],
            "the allocator's mixes": [row for row in own if row["candidate"].startswith("mix")],
            "the most sensitive layers left out": [row for row in own if row["candidate"].startswith("without")],
        }
        for kind, some in kinds.items():
            made += [
                (network, kind, row["candidate"].partition(": ")[2] or row["candidate"], f"{took(row):.2f}",
                 f"{float(row['sqnr_db']):.1f} dB", f"{float(row['integer_share']):.0%}")
                for row in undominated(some)
            ]  # fmt: skip
    return table(("network", "way", "candidate", "ms", "SQNR", "whole numbers"), made)


def undominated(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Those that no other of them beats in both, the fastest first."""
    best, kept = float("-inf"), []
    for row in sorted(rows, key=took):
        if float(row["sqnr_db"]) > best:
            kept.append(row)
            best = float(row["sqnr_db"])
    return kept


def sensitivity() -> str:
    """What asking every layer took, and how near it is to converting anew."""
    rows = read(SENSITIVITY)
    made = []
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network]
        both = [row for row in own if row["converted_db"]]
        apart = [abs(float(row["sqnr_db"]) - float(row["converted_db"])) for row in both]
        all_s, each_s = float(own[0]["seconds"]), float(own[0]["seconds_converted_each"])
        made.append(
            (network, str(len(own)), own[0]["samples"], f"{all_s:.0f} s", f"{each_s * len(own) / all_s:.1f}x",
             str(len(both)),
             f"{median(apart):.2f} dB", f"{max(apart):.2f} dB")
        )  # fmt: skip
    heads = ("network", "layers", "images", "all of them", "faster than converting", "converted, too",
             "apart, median", "apart, most")  # fmt: skip
    return table(heads, made)


PARTS: dict[str, Callable[[], str]] = {
    "latencies": latencies,
    "standing": standing,
    "noise": noise,
    "mixes": mixes,
    "sensitivity": sensitivity,
}

if __name__ == "__main__":
    write(PAGE, PARTS)
