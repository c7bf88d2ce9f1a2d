"""What every estimating command is asked: which networks, in which setting, and where a page goes."""

import argparse
import contextlib
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import get_args

from rich.console import Console

from modelwright.errors import ModelwrightError, SettingError
from modelwright.networks.catalogue import architecture
from modelwright.networks.workloads import is_address, workload
from modelwright.records import Execution, Policy, Workload, write_whole


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Declare the networks, and how those that are modules of the user's own are traced."""
    parser.add_argument(
        "networks",
        nargs="+",
        metavar="ARCH",
        help="an architecture's name, a .toml or .json file that holds one, or module:attribute of a torch module or "
        "of what builds one",
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="SHAPE",
        help="an example input of a module, such as 1x3x224x224 or 1x1024:int64; repeat for further arguments",
    )
    parser.add_argument("--channels-last", action="store_true", help="keep four-axis tensors in N,H,W,C memory order")
    parser.add_argument("--no-cache", action="store_true", help="trace again, and keep nothing")


def add_setting(parser: argparse.ArgumentParser) -> None:
    """Declare precision and execution."""
    parser.add_argument(
        "--precision", choices=get_args(Policy), help="precision or autocast policy (default: the platform's)"
    )
    parser.add_argument(
        "--execution", choices=get_args(Execution), help="how programs are run (default: as is usual on the platform)"
    )


def add_form(parser: argparse.ArgumentParser) -> None:
    """Declare the forms in which results can be had."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that opens offline, too")


def workloads(arguments: argparse.Namespace) -> list[Workload]:
    """The work of the networks that were asked for, each named once; all names are looked up before any is traced."""
    names = list(dict.fromkeys(arguments.networks))
    for name in names:
        if not is_address(name):
            architecture(name)
    if arguments.input and not any(map(is_address, names)):
        way_out = (
            "An architecture has its own; modelwright architectures show writes a file in which it can be changed."
        )
        raise SettingError("an input is for a module, named as module:attribute", where="--input", way_out=way_out)
    if any(map(is_address, names)) and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    cache = None if arguments.no_cache else _cache()
    return [_workload(name, arguments, cache) for name in names]


def _workload(name: str, arguments: argparse.Namespace, cache: Path | None) -> Workload:
    console = Console(stderr=True)
    shown = console.status(f"tracing {name}") if console.is_terminal else contextlib.nullcontext()
    with shown:
        inputs = arguments.input if is_address(name) else ()
        return workload(name, inputs=inputs, cache=cache, channels_last=arguments.channels_last)


def _cache() -> Path:
    """Where traced architectures are kept: $XDG_CACHE_HOME, or ~/.cache."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".cache") / "modelwright" / "workloads"


def check_page(path: Path | None) -> None:
    """Refuse a place to which no page can be written, before any work is done.

    Raises:
        SettingError: the folder does not exist, or something other than a file has that name.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        way_out = "Create it, or choose another --html."
        raise SettingError("the page's folder must exist", where="--html", value=str(path.parent), way_out=way_out)
    if path.exists() and not path.is_file():
        raise SettingError("the page must be a file", where="--html", value=str(path), way_out="Choose another --html.")


def write_page(path: Path, text: str) -> None:
    """Write a page whole or not at all, and say so.

    Raises:
        ModelwrightError: the place cannot be written.
    """
    try:
        write_whole(path, text)
    except OSError as failure:
        rule = f"the page must be writable ({failure.strerror or failure})"
        way_out = "Nothing was left there; choose another --html, or make room."
        raise ModelwrightError(rule, where=str(path), way_out=way_out) from failure
    print(f"wrote {path}", file=sys.stderr)


def made_by(command: str, arguments: argparse.Namespace, given: str = "") -> str:
    """The foot of a page: this program's version and the command line that makes the page again."""
    try:
        version = f" {metadata.version('modelwright')}"
    except metadata.PackageNotFoundError:
        version = ""
    words = ["modelwright", command, *arguments.networks, given]
    words += [f"--input {shape}" for shape in arguments.input]
    words += [f"--{name} {value}" for name in ("precision", "execution") if (value := getattr(arguments, name))]
    words += ["--channels-last"] if arguments.channels_last else []
    return f"Modelwright{version}: {' '.join(word for word in words if word)}"
