"""A whole search, from a plan to findings: killed at any moment, it goes on from what is written down."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

import msgspec
import torch

from modelwright.errors import ExportError, RecordError, SettingError, ShapeError, StoreError, UnknownNameError
from modelwright.networks.measuring.ambience import device_of
from modelwright.networks.measuring.machine import describe
from modelwright.networks.measuring.setting import Setting
from modelwright.records import Device, Findings, Member, Plan, Prediction, Trial, to_json, write_whole
from modelwright.search.check import checked
from modelwright.search.desk import Desk, at_hand, prepare
from modelwright.search.family import Grown, grow, trained
from modelwright.search.handover import Context, hand_over
from modelwright.search.hands import hands
from modelwright.search.objectives import check
from modelwright.search.reasons import reasons
from modelwright.search.site import Site
from modelwright.search.space import precisions_of
from modelwright.search.standing import front, growth, judged
from modelwright.search.study import Study
from modelwright.search.work import crew

FINDINGS = "findings.json"


def search(plan: Plan, site: Site, *, resume: bool = False) -> Findings:
    """Search, grow the family, hand it over, and say what was found.

    Args:
        plan: what is asked for.
        site: where it runs; its folder gets the study, the networks and the findings.
        resume: go on with the study that is in the folder, if one is.

    Raises:
        SettingError: the plan cannot be followed, or the folder holds a study already and `resume` is not set.
        StoreError: the study cannot be read or written; nothing that was finished is lost.
    """
    new = not site.study.exists()
    study = open_study(plan, site, resume)
    try:
        desk = prepare(study, site)
    except (SettingError, UnknownNameError, RecordError, ShapeError):
        if new:
            _leave_nothing(site)
        raise
    with _timed(study, site), hands(site) as others:
        crew(study, desk, others)
        agreements = checked(study, desk, others)
        grown = grow(study, desk, others)
        family, unwritten = handed_over(desk, grown)
    state, rungs = study.state(), desk.judge.rungs
    ranked = judged(state)
    best = front(plan, ranked, rungs)
    points = {trial.number: trial.point for trial in ranked}
    largest = [points[member.trial] for member in family if member.trial is not None]
    findings = Findings(
        plan=plan,
        trials=tuple(state.trials.values()),
        front=tuple(trial.number for trial in best),
        family=family,
        references=grown.references,
        agreements=agreements,
        reasons=reasons(desk.domain, desk.costs, best, largest[-1]) if largest else (),
        device=_device(site),
        seconds=_seconds(study),
        hypervolume=growth(plan, ranked, rungs),
        notes=(*grown.notes, *unwritten, *_notes(desk)),
        predictions=tuple(_predictions(desk, grown, ranked)),
    )
    write_whole(site.folder / FINDINGS, to_json(findings))
    return findings


def open_study(plan: Plan, site: Site, resume: bool) -> Study:
    """The study in the site's folder: a new one, or the one to go on with.

    Raises:
        SettingError: there is one already and `resume` is not set, or it was begun with another plan.
        StoreError: it is damaged, or cannot be written.
    """
    check(plan.objectives)
    if site.workers < 1:
        raise SettingError("there must be one worker at least", where="workers", value=site.workers)
    if site.ray and site.workers == 1:
        way_out = "Ask for 2 or more."
        raise SettingError("a cluster is for the workers beside the first", where="workers", value=1, way_out=way_out)
    if site.workers > 1 and any(objective.source == "measure" for objective in plan.objectives):
        rule = "latencies are measured while nothing else runs: with one worker"
        raise SettingError(rule, where="workers", value=site.workers, way_out="Use 1, or calibrated latencies.")
    site.folder.mkdir(parents=True, exist_ok=True)
    if not site.study.exists():
        return Study.create(site.study, plan, site.clock)
    if not resume:
        way_out = "Go on with it by --resume, or choose another folder."
        raise SettingError("a new search needs a folder without a study", where=str(site.study), way_out=way_out)
    study = Study.open(site.study, site.clock, plan=plan)
    study.release_left()
    return study


class _Seconds(msgspec.Struct, frozen=True):
    """Seconds that all runs of a search have taken together, those apart that were killed."""

    seconds: float


def handed_over(desk: Desk, grown: Grown) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """The family with what each member's folder holds, and a word on those that a format cannot take.

    From weights on disk to files for others.
    """
    site, family, notes = desk.site, [], []
    for place, member in enumerate(grown.family):
        site.tell("hand over", place, len(grown.family), member.name)
        context = Context.of(
            desk.data,
            commit=site.commit,
            clock=site.clock,
            command=site.command,
            study=site.study,
            plan=msgspec.structs.replace(desk.plan, precision=member.precision or desk.plan.precision),
        )
        try:
            family.append(hand_over(trained(desk, member.architecture), member, site.folder, context=context))
        except ExportError as failure:  # the search has found it all the same
            family.append(member)
            notes.append(f"{member.name} was not written: {failure}")
    return tuple(family), tuple(notes)


def _predictions(desk: Desk, grown: Grown, ranked: Sequence[Trial]) -> Iterator[Prediction]:
    """Candidates that were measured, beside what was predicted of them."""
    calibrations = desk.costs.calibrations
    for precision, calibration in calibrations.items():
        numbers = f" {precision}" if precision != desk.plan.precision else ""
        for name, said, took in zip(calibration.names, calibration.estimated_s, calibration.measured_s, strict=True):
            yield Prediction(f"{name}{numbers}", said, took, "estimate")
    source: Literal["calibrated", "estimate"] = "calibrated" if calibrations else "estimate"
    for trial in ranked:
        taken = grown.verified.get(f"trial-{trial.number}")
        if taken is not None:
            (values,) = desk.costs.values([trial.point])  # a trial's own may be measured
            yield Prediction(taken.architecture, values["latency_s"], taken.median_s, source, values.get("flops"))


def _notes(desk: Desk) -> Iterator[str]:
    for precision, calibration in desk.costs.calibrations.items():
        numbers = f" in {precision}" if len(desk.costs.calibrations) > 1 else ""
        yield (
            f"Latencies of candidates{numbers} are the performance model's, corrected by {len(calibration.names)} "
            f"measurements; each of these, predicted from the others, is off by {calibration.error:.0%} (median)."
        )
    if precisions_of(desk.plan.space):
        yield f"References compute in {desk.plan.precision}; networks of the family in the numbers that were chosen."
    if not at_hand(desk.plan):
        yield f"Nothing was measured: {desk.plan.platform} is not the machine that the search ran on."
    for why, count in desk.costs.problems.items():
        yield f"No network could be made of {count} of the points that were looked at: {why}"


def _device(site: Site) -> Device:
    setting = Setting(device=site.device, threads=site.threads)
    threads = site.threads or torch.get_num_threads()
    return describe(device_of(setting), threads, site.commit)


@contextmanager
def _timed(study: Study, site: Site) -> Iterator[None]:
    """Adds the seconds of this run to those before it, however it ends; of a killed one they are not known."""
    begun = site.clock.seconds()
    try:
        yield
    finally:
        with suppress(StoreError):  # no room for that either; what was raised before tells
            study.note("seconds", _Seconds(_seconds(study) + site.clock.seconds() - begun))


def _seconds(study: Study) -> float:
    held = study.state().note("seconds", _Seconds)
    return held.seconds if held else 0.0


def _leave_nothing(site: Site) -> None:
    """Take away a study that was begun in vain, and its folder if nothing else is there."""
    for file in (site.study, site.study.with_name(f"{site.study.name}-journal")):
        file.unlink(missing_ok=True)
    with suppress(OSError):
        site.folder.rmdir()
