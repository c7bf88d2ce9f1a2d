"""The command `guard`: fit one to a model, let it decide, judge it, and have people look at what it deferred."""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from modelwright.cli.amount import amount
from modelwright.cli.cells import show_note, show_table
from modelwright.cli.guard_arrays import Given, arrays, given_fold, given_rows, is_file_of_arrays
from modelwright.cli.guard_review import review, review_arguments
from modelwright.cli.hush import hush
from modelwright.cli.request import check_page, write_page
from modelwright.errors import SettingError
from modelwright.guard import DETECTORS, Decisions, GuardProfile, Queue, evaluate, fit, hand_over, load
from modelwright.guard.fitting import AUTO, Strange, fit_rows
from modelwright.guard.profile import RECORD
from modelwright.guard.rows import Outliers, rows_of
from modelwright.records import GuardPlan, ReviewRules, convert
from modelwright.report import guard_page
from modelwright.report.guard import (
    choice_words,
    groups_table,
    outliers_table,
    risk_words,
    trials_table,
    warnings,
)
from modelwright.report.markup import Data
from modelwright.report.quantity import percent, significant

SHARES = {"%": 0.01, "": 1.0}

_EPILOG = """examples:
  modelwright guard fit found/efficientnet-x-small-1 --risk 2% --ood-share 10%   what a search handed over, on its data
  modelwright guard fit quantized/artifact --data photos/ --detector energy
  modelwright guard fit found/efficientnet-x-small-1 --retrain 10                 promise from networks without classes
  modelwright guard fit arrays.npz --risk 5% --foreign    features of an embedding that never learned these classes
  modelwright guard check found/efficientnet-x-small-1 --data new.npy --queue reviews.db
  modelwright guard evaluate arrays.guard --data test.npz --outliers spam=spam.npz --outliers other=other.npz
  modelwright guard review reviews.db --reviewer ann

A guard is the folder MODEL.guard beside its model, until --guard or --output names another."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions fit, check, evaluate and review."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, act: Callable[[argparse.Namespace], int], summary: str) -> Callable[..., Any]:
        made = actions.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
        )
        made.set_defaults(act=act)
        made.add_argument("--json", action="store_true", help="print JSON")
        return made.add_argument

    _add_fit(action("fit", _fit, "choose a detector and a threshold for a model, and say what can be promised"))

    add = action("check", _check, "decide on new inputs: accept, or defer with a reason")
    _add_guarded(add)
    _add_data(add, "the inputs", required=True)
    add("--queue", type=Path, metavar="FILE", help="hand what is deferred, and audits, over to this review queue")

    add = action("evaluate", _evaluate, "hold a guard against rows whose labels are known, and against outliers")
    _add_guarded(add)
    _add_data(add, "the rows (default: the test split of what the model was trained on)")
    add("--outliers", action="append", default=[], metavar="NAME=DATA", help="a set of outliers; repeat for more")
    add(
        "--groups",
        default="",
        metavar="COLUMN",
        help="array of the file that names each row's subgroup (default: groups)",
    )
    add("--html", type=Path, metavar="FILE", help="where the page goes (default: GUARD.html)")

    review_arguments(action("review", review, "look at what was deferred, in the terminal or a browser"))


def _add_fit(add: Callable[..., Any]) -> None:
    add("model", metavar="MODEL", help="a folder that search or quantize handed over, or a file of arrays")
    _add_data(add, "rows to fit on (default: what the model was trained on)")
    add("--risk", default="5%", metavar="SHARE", help="errors among accepted predictions (default: 5%%)")
    add("--ood-share", default="10%", metavar="SHARE", help="of outliers in the traffic (default: 10%%)")
    add("--confidence", default="95%", metavar="SHARE", help="with which it is kept (default: 95%%)")
    add("--quantile", metavar="SHARE", help="in place of a risk: the share of familiar inputs to accept")
    add("--detector", default=AUTO, metavar="NAME", help=f"{AUTO}, {', '.join(DETECTORS)} (default: {AUTO})")
    add(
        "--classes",
        nargs="+",
        default=[],
        metavar="NAME",
        help="of a file of arrays: its classes' names, label 0 first",
    )
    add("--output", type=Path, metavar="FOLDER", help="for the guard (default: MODEL.guard)")
    add("--outliers", default="", metavar="DATA", help="inputs of no class: a promise is proved with them")
    add(
        "--folds",
        nargs="+",
        default=[],
        metavar="FILE",
        help="what networks trained without some classes make of the rows",
    )
    add("--retrain", type=int, metavar="EPOCHS", help="an artifact: train such networks, in so many epochs each")
    add(
        "--foreign",
        action="store_true",
        help="the features of a file are of an extractor that was trained on none of these classes",
    )


def _add_guarded(add: Callable[..., Any]) -> None:
    add("model", metavar="MODEL", help="the artifact, or the guard itself of a model that lives elsewhere")
    add("--guard", type=Path, metavar="FOLDER", help="of the artifact (default: MODEL.guard)")


def _add_data(add: Callable[..., Any], what: str, *, required: bool = False) -> None:
    add(
        "--data",
        default="",
        required=required,
        metavar="DATA",
        help=f"{what}: a data set, its folder, or a file of arrays",
    )
    add("--rows", type=int, default=5000, metavar="N", help="of a split of a data set, at most (default: 5000)")
    add("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says, and return the exit code."""
    if getattr(arguments, "rows", 1) < 1:
        raise SettingError("there must be one at least", where="--rows", value=arguments.rows)
    hush()
    code: int = arguments.act(arguments)
    return code


def _fit(arguments: argparse.Namespace) -> int:
    plan = _plan(arguments)
    target = arguments.output or _beside(arguments.model)
    profile = _fitted(arguments, plan)
    profile.save(target)
    record = profile.record
    if arguments.json:
        _print_json(record)
    else:
        if record.trials:
            show_table(trials_table(record))
            print()
            print(choice_words(record))
        print(risk_words(record))
    print(f"wrote {target}", file=sys.stderr)
    return 0 if record.promise is None or record.promise.holds else 1


def _fitted(arguments: argparse.Namespace, plan: GuardPlan) -> GuardProfile:
    if sum(map(bool, (arguments.outliers, arguments.folds, arguments.retrain, arguments.foreign))) > 1:
        rule = "a promise rests on one of --outliers, --folds, --retrain and --foreign"
        raise SettingError(rule, where="guard fit", way_out="Leave the others out.")
    if arguments.retrain is not None and arguments.retrain < 1:
        raise SettingError("there must be one epoch at least", where="--retrain", value=arguments.retrain)
    if is_file_of_arrays(arguments.model):
        if arguments.data or arguments.retrain:
            rule, where = ("a file of arrays is the data", "--data") if arguments.data else (
                "only an artifact can be trained again", "--retrain")  # fmt: skip
            raise SettingError(rule, where=where, value=arguments.data, way_out=f"Leave out {where}.")
        given = given_rows(arrays(Path(arguments.model)), arguments.model)
        return _whole(given, arguments, plan, "", _strange(arguments, lambda word: _read_arrays(word, "")))
    from modelwright.cli.guard_artifact import artifact, retrain

    if arguments.classes:
        raise SettingError("an artifact knows its classes", where="--classes", way_out="Leave it out.")
    if arguments.foreign:
        raise SettingError("an artifact was trained on its classes", where="--foreign", way_out="Try --retrain.")
    made = artifact(Path(arguments.model))
    plan = msgspec.structs.replace(plan, classes=made.classes)
    strange = _strange(arguments, lambda word: made.given(word, "test", arguments.rows, arguments.seed))
    if is_file_of_arrays(arguments.data):
        if arguments.retrain:
            raise SettingError("what is trained again needs the data set", where="--data", way_out="Leave it out.")
        rows = made.given(arguments.data, "", arguments.rows, arguments.seed)
        return _whole(rows, arguments, plan, made.digest, strange)
    data = made.data(arguments.data, arguments.seed)
    if arguments.retrain:
        strange = retrain(Path(arguments.model), data, arguments.retrain, arguments.rows, plan)
    known = made.split(data.train, arguments.rows, arguments.seed)
    held = made.split(data.validation, arguments.rows, arguments.seed)
    reference, calibration = (
        rows_of(part.sample.features, part.sample.logits, _labels(part), where)
        for part, where in ((known, "training split"), (held, "validation split"))
    )
    return fit_rows(
        reference, calibration, head=known.head, detector=arguments.detector, artifact=made.digest, plan=plan,
        strange=strange,
    )  # fmt: skip


def _strange(arguments: argparse.Namespace, reads: Callable[[str], Given]) -> Strange:
    """What the command line tells of new classes."""
    if arguments.outliers:
        sample = reads(arguments.outliers).sample
        return Outliers(sample.features, sample.logits)
    return [given_fold(arrays(Path(word)), word) for word in arguments.folds]


def _whole(
    given: Given, arguments: argparse.Namespace, plan: GuardPlan, artifact: str, strange: Strange
) -> GuardProfile:
    """A guard whose rows all come from one file."""
    sample = given.sample
    return fit(
        sample.features,
        sample.logits,
        _labels(given),
        head=given.head,
        detector=arguments.detector,
        artifact=artifact,
        plan=plan,
        strange=strange,
    )


def _labels(given: Given) -> Any:
    if given.sample.labels is None:
        raise SettingError("the rows must have labels", where="labels", way_out="Add the array labels to the file.")
    return given.sample.labels


def _plan(arguments: argparse.Namespace) -> GuardPlan:
    plan = GuardPlan(
        risk=_share(arguments.risk, "--risk"),
        ood_share=_share(arguments.ood_share, "--ood-share"),
        confidence=_share(arguments.confidence, "--confidence"),
        quantile=_share(arguments.quantile, "--quantile") if arguments.quantile else None,
        classes=tuple(arguments.classes),
        seed=arguments.seed,
        foreign=arguments.foreign,
    )
    return convert(msgspec.to_builtins(plan), GuardPlan, where="guard fit")


def _share(text: str, option: str) -> float:
    return 0.0 if text.strip() in ("0", "0%") else round(amount(text, SHARES, option), 12)


def _beside(model: str) -> Path:
    """The folder of a model's guard: arrays.npz has arrays.guard, found/net has found/net.guard."""
    path = Path(model)
    path = path if path.name else path.resolve()
    return path.with_suffix(".guard") if is_file_of_arrays(model) else path.with_name(f"{path.name}.guard")


Reads = Callable[[str, str], Given]


def _loaded(arguments: argparse.Namespace) -> tuple[GuardProfile, Path, Reads]:
    """The profile, where it is, and what reads (data, split) for it."""
    model, groups = Path(arguments.model), getattr(arguments, "groups", "")
    if (model / RECORD).is_file():
        if arguments.guard:
            raise SettingError(
                "MODEL is a guard already", where="--guard", way_out="Name the artifact, or leave it out."
            )
        return load(model, ""), model, lambda word, split: _read_arrays(word, groups)
    if is_file_of_arrays(arguments.model):
        way_out = f"Name its guard, such as {_beside(arguments.model)}."
        raise SettingError("of a model that lives elsewhere only the guard is here", where="MODEL",
                           value=arguments.model, way_out=way_out)  # fmt: skip
    from modelwright.cli.guard_artifact import artifact

    made = artifact(model)
    folder = arguments.guard or _beside(arguments.model)
    profile = load(folder, made.digest)
    return profile, folder, lambda word, split: made.given(word, split, arguments.rows, arguments.seed, groups)


def _read_arrays(word: str, groups: str) -> Given:
    if not is_file_of_arrays(word):
        rule = "the data of a model that lives elsewhere must be a file of arrays"
        raise SettingError(rule, where="--data", value=word, way_out="Give features and logits in an .npz file.")
    return given_rows(arrays(Path(word), groups), word)


def _check(arguments: argparse.Namespace) -> int:
    profile, _, reads = _loaded(arguments)
    given = reads(arguments.data, "test")
    sample = given.sample
    found = profile.decide(sample.features, sample.logits)
    if arguments.queue:
        _hand_over(arguments, profile, given, found)
    classes = profile.record.classes
    rows = [
        (sample.key(row), one.outcome, one.reason, "" if one.label is None else classes[one.label], one)
        for row, one in enumerate(found)
    ]
    if arguments.json:
        _print_json([{"key": key, "class": name, **msgspec.to_builtins(one)} for key, _, _, name, one in rows])
        return 0
    headings = ("input", "outcome", "reason", "class", ">probability", ">score")
    cells = tuple((*words, _told(one.probability), _told(one.score)) for *words, one in rows)
    show_table(Data(headings, cells))
    accepted = int(found.accepted.sum())
    show_note(f"{accepted} of {len(found)} accepted, {len(found) - accepted} deferred.")
    return 0


def _told(value: float | None) -> str:
    return "-" if value is None else significant(value)


def _hand_over(arguments: argparse.Namespace, profile: GuardProfile, given: Given, found: Decisions) -> None:
    rules = ReviewRules(classes=profile.record.classes)
    queue = Queue.open(arguments.queue) if arguments.queue.exists() else Queue.create(arguments.queue, rules)
    if queue.rules.classes != rules.classes:
        rule = f"the queue's classes must be the guard's, {', '.join(rules.classes[:10])}"
        way_out = "Name another file."
        raise SettingError(rule, where="--queue", value=queue.rules.classes[:10], way_out=way_out)
    sample = given.sample
    keys = [sample.key(row) if sample.keys else f"{arguments.data}:{row}" for row in range(len(sample))]
    handed = hand_over(queue, keys, found, texts=given.texts or None, vectors=sample.features)
    print(f"{len(handed.deferred)} deferred and {len(handed.audited)} audited in {queue.path}", file=sys.stderr)


def _evaluate(arguments: argparse.Namespace) -> int:
    profile, folder, reads = _loaded(arguments)
    page = arguments.html or folder.with_name(f"{folder.resolve().name}.html")
    check_page(page)
    given = reads(arguments.data, "test")
    if arguments.groups and not (is_file_of_arrays(arguments.data) and given.sample.groups):
        rule = "the rows must be in a file of arrays with this column, of text or whole numbers, one a row"
        raise SettingError(rule, where="--groups", value=arguments.groups, way_out="Add it to the .npz file.")
    outliers = {}
    for word in arguments.outliers:
        name, _, data = word.partition("=")
        if not name or not data or name in outliers:
            rule = "a set of outliers must have a name of its own and data"
            raise SettingError(rule, where="--outliers", value=word, way_out="Such as spam=spam.npz.")
        outliers[name] = reads(data, "test").sample
    found = evaluate(profile, given.sample, outliers, data=arguments.data or "test split")
    command = f"modelwright {shlex.join(sys.argv[1:])}" if sys.argv[1:2] == ["guard"] else ""
    write_page(page, guard_page(found, made_by=command))
    if arguments.json:
        _print_json(found)
        return 0
    for kind in dict.fromkeys(one.kind for one in found.groups):
        show_table(groups_table(found, kind))
        print()
    if found.outliers:
        show_table(outliers_table(found))
        print()
    risk = "-" if found.risk is None else percent(found.risk)
    print(f"Accepted: {percent(found.coverage)} of {found.rows} rows, of which {risk} are errors.")
    if found.mixed_share:
        risk = "-" if found.mixed_risk is None else percent(found.mixed_risk)
        print(f"With {percent(found.mixed_share)} outliers: {percent(found.mixed_coverage)} accepted, {risk} errors.")
    print(risk_words(found.guard))
    for sentence in warnings(found):
        print(f"WARNING: {sentence}")
    return 0


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
