"""The command `architectures`: the named networks, and how one is put together."""

import argparse
import fnmatch
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from modelwright.errors import SettingError, UnknownNameError
from modelwright.networks.catalogue import architecture, architecture_names
from modelwright.records import to_json, to_toml
from modelwright.records.architecture import Architecture

_USAGE = "modelwright architectures [PATTERN] [--json]\n       modelwright architectures show NAME [--toml | --json]"
_EPILOG = """A record that is shown can be saved, edited and costed:
  modelwright architectures show efficientnet-x-b0 > mine.toml
  modelwright cost mine.toml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the list, narrowed by a pattern, and the action show."""
    parser.usage = _USAGE
    parser.epilog = _EPILOG
    parser.add_argument(
        "words",
        nargs="*",
        metavar="PATTERN | show NAME",
        help="which names to list, such as 'efficientnet-x-*' (default: all); or show, and a name, .toml or .json file",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--toml", action="store_true", help="show: print TOML (the default)")


def run(arguments: argparse.Namespace) -> int:
    """List or show, and return the exit code."""
    match arguments.words:
        case ["show", name]:
            found = architecture(name)
            print(to_json(found).decode() if arguments.json else to_toml(found).rstrip())
            return 0
        case [] | ["list"]:
            return _list("*", arguments.json)
        case [pattern] | ["list", pattern] if pattern != "show":
            return _list(pattern, arguments.json)
    raise SettingError(
        "the words must be a pattern, or show and one name",
        where="modelwright architectures",
        value=" ".join(arguments.words),
        way_out="See modelwright architectures --help.",
    )


def _list(pattern: str, as_json: bool) -> int:
    names = fnmatch.filter(architecture_names(), pattern)
    if not names:
        way_out = "A pattern may hold * and ?; quote it, so that the shell leaves it alone."
        raise UnknownNameError("architecture", pattern, architecture_names(), way_out=way_out)
    rows = [_row(architecture(name)) for name in names]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("input", justify="right", no_wrap=True)
    table.add_column("blocks", justify="right", no_wrap=True)
    table.add_column("source", no_wrap=True)
    for row in rows:
        table.add_row(row["name"], "x".join(map(str, row["input"])), str(row["blocks"]), row["source"])
    Console().print(table)
    return 0


def _row(found: Architecture) -> dict[str, Any]:
    """What the list says of an architecture, none of which needs the network itself."""
    return {
        "name": found.name,
        "input": list(found.input),
        "classes": found.classes,
        "blocks": found.depth,
        "source": found.source,
    }
