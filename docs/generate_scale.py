"""Writes the example and the tables of docs/scale.md: python docs/generate_scale.py.

The tables are those of benchmarks/quality/scaling.py, from benchmarks/results.
"""

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from modelwright.cli.main import main

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import read, renewed, table, write

PAGE = Path(__file__).with_name("scale.md")
COMMAND = "scale efficientnet-x --platform tpu-v3 --batch 128 --members 4"


def page(text: str) -> str:
    """The page with each generated part made anew."""
    return renewed(text, PARTS)


def command() -> str:
    """The example and what it prints, without spaces at the ends of lines."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main(shlex.split(COMMAND))
    output = re.sub(r" +$", "", printed.getvalue(), flags=re.MULTILINE)
    return f"```console\n$ modelwright {COMMAND}\n{output}```"


def coefficients(platform: str) -> str:
    """The searched members beside the authors', at one latency each."""
    heads = ("member", "latency", "searched: depth, width, image", "authors: depth, width, image",
             "blocks, searched and authors'", "accuracy by the law", "authors'", "compound rule",
             "gain over the authors'")  # fmt: skip
    return table(
        heads,
        [
            (
                r["member"],
                f"{float(r['target_ms']):.1f} ms",
                f"{r['depth']}, {r['width']}, {r['image']}",
                f"{r['authors_depth']}, {r['authors_width']}, {r['authors_image']}",
                f"{float(r['real_depth']):.2f}x, {float(r['authors_real_depth']):.2f}x",
                *(f"{float(r[key]):.1%}" for key in ("accuracy", "authors_accuracy", "compound_accuracy")),
                f"{100 * (float(r['accuracy']) - float(r['authors_accuracy'])):.2f} "
                f"± {100 * float(r['gain_deviation']):.2f}",
            )
            for r in read("scaling.csv")
            if r["platform"] == platform
        ],
    )


def growth() -> str:
    """Exponents of growth, a row a family."""
    return table(
        ("platform", "family", "depth", "width", "resolution"),
        [(r["platform"], r["family"], r["depth"], r["width"], r["resolution"]) for r in read("scaling-growth.csv")],
    )


def laws() -> str:
    """How well forms of law fit."""
    return table(
        ("law", "numbers", "root mean square, points"),
        [(r["law"], r["numbers"], f"{100 * float(r['residual']):.2f}") for r in read("scaling-laws.csv")],
    )


def checks() -> str:
    """Gains that no fit has seen."""
    return table(
        ("networks", "measured gain, points", "the law's"),
        [
            (r["pair"], f"{100 * float(r['measured']):.2f}",
             f"{100 * float(r['law']):.2f} ± {100 * float(r['deviation']):.2f}")
            for r in read("scaling-checks.csv")
        ],
    )  # fmt: skip


PARTS: dict[str, Callable[[], str]] = {
    "command": command,
    "tpu-v3": lambda: coefficients("tpu-v3"),
    "v100-sxm": lambda: coefficients("v100-sxm"),
    "growth": growth,
    "laws": laws,
    "checks": checks,
}

if __name__ == "__main__":
    write(PAGE, PARTS)
