"""The command `quantize`: the fastest precision that keeps a network's accuracy, found by measuring."""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from modelwright.cli.amount import SECONDS, amount
from modelwright.cli.cells import show_note, show_table
from modelwright.cli.hush import hush
from modelwright.cli.measure import commit
from modelwright.cli.request import write_page
from modelwright.errors import ModelwrightError, SettingError
from modelwright.quantize import OBSERVERS, TARGETS
from modelwright.quantize.settings import CALIBRATIONS, FINDINGS, Site, Wishes
from modelwright.records import QuantizationFindings, convert, from_json
from modelwright.report import quantize_page, quantize_table

REPORT = "report.html"
TIME = {**SECONDS, "m": 60.0, "min": 60.0, "h": 3600.0}
SHARES = {"%": 0.01, "": 1.0}

_EPILOG = """examples:
  modelwright quantize found/efficientnet-x-small-1               a network that a search handed over, on its own data
  modelwright quantize found/efficientnet-x-small-1 --max-drop 1% --budget 30m --threads 4
  modelwright quantize found/efficientnet-x-small-1 --target onnxruntime --json
  modelwright quantize mobilenetv3-small --weights trained.safetensors --data photos/
  modelwright quantize show quantized                             what came of it

The artifact is OUTPUT/artifact. The same command with --resume takes candidates that were made before as they are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is quantized, for which runtime, and what may be lost."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("model", metavar="MODEL", help="a folder that search handed over; or an architecture; or show")
    add("folder", nargs="?", type=Path, metavar="FOLDER", help="after show: what --output named")
    add("--weights", type=Path, metavar="FILE", help="of an architecture: its trained weights (safetensors)")
    add("--data", default="", metavar="DATA", help="as for search (default: what the network was trained on)")
    add("--target", default="openvino", metavar="NAME", help=f"{', '.join(TARGETS)} (default: openvino)")
    add("--max-drop", default="0.5%", metavar="SHARE", help="accuracy that may be lost (default: 0.5%%)")
    add("--budget", default="10m", metavar="TIME", help="no step begins after that, such as 90s or 10m (default: 10m)")
    add("--batch", type=int, default=1, metavar="N", help="samples a call, for which latency counts (default: 1)")
    add("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    add("--calibrations", nargs="+", default=list(CALIBRATIONS), metavar="NAME",
        help=f"of {', '.join(OBSERVERS)}, auto (default: {' '.join(CALIBRATIONS)})")  # fmt: skip
    add("--calibrate-on", type=int, default=512, metavar="N", help="training images for ranges (default: 512)")
    add("--judge-on", type=int, default=2000, metavar="N", help="validation images at most (default: 2000)")
    add("--no-training", action="store_true", help="never train with quantization simulated")
    add("--allow-float", action="store_true", help="accept layers that a runtime leaves in float against the recipe")
    add("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    add(
        "--output",
        type=Path,
        default=Path("quantized"),
        metavar="FOLDER",
        help="for all results (default: ./quantized)",
    )
    add("--resume", action="store_true", help="go on in that folder")
    add("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Quantize, or show what came of it; 1 where nothing could be handed over."""
    if arguments.model == "show":
        return _show(arguments)
    if arguments.folder is not None:
        rule = "only show takes a folder"
        raise SettingError(rule, where="FOLDER", value=str(arguments.folder), way_out="Name it with --output.")
    wishes = _wishes(arguments)
    _check_counts(arguments)
    _check_free(arguments)
    hush()
    from modelwright.cli.live import live
    from modelwright.cli.subject import subject
    from modelwright.quantize.run import quantize_for

    with _ways_out(arguments.output), live("latency_s") as report:
        site = Site(arguments.output.resolve(), arguments.threads, commit=commit(), report=report)
        given = subject(
            arguments.model,
            arguments.weights,
            arguments.data,
            (arguments.calibrate_on, arguments.judge_on),
            arguments.seed,
        )
        findings = quantize_for(given, wishes, site)
    command = f"modelwright {shlex.join(sys.argv[1:])}" if sys.argv[1:2] == ["quantize"] else ""
    write_page(arguments.output / REPORT, quantize_page(findings, made_by=command))
    _tell(findings, as_json=arguments.json)
    print(f"All of it: {arguments.output}{os.sep}", file=sys.stderr)
    return 0 if any(one.chosen for one in findings.candidates) else 1


def _wishes(arguments: argparse.Namespace) -> Wishes:
    lost = arguments.max_drop
    share = 0.0 if lost.strip() in ("0", "0%") else round(amount(lost, SHARES, "--max-drop"), 12)  # 0.7 % is 0.007
    wishes = Wishes(
        target=arguments.target,
        max_drop=share,
        batch=arguments.batch,
        budget_s=amount(arguments.budget, TIME, "--budget"),
        calibrations=tuple(arguments.calibrations),
        training=not arguments.no_training,
        allow_float=arguments.allow_float,
        seed=arguments.seed,
    )
    return convert(msgspec.to_builtins(wishes), Wishes, where="quantize")


def _check_counts(arguments: argparse.Namespace) -> None:
    for option, least in (("threads", 1), ("calibrate_on", 2), ("judge_on", 1)):
        given = getattr(arguments, option)
        if given < least:
            raise SettingError(f"there must be {least} at least", where=f"--{option.replace('_', '-')}", value=given)


def _check_free(arguments: argparse.Namespace) -> None:
    there = arguments.output / "candidates"
    if there.exists() and not arguments.resume:
        rule = "the folder must be free, or the quantization in it must be resumed"
        raise SettingError(
            rule, where="--output", value=str(arguments.output), way_out="Add --resume, or name another."
        )


def _show(arguments: argparse.Namespace) -> int:
    folder = arguments.folder or arguments.output
    file = folder / FINDINGS
    if not file.exists():
        way_out = "Let it end, with --resume."
        raise SettingError("a quantization must have ended to be shown", where=str(folder), way_out=way_out)
    _tell(from_json(file.read_bytes(), QuantizationFindings, where=str(file)), as_json=arguments.json)
    return 0


def _tell(findings: QuantizationFindings, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
        return
    show_table(quantize_table(findings))
    print()
    print(findings.verdict)
    for note in findings.notes:
        show_note(note)


@contextmanager
def _ways_out(folder: Path) -> Iterator[None]:
    """Tells how it goes on after an interruption, or where there is no room."""
    try:
        yield
    except KeyboardInterrupt:
        print("Candidates that were finished are kept. Go on with the same command and --resume.", file=sys.stderr)
        raise
    except OSError as failure:
        rule = f"results must be writable ({failure.strerror or failure})"
        way_out = "Candidates that were finished are kept: make room, then the same command with --resume."
        raise ModelwrightError(rule, where=str(failure.filename or folder), way_out=way_out) from failure
