"""The command `search`: the model family that fits an accelerator best, found, trained and handed over."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from modelwright.cli.amount import BYTES, COUNTS, JOULES, RATES, SECONDS, amount
from modelwright.cli.cells import show_note, show_table
from modelwright.cli.hush import hush
from modelwright.cli.measure import commit
from modelwright.cli.request import check_page, write_page
from modelwright.cli.search_bench import bench, bench_arguments
from modelwright.cli.search_salvage import salvage, study_in
from modelwright.errors import ModelwrightError, SettingError, StoreError
from modelwright.hardware import platform
from modelwright.quantize import NUMBERS
from modelwright.records import Execution, Findings, Member, Plan, Policy, from_json
from modelwright.records.study import Evidence, Metric
from modelwright.report import compare_page, result, search_page
from modelwright.report.candidates import metric_name, predicted, written
from modelwright.report.markup import Data as Rows
from modelwright.report.progress import causes
from modelwright.report.quantity import percent, quantity
from modelwright.search.algorithms import SEARCHERS
from modelwright.search.run import FINDINGS
from modelwright.search.site import Site
from modelwright.search.space import space_names
from modelwright.search.study import Study
from modelwright.store.connection import SALVAGE

LIMITS: dict[str, tuple[str, Metric, dict[str, float]]] = {
    "max-latency": ("5ms", "latency_s", SECONDS),
    "max-memory": ("20MB", "peak_memory_bytes", BYTES),
    "max-energy": ("5mJ", "energy_j", JOULES),
    "max-params": ("500k", "params", COUNTS),
    "max-flops": ("50M", "flops", COUNTS),
    "min-throughput": ("200/s", "throughput_per_s", RATES),
}
REPORT = "report.html"
PLANNED = (
    "data", "space", "platform", "latency", "costs", *LIMITS, "reward", "batch", "precision", "execution", "precisions",
    "runtime", "method", "trials", "evidence", "epochs", "final-epochs", "recipe", "images", "family", "seed",
)  # fmt: skip
"""Options that make the plan; a search that is resumed has one already."""

_EPILOG = """examples:
  modelwright search                                        digits, for this machine
  modelwright search --data photos/ --max-latency 5ms --trials 100 --output found
  modelwright search --data photos/ --platform tpu-v4i --batch 128 --precision bf16
  modelwright search --precisions fp32,bf16,int8 --max-latency 1ms --output found
  modelwright search --resume --output found                go on after an interruption
  modelwright search show found
  modelwright search salvage found                          where its study is damaged
  modelwright search compare found other --html both.html
  modelwright search bench table.csv --choices op1 op2 --maximise accuracy --minimise latency

Without --platform the search is for this very machine: a few networks are measured, and correct the cost model. With
int8 among --precisions, openvino measures them, and without, torch does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to search for, where, how long, and the actions show, compare, salvage and bench."""
    parser.epilog = _EPILOG
    _what(parser)
    _how(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    def action(name: str, act: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
        )
        made.set_defaults(act=act)
        return made

    showing = action("show", _show, "how far a search is, or what it found")
    showing.add_argument("folder", type=Path, metavar="FOLDER", help="what --output named")
    showing.add_argument("--json", action="store_true", help="print JSON")
    comparing = action("compare", _compare, "two searches side by side")
    comparing.add_argument("folders", type=Path, nargs=2, metavar="FOLDER", help="of searches that have ended")
    comparing.add_argument("--html", type=Path, metavar="FILE", help="write a page, too")
    salvaging = action("salvage", salvage, "all that can still be read of a damaged study, for --resume")
    salvaging.add_argument("folder", type=Path, metavar="FOLDER", help="what --output named")
    bench_arguments(action("bench", bench, "a search algorithm on a table in which every outcome is known"))
    parser.set_defaults(act=_search, usual=parser.get_default)


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for, and return the exit code."""
    act: Callable[[argparse.Namespace], int] = arguments.act
    return act(arguments)


def _what(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", default="digits", metavar="DATA", help="digits, a folder of images, idx or parquet files, or hf:NAME")
    add("--space", default="", metavar="NAME", help=f"{', '.join(space_names())}, or a file (default: by image size)")
    add("--platform", default="", metavar="NAME", help="for which accelerator (default: this machine)")
    add("--latency", choices=("estimate", "calibrated", "measure"), help="how it is got (default: see below)")
    add("--costs", nargs="+", default=["latency_s"], choices=get_args(Metric)[1:], metavar="METRIC",
        help=f"besides accuracy: {', '.join(get_args(Metric)[1:])} (default: latency_s)")  # fmt: skip
    for option, (example, _, _) in LIMITS.items():
        add(f"--{option}", metavar="AMOUNT", help=f"a hard limit, such as {example}")
    add("--reward", nargs=2, metavar=("TARGET", "WEIGHT"),
        help="for reinforce: accuracy * (latency / TARGET) ^ WEIGHT, such as 5ms -0.07")  # fmt: skip
    add("--batch", type=int, default=1, metavar="N", help="samples a run, where costs are counted (default: 1)")
    add("--precision", choices=get_args(Policy), help="where costs are counted (default: as is usual there; here fp32)")
    add("--execution", choices=get_args(Execution), help="the same (default: as is usual there; here eager)")
    add("--precisions", default="", metavar="LIST", help="let the search choose: some of fp32,bf16,int8")
    add("--runtime", choices=tuple(NUMBERS), help="that whole numbers are for, and that times all (default: see below)")


def _how(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--method", default="auto", metavar="NAME", help=f"{', '.join(SEARCHERS)} (default: auto)")
    add("--trials", type=int, default=40, metavar="N", help="candidates that are judged (default: 40)")
    add("--evidence", choices=get_args(Evidence), default="halving", help="how they are judged (default: halving)")
    add("--epochs", type=int, default=0, metavar="N", help="of a candidate's full training (default: by data)")
    add("--final-epochs", type=int, default=0, metavar="N", help="of the family's (default: twice that)")
    add("--recipe", nargs="+", default=[], metavar="NAME=VALUE",
        help="how networks are trained, such as precision=amp-bf16 batch=512 mixup=0.2 (default: by data)")  # fmt: skip
    add("--images", type=int, default=0, metavar="N", help="use so many training images (default: all)")
    add("--family", type=int, default=3, metavar="N", help="how many networks are wanted (default: 3)")
    add("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    add("--workers", type=int, default=1, metavar="N", help="processes that share the search (default: 1)")
    add("--ray", default="", metavar="ADDRESS", help="run the other workers on a Ray cluster, such as auto")
    add("--device", default="cpu", help="where networks are trained and measured (default: cpu)")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads of each process (default: what torch takes)")
    add("--output", type=Path, default=Path("search"), metavar="FOLDER", help="for all results (default: ./search)")
    add("--resume", action="store_true", help="go on with the search in that folder; other settings are its own")


def _search(arguments: argparse.Namespace) -> int:
    from modelwright.cli.live import live
    from modelwright.search import search

    site = Site(
        arguments.output.resolve(),
        arguments.device,
        arguments.threads,
        arguments.workers,
        arguments.ray,
        commit=commit(),
        command=f"modelwright {shlex.join(sys.argv[1:])}" if sys.argv[1:2] == ["search"] else "",
    )
    with _ways_out(arguments.output):
        plan = _begun(arguments) or _plan(arguments)
    if plan.quantizer:
        hush()
    cost = plan.objectives[1].metric
    with _ways_out(arguments.output), live(cost) as report:
        findings = search(plan, replace(site, report=report), resume=arguments.resume)
    target = platform(plan.platform) if plan.platform else None
    write_page(arguments.output / REPORT, search_page(findings, platform=target, made_by=site.command))
    _tell(findings)
    print(f"All of it: {arguments.output}{os.sep}", file=sys.stderr)
    return 0 if findings.family else 1


def _begun(arguments: argparse.Namespace) -> Plan | None:
    """The plan of the search that goes on; None where one is to be made. Says what becomes of other settings."""
    if not arguments.resume:
        return None
    plan = Study.open(study_in(arguments.output)).state().plan
    if plan is None:
        print("The study's plan is lost: it goes on with the settings given.", file=sys.stderr)
        return None
    ignored = [f"--{name}" for name in PLANNED if getattr(arguments, name.replace("-", "_")) != _usual(arguments, name)]
    if ignored:
        print(f"The search goes on with its own settings; given in vain: {', '.join(ignored)}.", file=sys.stderr)
    return plan


def _usual(arguments: argparse.Namespace, name: str) -> Any:
    return arguments.usual(name.replace("-", "_"))


@contextmanager
def _ways_out(folder: Path) -> Iterator[None]:
    """Tells how a search goes on that is interrupted, has no room, or whose study is damaged."""
    on = f"modelwright search --resume --output {shlex.quote(str(folder))}"
    try:
        yield
    except KeyboardInterrupt:
        print(f"Nothing that was finished is lost. Go on with {on}.", file=sys.stderr)
        raise
    except StoreError as failure:
        if failure.way_out != SALVAGE:
            raise
        way_out = f"Nothing was changed. modelwright search salvage {shlex.quote(str(folder))} keeps what can be read."
        raise StoreError(failure.rule, where=failure.where, way_out=way_out) from failure
    except OSError as failure:
        rule = f"results must be writable ({failure.strerror or failure})"
        way_out = f"Nothing that was finished is lost: make room, then {on}."
        raise ModelwrightError(rule, where=str(failure.filename or folder), way_out=way_out) from failure


def _plan(arguments: argparse.Namespace) -> Plan:
    from modelwright.search import plan_for
    from modelwright.training import dataset

    limits: dict[Metric, float] = {}
    for option, (_, metric, units) in LIMITS.items():
        given = getattr(arguments, option.replace("-", "_"))
        if given is not None:
            limits[metric] = amount(given, units, f"--{option}")
    if arguments.platform:
        platform(arguments.platform)  # an unknown name is told before the data are read
    names = ("platform", "batch", "method", "trials", "evidence", "family", "seed", "images")
    fields: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    fields |= {name: getattr(arguments, name) for name in ("precision", "execution") if getattr(arguments, name)}
    runtime = arguments.runtime or ("openvino" if "int8" in arguments.precisions.split(",") else "")
    fields |= {"quantizer": NUMBERS[runtime]} if runtime else {}
    data = dataset(arguments.data, seed=arguments.seed)
    plan = plan_for(
        data,
        space_name=arguments.space,
        costs=cast(Sequence[Metric], arguments.costs),
        limits=limits,
        source=arguments.latency,
        epochs=(arguments.epochs, arguments.final_epochs),
        training=dict(pair(given) for given in arguments.recipe),
        precisions=tuple(arguments.precisions.split(",")) if arguments.precisions else (),
        **fields,
    )
    return _rewarded(plan, arguments.reward) if arguments.reward else plan


def pair(given: str) -> tuple[str, object]:
    """A part of a recipe, written NAME=VALUE.

    Raises:
        SettingError: it is not.
    """
    name, equals, value = given.partition("=")
    if not equals:
        raise SettingError("a part of the recipe must be NAME=VALUE", where="--recipe", value=given)
    try:
        return name, json.loads(value)
    except ValueError:  # a word
        return name, value


def _rewarded(plan: Plan, given: Sequence[str]) -> Plan:
    if plan.method in SEARCHERS and plan.method != "reinforce":
        raise SettingError("a reward is what reinforce maximises", where="--method", value=plan.method)
    try:
        target, weight = amount(given[0], SECONDS, "--reward"), float(given[1])
    except ValueError as failure:
        if isinstance(failure, SettingError):
            raise
        raise SettingError("a weight must be a number", where="--reward", value=given[1]) from failure
    objectives = tuple(
        msgspec.structs.replace(one, target=target, weight=weight) if one.metric == "latency_s" else one
        for one in plan.objectives
    )
    if objectives == plan.objectives:
        raise SettingError("a reward needs latency among the costs", where="--reward", way_out="See --costs.")
    return msgspec.structs.replace(plan, objectives=objectives)


def _tell(findings: Findings) -> None:
    numbers = ("precision",) if any(member.precision for member in findings.family) else ()
    headings = ("network", *numbers, ">test accuracy", ">latency", ">predicted", ">params", ">FLOPs")
    both = (findings.family, findings.references)
    family, others = ([_row(findings.plan, member, bool(numbers)) for member in members] for members in both)
    show_table(Rows(headings, (*family, ("",) * len(headings), *others)))
    print()
    print(result(findings))
    for agreement in findings.agreements:
        text = f"{agreement.evidence}: rank correlation {agreement.kendall:.2f} with full training"
        show_note(f"{text}, {agreement.candidates} candidates.")
    for cause in causes(findings, "failed"):
        show_note(f"Failed: {cause}")
    for note in findings.notes:
        show_note(note)


def _row(plan: Plan, member: Member, numbers: bool) -> tuple[str, ...]:
    test = member.test_accuracy
    taken = member.measurement
    return (
        member.name,
        *((member.precision or plan.precision,) if numbers else ()),
        "-" if test is None else percent(test),
        "-" if taken is None else quantity(taken.median_s, "s"),
        quantity(predicted(plan, member) or 0.0, "s"),
        quantity(member.estimates["params"]),
        quantity(member.estimates["flops"]),
    )


def _show(arguments: argparse.Namespace) -> int:
    ended = arguments.folder / FINDINGS
    if ended.exists():
        findings = from_json(ended.read_bytes(), Findings, where=str(ended))
        if arguments.json:
            print(ended.read_text(encoding="utf-8"))
        else:
            _tell(findings)
        return 0
    study = Study.open(study_in(arguments.folder))
    plan, state = study.plan, study.state()
    trials = list(state.trials.values())
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(trials), indent=2))
        return 0
    metrics = [objective.metric for objective in plan.objectives]
    headings = ("trial", "state", ">epochs", *(f">{metric_name(metric)}" for metric in metrics))
    rows = [
        (
            str(trial.number),
            "waiting" if trial.number in state.queued else trial.state,
            str(trial.budget),
            *(written(metric, trial.values[metric]) if metric in trial.values else "-" for metric in metrics),
        )
        for trial in trials
    ]
    show_table(Rows(headings, tuple(rows)))
    for trial in trials:
        if trial.state == "failed":
            show_note(f"Failed: trial {trial.number}: {trial.reason}")
    show_note(f"{len(trials)} of {plan.trials} trials have begun; --resume goes on.")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    check_page(arguments.html)
    first, second = (_ended(folder) for folder in arguments.folders)
    for folder, findings in zip(arguments.folders, (first, second), strict=True):
        print(folder)
        _tell(findings)
        print()
    if arguments.html:
        names = (str(arguments.folders[0]), str(arguments.folders[1]))
        write_page(arguments.html, compare_page(first, second, names=names))
    return 0


def _ended(folder: Path) -> Findings:
    file = folder / FINDINGS
    if not file.exists():
        way_out = "Let it end, with --resume; modelwright search show tells how far it is."
        raise SettingError("a search must have ended to be compared", where=str(folder), way_out=way_out)
    return from_json(file.read_bytes(), Findings, where=str(file))
