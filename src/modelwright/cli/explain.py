"""The command `explain`: where the time of one network goes, and which changes would help."""

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from modelwright.cli.cells import show_note, show_table
from modelwright.cli.request import add_form, add_networks, add_setting, check_page, made_by, workloads, write_page
from modelwright.errors import SettingError
from modelwright.hardware.catalogue import platform
from modelwright.hardware.model import check, estimate
from modelwright.networks.advice import LEAST, TRIES, Progress, explain
from modelwright.networks.catalogue import architecture
from modelwright.networks.workloads import is_address
from modelwright.records import Estimate, Platform, Workload, to_json, to_toml
from modelwright.records.advice import Advice, Explanation
from modelwright.report.explain import (
    ACCURACY,
    NARROWER,
    NO_RECORD,
    advice_rows,
    bottleneck_rows,
    changes,
    explain_page,
    headline,
    setting_rows,
    shifts,
)
from modelwright.report.markup import Data
from modelwright.report.provenance import unknown_operators

_EXAMPLES = """examples:
  modelwright explain efficientnet-b0 --platform tpu-v3 --batch 128
  modelwright explain efficientnet-b0 --platform tpu-v3 --batch 128 --write 1 mine.toml
  modelwright explain mypackage.mymodule:build --input 1x3x224x224 --platform h200

A file that --write leaves is an architecture like any other: explain it again, cost it, measure it."""
_INDENT = 4
_LEAST = 0.001
"""A bottleneck whose removal would save a smaller share of the time is not shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the network, the platform, setting, lengths and form."""
    parser.usage = "modelwright explain ARCH --platform NAME [--batch N] [--write NUMBER FILE] [options]"
    parser.epilog = _EXAMPLES
    add_networks(parser)
    parser.add_argument("--platform", required=True, metavar="NAME", help="a platform, or a .toml file that holds one")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="samples run at once (default: %(default)s)")
    add_setting(parser)
    parser.add_argument(
        "--top",
        type=int,
        default=10,
        metavar="N",
        help="how many bottlenecks and changes to show (default: %(default)s)",
    )
    parser.add_argument(
        "--tries", type=int, default=TRIES, metavar="N", help="how many changes to estimate (default: %(default)s)"
    )
    parser.add_argument(
        "--write",
        nargs=2,
        metavar=("NUMBER", "FILE"),
        help="write the architecture that change NUMBER leads to, as .toml or .json",
    )
    add_form(parser)


def run(arguments: argparse.Namespace) -> int:
    """Explain one network on one platform, and show it."""
    number = _check(arguments)
    machine = platform(arguments.platform)
    check(machine, arguments.batch, arguments.precision or machine.precision)
    name = arguments.networks[0]
    found = None if is_address(name) else architecture(name)
    (network,) = workloads(arguments)
    setting = {"precision": arguments.precision, "execution": arguments.execution}
    now = estimate(network, machine, batch=arguments.batch, **setting)
    with _progress() as progress:
        explained = explain(
            found,
            network,
            machine,
            now,
            reordered=_reordered(arguments, network, machine),
            tries=arguments.tries,
            progress=progress,
        )
    structural = [advice for advice in explained.advice if advice.kind == "architecture"]
    if number:
        _write(Path(arguments.write[1]), number, structural)
    if arguments.html:
        given = f"--platform {arguments.platform} --batch {arguments.batch}"
        text = explain_page(explained, machine, now, made_by=made_by("explain", arguments, given))
        write_page(arguments.html, text)
    if arguments.json:
        print(json.dumps(_plain(explained), indent=2))
    else:
        _show(explained, structural, now, arguments.top)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    """Refuse what cannot be done before anything is traced; the number of the change to write, or 0."""
    check_page(arguments.html)
    for option in ("top", "tries"):
        if (value := getattr(arguments, option)) < 0:
            raise SettingError("it must be 0 or more", where=f"--{option}", value=value)
    if len(arguments.networks) > 1:
        way_out = "Run the command once for each; modelwright cost compares several."
        raise SettingError("one network is explained at a time", value=arguments.networks, way_out=way_out)
    if not arguments.write:
        return 0
    text, path = arguments.write[0], Path(arguments.write[1])
    if not text.isdigit() or int(text) < 1:
        way_out = "It is the number in the first column of the changes to the architecture."
        raise SettingError("the number must be a whole one from 1", where="--write", value=text, way_out=way_out)
    if path.suffix not in (".toml", ".json") or not path.parent.is_dir():
        way_out = "Such as --write 1 mine.toml."
        raise SettingError("the file must be a .toml or .json file in a folder that exists", where="--write",
                           value=str(path), way_out=way_out)  # fmt: skip
    if is_address(arguments.networks[0]):
        raise SettingError("only an architecture can be edited and written", where="--write", way_out=NO_RECORD)
    return int(text)


def _write(path: Path, number: int, advice: Sequence[Advice]) -> None:
    """The edited architecture as a file, whole or not at all."""
    if number > len(advice):
        way_out = "Without --write the command lists them; --tries and --top show more."
        rule = f"there must be a change of that number; {len(advice)} save time"
        raise SettingError(rule, where="--write", value=number, way_out=way_out)
    edited = advice[number - 1].architecture
    write_page(path, to_toml(edited) if path.suffix == ".toml" else to_json(edited).decode())


def _reordered(arguments: argparse.Namespace, network: Workload, machine: Platform) -> Workload | None:
    """The network in N,H,W,C order, where that could matter: convolutions on a GPU that are not in that order yet."""
    if arguments.channels_last or machine.kind != "gpu" or not any(o.kind == "convolution" for o in network.operators):
        return None
    (found,) = workloads(argparse.Namespace(**{**vars(arguments), "channels_last": True}))
    return found


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Tells on a terminal which change is being tried."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status("explaining") as status:
        yield lambda done, whole, what: status.update(f"trying {done + 1} of {whole}: {what}")


def _plain(explained: Explanation) -> dict[str, object]:
    """The record as plain data; each piece of advice with its gain, and those to the architecture with their number."""
    row: dict[str, object] = msgspec.to_builtins(explained)
    numbered = enumerate(explained.advice, 1)  # those to the architecture come first
    row["advice"] = [
        {
            **({"number": number} if advice.kind == "architecture" else {}),
            "gain": advice.gain,
            **msgspec.to_builtins(advice),
        }
        for number, advice in numbered
    ]
    return row


def _show(explained: Explanation, structural: Sequence[Advice], now: Estimate, top: int) -> None:
    console = Console(soft_wrap=True)
    console.print(Text(headline(explained), style="bold"))
    reasons = [b.why for b in explained.bottlenecks if b.saving_s >= _LEAST * explained.now.latency_s]
    print()
    _entries("Bottlenecks, in order of what removing them would save", bottleneck_rows(explained), reasons[:top])
    print()
    if structural:
        notes = [f"{changes(advice)} | {shifts(advice)}" for advice in structural[:top]]
        _entries("Changes to the architecture, in order of what they save", advice_rows(structural), notes)
    settings = [advice for advice in explained.advice if advice.kind == "setting"][:top]
    if settings:
        print()
        show_table(setting_rows(settings), "Changes to how it is run, in order of time saved a sample")
    print()
    _notes(explained, structural)
    for sentence in unknown_operators([now]):
        show_note(sentence)


def _notes(explained: Explanation, structural: Sequence[Advice]) -> None:
    show_note("Estimates of the performance model for a whole batch.")
    if not explained.editable:
        show_note(NO_RECORD)
    else:
        tried = f"{explained.tried} of {explained.considered} single changes were built, traced and estimated"
        show_note(f"{tried}; {len(structural)} save at least {LEAST:.1%}. {ACCURACY}")
    if any(advice.word == "precision" for advice in explained.advice):
        show_note(NARROWER)
    if structural:
        show_note("--write NUMBER FILE.toml writes the changed architecture.")


def _entries(title: str, data: Data, notes: Sequence[str]) -> None:
    """Rows with a sentence below each, as many as there are sentences; on a terminal the sentences are wrapped."""
    console = Console(soft_wrap=True)
    cells = [[heading.removeprefix(">") for heading in data.headings], *data.rows[: len(notes)]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(data.headings))]
    console.print(Text(title, style="bold"))
    for number, row in enumerate(cells):
        placed = (
            cell.rjust(width) if heading.startswith(">") else cell.ljust(width)
            for cell, width, heading in zip(row, widths, data.headings, strict=True)
        )
        console.print(Text("  ".join(placed).rstrip(), style="" if number else "bold"))
        if number:
            width = console.width - _INDENT if console.is_terminal else 10_000
            for line in textwrap.wrap(notes[number - 1], max(width, 20)):
                console.print(Text(" " * _INDENT + line, style="dim"))
