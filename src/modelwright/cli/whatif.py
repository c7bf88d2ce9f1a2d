"""The command `whatif`: what a changed accelerator would give."""

import argparse
import json
from collections.abc import Sequence

import msgspec

from modelwright.cli.cells import show_note, show_table
from modelwright.cli.request import add_form, add_networks, add_setting, check_page, made_by, workloads, write_page
from modelwright.errors import SettingError
from modelwright.hardware.catalogue import platform
from modelwright.hardware.model import check
from modelwright.hardware.whatif import Setting, sweep, variants
from modelwright.records.sweep import Sweep
from modelwright.report.markup import Data
from modelwright.report.provenance import unknown_operators
from modelwright.report.quantity import quantity, ratio
from modelwright.report.whatif import outcome, whatif_page

_EXAMPLES = """examples:
  modelwright whatif efficientnet-x-b0 --platform tpu-v4i --set hbm.bandwidth=2x
  modelwright whatif resnet-50 --platform h200 --batch 64 --sweep hbm.bandwidth=0.5x,1x --sweep l2.capacity=1x,2x,4x

A key is one of those that `modelwright platform show` lists; a value is a number in its unit (900GB/s, 64MiB, 3us), a
factor (2x) or a change (+10%)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare networks, the platform, its changes, setting and form."""
    parser.usage = (
        "modelwright whatif ARCH [ARCH ...] --platform NAME [--set KEY=VALUE ...] [--sweep KEY=V1,V2,... ...] [options]"
    )
    parser.epilog = _EXAMPLES
    add_networks(parser)
    parser.add_argument("--platform", required=True, metavar="NAME", help="a platform, or a .toml file that holds one")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a number of the platform",
    )
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="KEY=V1,V2,...",
        help="try several values of a number; given twice, every pair",
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="samples run at once (default: %(default)s)")
    add_setting(parser)
    add_form(parser)


def run(arguments: argparse.Namespace) -> int:
    """Estimate every network on the platform as it is and on every variant, and show both."""
    check_page(arguments.html)
    machine = platform(arguments.platform)
    changes = _pairs(arguments.set, "--set")
    knobs = {key: values.split(",") for key, values in _pairs(arguments.sweep, "--sweep").items()}
    if not changes and not knobs:
        way_out = f"Give --set or --sweep; modelwright platform show {machine.name} lists the keys."
        raise SettingError("a number of the platform must change", where="modelwright whatif", way_out=way_out)
    check(machine, arguments.batch, arguments.precision or machine.precision)
    variants(machine, knobs, changes)  # refuses what makes no platform, before anything is traced
    setting = Setting(arguments.batch, arguments.precision, arguments.execution)
    sweeps = [sweep(found, machine, setting, knobs=knobs, changes=changes) for found in workloads(arguments)]
    if arguments.html:
        given = " ".join([f"--platform {arguments.platform} --batch {arguments.batch}", *_given(arguments)])
        write_page(arguments.html, whatif_page(sweeps, machine, made_by=made_by("whatif", arguments, given)))
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(sweeps), indent=2))
    else:
        _show(sweeps)
    return 0


def _given(arguments: argparse.Namespace) -> list[str]:
    return [*(f"--set {text}" for text in arguments.set), *(f"--sweep {text}" for text in arguments.sweep)]


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Key -> value from words that read KEY=VALUE, each key once."""
    pairs: dict[str, str] = {}
    for text in given:
        key, _, value = text.partition("=")
        if not key or not value:
            way_out = "Such as hbm.bandwidth=2x."
            raise SettingError("a change must read KEY=VALUE", where=option, value=text, way_out=way_out)
        if key in pairs:
            raise SettingError("a key can be given once", where=option, value=key, way_out="Drop the other one.")
        pairs[key] = value
    return pairs


def _show(sweeps: Sequence[Sweep]) -> None:
    if len(sweeps[0].knobs) == 2:
        for found in sweeps:
            show_table(_grid(found), _title(found))
            print()
        show_note("A cell is the speed-up over the platform as it is, and what most of the time is spent under.")
    else:
        show_table(outcome(sweeps))
        print()
    show_note("Estimates of the performance model for a whole batch.")
    for sentence in unknown_operators(sweeps):
        show_note(sentence)


def _title(found: Sweep) -> str:
    before = f"{quantity(found.baseline.latency_s, 's')} as it is, bound by {found.baseline.bound}"
    return f"{found.architecture} on {found.platform}, batch {found.batch}: {before}"


def _grid(found: Sweep) -> Data:
    """The first knob from left to right, the second from top to bottom."""
    (across, columns), (down, lines) = found.knobs.items()
    cells = [[found.at(column, line) for column in columns] for line in lines]
    rows = (
        (f"{down} {line}", *(f"{ratio(cell.speedup)} {cell.bound}" for cell in row))
        for line, row in zip(lines, cells, strict=True)
    )
    return Data(("", *(f"{across} {column}" for column in columns)), tuple(rows))
