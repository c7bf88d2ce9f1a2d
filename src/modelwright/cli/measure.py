"""The command `measure`: how long a network really takes on this machine."""

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
from rich.console import Console

from modelwright.cli.cells import show_note, show_table
from modelwright.cli.request import add_networks, workloads
from modelwright.clock import SystemClock
from modelwright.errors import SettingError
from modelwright.hardware import estimate, platform
from modelwright.networks.catalogue import architecture
from modelwright.networks.workloads import is_address
from modelwright.records import Estimate, Execution, Measurement, Policy, convert
from modelwright.report.markup import Data
from modelwright.report.quantity import quantity, ratio, significant

if TYPE_CHECKING:
    from modelwright.networks.measuring import Setting, Subject

_PRECISIONS, _EXECUTIONS = get_args(Policy), get_args(Execution)
_COMMAND = "modelwright measure"
_UNSTEADY = 0.1
_EPILOG = """examples:
  modelwright measure efficientnet-b0 efficientnet-x-b0 --batch 1 8 --execution eager compiled --csv mine.csv
  modelwright measure mypackage.mymodule:build --input 1x3x224x224 --channels-last
  modelwright measure efficientnet-b0 --platform this-machine.toml

All networks at one batch size are held in memory together and take turns: drift of the machine meets all alike."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to measure, how, and where the results go."""
    parser.epilog = _EPILOG
    add_networks(parser)
    parser.add_argument(
        "--batch", nargs="+", action="extend", type=int, metavar="N", help="samples run at once (default: 1)"
    )
    for name, words, default in (("precision", _PRECISIONS, "fp32"), ("execution", _EXECUTIONS, "eager")):
        several = f"one or several of {', '.join(words)} (default: {default})"
        parser.add_argument(f"--{name}", nargs="+", action="extend", choices=words, metavar="X", help=several)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (default: what torch takes)")
    parser.add_argument("--repetitions", type=int, default=15, metavar="N", help="how often (default: %(default)s)")
    parser.add_argument("--platform", metavar="NAME", help="also what the model estimates for this platform")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="add rows to this file; what it holds is not repeated")
    parser.add_argument("--again", action="store_true", help="repeat what the file holds, and replace those rows")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure, compare if asked to, print, and return the exit code."""
    from modelwright.networks.measuring import Protocol, measure, resume

    _check(arguments)
    protocol = convert({"repetitions": arguments.repetitions}, Protocol, where=_COMMAND)
    groups = [list(group) for group in _groups(arguments)]
    predict = _predictor(arguments)
    with _progress() as report:

        def take(group: Sequence["Subject"]) -> Sequence[Measurement]:
            return measure(group, protocol, clock=SystemClock(), commit=commit(), report=report)

        taken, held = resume(groups, take, arguments.csv, again=arguments.again)
    if arguments.csv and held < len(taken):
        print(f"wrote {arguments.csv}", file=sys.stderr)
    predicted = [predict(found) for found in taken] if predict else []
    if arguments.json:
        print(json.dumps([_plain(*pair) for pair in itertools.zip_longest(taken, predicted)], indent=2))
        return 0
    show_table(_table(taken, predicted))
    print()
    for sentence in _remarks(taken, held, arguments):
        show_note(sentence)
    return 0


def commit() -> str:
    """The commit of the checkout that this code runs from, marked -dirty with changes; "" outside a checkout."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return ""
    question = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what would be noticed only after minutes, or not at all."""
    if arguments.again and not arguments.csv:
        rule = "there must be a file whose rows can be repeated"
        raise SettingError(rule, where="--again", way_out="Name the file with --csv.")
    if arguments.csv and not arguments.csv.parent.is_dir():
        folder = str(arguments.csv.parent)
        raise SettingError("the file's folder must exist", where="--csv", value=folder, way_out="Create it.")
    if arguments.input and not any(map(is_address, arguments.networks)):
        rule, where = "an input is for a module, named as module:attribute", "--input"
        way_out = "An architecture has its own, which can be changed in a file: see modelwright architectures --help."
        raise SettingError(rule, where=where, way_out=way_out)


def _groups(arguments: argparse.Namespace) -> Iterator[Iterator["Subject"]]:
    """Batch by batch, every network in every setting."""
    from modelwright.networks.measuring import Setting

    fixed = {name: getattr(arguments, name) for name in ("channels_last", "device", "threads")}
    ways = list(itertools.product(_each(arguments.precision, "fp32"), _each(arguments.execution, "eager")))
    if any(map(is_address, arguments.networks)) and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for batch in _each(arguments.batch, 1):
        settings = [
            convert(
                {"batch": batch, "precision": precision, "execution": execution, **fixed},
                Setting,
                where=_COMMAND,
            )
            for precision, execution in ways
        ]
        yield (_subject(*pair, arguments.input) for pair in itertools.product(_each(arguments.networks, ""), settings))


def _each(given: list[Any] | None, default: Any) -> list[Any]:
    """What was given, each once, in order; the default for nothing."""
    return list(dict.fromkeys(given or [default]))


def _subject(name: str, setting: "Setting", inputs: Sequence[str]) -> "Subject":
    from modelwright.networks.measuring import architecture_subject, module_subject

    if is_address(name):
        return module_subject(name, inputs, setting)
    return architecture_subject(architecture(name), setting)


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """A line on the terminal that says what goes on; nothing where standard error is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status("measuring") as status:
        yield status.update


def _predictor(arguments: argparse.Namespace) -> Callable[[Measurement], Estimate] | None:
    """What estimates a measurement on the platform that was named, if one was; networks are traced now."""
    if not arguments.platform:
        return None
    on = platform(arguments.platform)
    known = {found.name: found for found in workloads(arguments)}

    def predict(taken: Measurement) -> Estimate:
        setting: Any = {"precision": taken.precision, "execution": taken.execution}
        return estimate(known[taken.architecture], on, batch=taken.batch, strict=False, **setting)

    return predict


def _plain(taken: Measurement, predicted: Estimate | None) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(taken)
    found["throughput_per_s"] = taken.throughput_per_s
    if predicted:
        found |= {"platform": predicted.platform, "estimate_s": predicted.latency_s}
        found["measured_over_estimate"] = taken.median_s / predicted.latency_s
    return found


def _table(taken: Sequence[Measurement], predicted: Sequence[Estimate]) -> Data:
    compared = (f">{predicted[0].platform}", ">ratio") if predicted else ()
    headings = ("network", "precision", "execution", ">batch", ">median", ">spread", ">samples/s", *compared)
    rows = []
    for found, guess in itertools.zip_longest(taken, predicted):
        spread, throughput = f"{found.spread:.1%}", significant(found.throughput_per_s)
        row = [found.architecture, found.precision, found.execution, str(found.batch)]
        row += [quantity(found.median_s, "s"), spread, throughput]
        row += [quantity(guess.latency_s, "s"), ratio(found.median_s / guess.latency_s)] if guess else []
        rows.append(tuple(row))
    return Data(headings, tuple(rows))


def _remarks(taken: Sequence[Measurement], held: int, arguments: argparse.Namespace) -> Iterator[str]:
    device = taken[0].device
    versions = ", ".join(f"{name} {version}" for name, version in device.versions.items())
    order = ", channels-last" if arguments.channels_last else ""
    yield f"Measured on {device.name}, {device.threads} thread{'' if device.threads == 1 else 's'}{order}; {versions}."
    yield "median: of the repetitions, for a whole batch. spread: their interquartile range over it."
    if arguments.platform:
        yield f"{arguments.platform}: the performance model's estimate for it. ratio: measured over estimated."
    if held:
        yield f"{held} of {len(taken)} were in {arguments.csv} already; --again repeats them."
    if any(found.spread > _UNSTEADY for found in taken):
        yield f"A spread above {_UNSTEADY:.0%} says that something else kept the machine busy: repeat when it is quiet."
