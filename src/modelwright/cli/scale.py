"""The command `scale`: what a base grows into under latency targets."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from modelwright.cli.cells import show_note, show_table
from modelwright.cli.request import add_form, add_setting, check_page, made_by, write_page
from modelwright.errors import SettingError
from modelwright.hardware.catalogue import platform
from modelwright.hardware.model import check
from modelwright.networks.catalogue import architecture
from modelwright.records import Architecture, Measurement, to_json, write_whole
from modelwright.records.scaling import Family
from modelwright.report.scale import members, notes, scale_page
from modelwright.search.scale.base import BASES, Base, base, real
from modelwright.search.scale.family import ladder, scale
from modelwright.search.scale.lacs import Machine
from modelwright.search.scale.law import FittedLaw, ScalingLaw
from modelwright.search.scale.measured import Measure
from modelwright.search.scale.observations import published, read

_MEMBERS, _GROWTH = 7, 2.0
_BORROWED = "The law of accuracy is drawn from EfficientNet's training runs; --observations takes some of"
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_EPILOG = """examples:
  modelwright scale efficientnet-x --platform tpu-v3 --batch 128 --html family.html --output family
  modelwright scale efficientnet-x --platform v100-sxm --batch 128 --targets 40ms 80ms 160ms
  modelwright scale mine.toml --platform x86 --observations trained.csv --measure --members 3

Accuracy is predicted by a law that is fitted to observations: EfficientNet's published ones, or your own from a file
with the columns depth, width, resolution (all over the base's) and accuracy (from 0 to 1)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the base, where latency counts, the targets, the law and the forms."""
    parser.usage = "modelwright scale BASE --platform NAME [--batch N] [--members N | --targets TIME ...] [options]"
    parser.epilog = _EPILOG
    known = ", ".join(BASES)
    words = f"{known}, or any architecture of MBConv blocks by name or .toml or .json file"
    parser.add_argument("networks", nargs=1, metavar="BASE", help=words)
    parser.add_argument("--platform", required=True, metavar="NAME", help="a platform, or a .toml file that holds one")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="samples run at once (default: %(default)s)")
    add_setting(parser)
    parser.add_argument("--targets", nargs="+", metavar="TIME", help="latencies of a batch, such as 2ms 4ms 8ms")
    parser.add_argument("--like", nargs="+", metavar="ARCH", help="targets are what these networks take")
    parser.add_argument(
        "--members", type=int, metavar="N", help=f"targets above the base's latency (default: {_MEMBERS})"
    )
    parser.add_argument("--growth", type=float, metavar="X", help=f"factor from each to the next (default: {_GROWTH})")
    parser.add_argument(
        "--reward",
        nargs="+",
        type=float,
        metavar="W",
        help="seek accuracy * (latency / target)^W in place of a limit; two W: below and above the target, as 0 -0.07",
    )
    parser.add_argument(
        "--observations", type=Path, metavar="FILE", help="a CSV file of trained accuracies of the base"
    )
    parser.add_argument("--measure", action="store_true", help="hold targets against this machine, not the estimate")
    parser.add_argument("--device", default="cpu", help="of measurements: cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (default: what torch takes)")
    parser.add_argument("--repetitions", type=int, default=15, metavar="N", help="of each (default: %(default)s)")
    add_form(parser)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write each architecture and the family as JSON")
    parser.set_defaults(input=[], channels_last=False)


def run(arguments: argparse.Namespace) -> int:
    """Fit the law, search, and show the family."""
    check_page(arguments.html)
    reward = _reward(arguments.reward)
    found, on = base(arguments.networks[0]), platform(arguments.platform)
    check(on, arguments.batch, arguments.precision or on.precision)
    machine = Machine(on, arguments.batch, arguments.precision, arguments.execution)
    given = [_seconds(text) for text in arguments.targets or []]
    law = _law(arguments.observations, found)
    measure = _measure(arguments, machine) if arguments.measure else None
    targets = _targets(arguments, found, machine, measure, given)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
    family = scale(found, law, targets, machine, reward=reward, measure=measure)
    if not arguments.observations and found.name != "efficientnet":
        family = msgspec.structs.replace(family, notes=(*family.notes, f"{_BORROWED} {found.name}'s."))
    if arguments.output:
        _write(family, arguments.output)
    if arguments.html:
        page = scale_page(family, on, made_by=made_by("scale", arguments, _given(arguments)))
        write_page(arguments.html, page)
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(family), indent=2))
    else:
        _show(family)
    return 0


def _law(path: Path | None, found: Base) -> FittedLaw:
    """The law of a user's observations of the base, or of EfficientNet's published ones."""
    seen = real(read(path), found) if path else real(published(), BASES["efficientnet"])
    return ScalingLaw().fit(seen)


def _reward(given: Sequence[float] | None) -> tuple[float, float] | None:
    if given is None:
        return None
    if len(given) > 2:
        raise SettingError("a reward has one exponent or two", where="--reward", value=list(given))
    return given[0], given[-1]


def _targets(
    arguments: argparse.Namespace, found: Base, machine: Machine, measure: Measure | None, given: list[float]
) -> list[float]:
    """Seconds: those given, those of other networks, or steps above the base."""
    stepped = arguments.members is not None or arguments.growth is not None
    if sum((bool(given), bool(arguments.like), stepped)) > 1:
        way_out = "Give --targets, or --like, or --members and --growth."
        raise SettingError("targets are chosen in one way", where="modelwright scale", way_out=way_out)
    if given:
        return given
    if arguments.like:
        return _take([architecture(name) for name in arguments.like], machine, measure)
    members = _MEMBERS if arguments.members is None else arguments.members
    growth = _GROWTH if arguments.growth is None else arguments.growth
    return ladder(_take([found.network], machine, measure)[0], members, growth)


def _take(networks: Sequence[Architecture], machine: Machine, measure: Measure | None) -> list[float]:
    if measure:
        return [taken.median_s for taken in measure(networks)]
    return [float(seconds) for seconds in machine.costs(networks).latency_s]


def _measure(arguments: argparse.Namespace, machine: Machine) -> Measure:
    """What times networks in the setting that was asked for; refuses a setting that cannot be measured."""
    from modelwright.cli.measure import commit
    from modelwright.clock import SystemClock
    from modelwright.networks.measuring import Protocol, Setting, architecture_subject, measure
    from modelwright.networks.measuring.setting import check as check_setting
    from modelwright.records import convert

    on = machine.platform
    wanted = {
        "batch": machine.batch,
        "precision": machine.precision or on.precision,
        "execution": machine.execution or on.execution,
        "device": arguments.device,
        "threads": arguments.threads,
    }
    setting = convert(wanted, Setting, where="modelwright scale")
    check_setting(setting)
    protocol = convert({"repetitions": arguments.repetitions}, Protocol, where="modelwright scale")

    def take(networks: Sequence[Architecture]) -> Sequence[Measurement]:
        subjects = [architecture_subject(network, setting) for network in networks]
        return measure(subjects, protocol, clock=SystemClock(), commit=commit(), report=None)

    return take


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(s|ms|us|µs)", text)
    if not found:
        raise SettingError(
            "a target must be a time", where="--targets", value=text, way_out="Such as 2ms, 0.1s, 500us."
        )
    return float(found[1]) * _UNITS[found[2]]


def _write(family: Family, folder: Path) -> None:
    for one in (family.start, *family.members):
        write_whole(folder / f"{one.name}.json", to_json(one.architecture))
    write_whole(folder / "family.json", to_json(family))
    print(f"wrote {len(family.members) + 1} architectures and family.json in {folder}", file=sys.stderr)


def _given(arguments: argparse.Namespace) -> str:
    words = [f"--platform {arguments.platform} --batch {arguments.batch}"]
    for name in ("targets", "like", "reward"):
        words += [f"--{name} {' '.join(map(str, given))}"] if (given := getattr(arguments, name)) else []
    for name in ("members", "growth", "observations"):
        words += [f"--{name} {given}"] if (given := getattr(arguments, name)) is not None else []
    return " ".join([*words, *(["--measure"] if arguments.measure else [])])


def _show(family: Family) -> None:
    show_table(members(family))
    print()
    kind = f"measured on {family.device.name}" if family.device else f"estimates for {family.platform}"
    show_note(f"Latency of a whole batch: {kind}. Accuracy: predicted by the law. FLOPs: 2 x multiply-accumulates.")
    for sentence in notes(family):
        show_note(sentence)
