"""The command `platform`: the accelerators that are known, and where each number comes from."""

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from modelwright.errors import SettingError
from modelwright.hardware.catalogue import (
    claims,
    numbers,
    parse_platform,
    platform,
    platform_names,
    read_platform,
    source_of,
)
from modelwright.hardware.precision import matrix_precision
from modelwright.records import Platform, to_json, to_toml, write_whole
from modelwright.registry import load

_CALIBRATE = "modelwright.networks.calibrate:calibrate"
_WIDTH = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions list, show, check and calibrate."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, act: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
        )
        made.set_defaults(act=act)
        return made

    listing = action("list", _list, "all platforms, with their peaks")
    showing = action("show", _show, "every number of one platform, with its source")
    showing.add_argument("name", metavar="NAME", help="a platform, or a file that ends in .toml")
    for made in (listing, showing):
        made.add_argument("--json", action="store_true", help="print JSON")
        made.add_argument(
            "--folder", type=Path, action="append", default=[], metavar="DIR", help="where further platform files are"
        )
    checking = action("check", _check, "whether a platform file keeps all rules")
    checking.add_argument("file", type=Path, metavar="FILE.toml", help="the file")
    fitting = action("calibrate", _calibrate, "measure this machine and write a platform file")
    fitting.add_argument("--name", default="this-machine", help="what to call it (default: %(default)s)")
    fitting.add_argument("--device", default="cpu", help="what to measure: cpu or cuda:0 (default: %(default)s)")
    fitting.add_argument("--seconds", type=float, default=60.0, help="about how long to measure (default: %(default)g)")
    fitting.add_argument("--output", type=Path, metavar="FILE", help="where to write it (default: NAME.toml, here)")
    fitting.add_argument("--force", action="store_true", help="replace the file if it exists")


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says, and return the exit code."""
    code: int = arguments.act(arguments)
    return code


def _list(arguments: argparse.Namespace) -> int:
    rows = [_row(platform(name, arguments.folder)) for name in platform_names(arguments.folder)]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("name", "kind", "precision"):
        table.add_column(heading, no_wrap=True)
    for heading in ("TFLOP/s", "GB/s", "GB", "FLOP/byte", "assumed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            *(row["name"], row["kind"], row["precision"]),
            *(f"{row['peak'] / 1e12:.4g}", f"{row['bandwidth'] / 1e9:.4g}", f"{row['capacity'] / 1e9:.4g}"),
            *(f"{row['ridge']:.0f}", f"{row['assumed']} of {row['numbers']}"),
        )
    console = Console()
    console.print(table)
    console.print()
    console.print(
        "TFLOP/s: peak at the default precision. GB/s and GB: main memory. FLOP/byte: the roofline's ridge point. "
        "assumed: numbers for which nothing published is known; show tells which, and why."
    )
    return 0


def _row(found: Platform) -> dict[str, Any]:
    """What the list says of a platform, in FLOP/s, bytes and bytes a second."""
    precision = matrix_precision(found.precision)
    peak = found.matrix.peak.get(precision) or found.vector.peak[precision]
    needed = claims(found)
    return {
        "name": found.name,
        "aliases": list(found.aliases),
        "title": found.title,
        "kind": found.kind,
        "precision": found.precision,
        "peak": peak,
        "bandwidth": found.main_memory.bandwidth,
        "capacity": found.main_memory.capacity,
        "ridge": peak / found.main_memory.bandwidth,
        "numbers": len(needed),
        "assumed": sum(source_of(found, key).startswith("assumed") for key in needed),
    }


def _show(arguments: argparse.Namespace) -> int:
    found = platform(arguments.name, arguments.folder)
    if arguments.json:
        print(to_json(found).decode())
    else:
        print("\n".join(_annotated(found)))
    return 0


def _annotated(found: Platform) -> Iterator[str]:
    """The platform as TOML with dotted keys, each number under a comment that names its source."""
    yield from _comment(f"{found.title}. {found.notes}")
    yield f"name = {json.dumps(found.name)}"
    yield f"aliases = {json.dumps(list(found.aliases))}"
    yield from (f"{key} = {json.dumps(getattr(found, key))}" for key in ("kind", "precision", "execution"))
    values: dict[str, object] = {**numbers(found), "matrix.tiles": [list(tile) for tile in found.matrix.tiles]}
    table = source = ""
    for key in claims(found):
        if key.partition(".")[0] != table or source_of(found, key) != source:
            table, source = key.partition(".")[0], source_of(found, key)
            yield ""
            yield from _comment(source)
        yield f"{key} = {_toml(values[key])}"
    for level in found.memory:
        if not level.keeps:
            yield from ("", "# Nothing stays here from one kernel to the next.", f"{level.name}.keeps = false")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _toml(value: object) -> str:
    """A value as people write it: 312e12 for 3.12e+14, 6e-6 for 6e-06."""
    if not isinstance(value, float):
        return json.dumps(value)
    parts = ((f"{value / 10.0**exponent:.10g}", exponent) for exponent in (12, 9, 6, -6, -9, -12))
    forms = [f"{digits}e{exponent}" for digits, exponent in parts if "e" not in digits]
    return min((form for form in (repr(value), *forms) if float(form) == value), key=len)


def _check(arguments: argparse.Namespace) -> int:
    found = read_platform(arguments.file)
    print(f"{arguments.file}: {found.name} keeps all rules; {len(claims(found))} numbers, each with a source")
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    output = arguments.output or Path(f"{arguments.name}.toml")
    if output.exists() and not arguments.force:
        way_out = "Choose another --output, or replace it with --force."
        raise SettingError("the file must not exist yet", where="--output", value=str(output), way_out=way_out)

    def report(message: str) -> None:
        print(message, file=sys.stderr)

    calibrate: Callable[..., Platform] = load(_CALIBRATE)
    text = to_toml(calibrate(arguments.name, device=arguments.device, seconds=arguments.seconds, report=report))
    parse_platform(text, where=str(output))
    write_whole(output, text)
    print(f"wrote {output}")
    return 0
