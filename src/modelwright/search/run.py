"""A whole search, from a plan to findings: killed at any moment, it goes on from what is written down."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
import torch

from modelwright.errors import SettingError
from modelwright.networks.measuring.ambience import device_of
from modelwright.networks.measuring.machine import describe
from modelwright.networks.measuring.setting import Setting
from modelwright.records import Device, Findings, Member, Plan, Prediction, Trial, to_json, write_whole
from modelwright.search.check import checked
from modelwright.search.desk import Desk, prepare
from modelwright.search.family import Grown, at_hand, grow, network_of
from modelwright.search.handover import Context, hand_over
from modelwright.search.objectives import check
from modelwright.search.reasons import reasons
from modelwright.search.site import Site
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
    study = open_study(plan, site, resume)
    begun = site.clock.seconds()
    desk = prepare(study, site)
    crew(study, desk)
    agreements = checked(study, desk)
    grown = grow(study, desk)
    family = handed_over(desk, grown)
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
        seconds=_time(study, site.clock.seconds() - begun),
        hypervolume=growth(plan, ranked, rungs),
        notes=(*grown.notes, *_notes(desk)),
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
    if site.workers > 1 and any(objective.source == "measure" for objective in plan.objectives):
        rule = "latencies are measured while nothing else runs: with one worker"
        raise SettingError(rule, where="workers", value=site.workers, way_out="Use 1, or calibrated latencies.")
    site.folder.mkdir(parents=True, exist_ok=True)
    if not site.study.exists():
        return Study.create(site.study, plan, site.clock)
    if not resume:
        way_out = "Go on with it by --resume, or choose another folder."
        raise SettingError("a new search needs a folder without a study", where=str(site.study), way_out=way_out)
    return Study.open(site.study, site.clock, plan=plan)


class _Seconds(msgspec.Struct, frozen=True):
    """Seconds that all runs of a search have taken together."""

    seconds: float


def handed_over(desk: Desk, grown: Grown) -> tuple[Member, ...]:
    """The family with what each member's folder holds; from a checkpoint on disk to files for others."""
    site, family = desk.site, []
    for place, member in enumerate(grown.family):
        site.tell("hand over", place, len(grown.family), member.name)
        context = Context.of(
            desk.data, commit=site.commit, clock=site.clock, command=site.command, study=site.study, plan=desk.plan
        )
        family.append(hand_over(network_of(desk, member), member, site.folder, context=context))
    return tuple(family)


def _predictions(desk: Desk, grown: Grown, ranked: Sequence[Trial]) -> Iterator[Prediction]:
    """Candidates that were measured, beside what was predicted of them."""
    calibration = desk.costs.calibration
    if calibration is not None:
        for name, said, took in zip(calibration.names, calibration.estimated_s, calibration.measured_s, strict=True):
            yield Prediction(name, said, took, "estimate")
    source: Literal["calibrated", "estimate"] = "estimate" if calibration is None else "calibrated"
    for trial in ranked:
        taken = grown.verified.get(f"trial-{trial.number}")
        if taken is not None:
            values = trial.values
            yield Prediction(taken.architecture, values["latency_s"], taken.median_s, source, values.get("flops"))


def _notes(desk: Desk) -> Iterator[str]:
    calibration = desk.costs.calibration
    if calibration is not None:
        yield (
            f"Latencies of candidates are the performance model's, corrected by {len(calibration.names)} measurements;"
            f" each of these, predicted from the others, is off by {calibration.error:.0%} (median)."
        )
    if not at_hand(desk.plan):
        yield f"Nothing was measured: {desk.plan.platform} is not the machine that the search ran on."


def _device(site: Site) -> Device:
    setting = Setting(device=site.device, threads=site.threads)
    threads = site.threads or torch.get_num_threads()
    return describe(device_of(setting), threads, site.commit)


def _time(study: Study, seconds: float) -> float:
    before = study.state().note("seconds", _Seconds)
    total = seconds + (before.seconds if before else 0.0)
    study.note("seconds", _Seconds(total))
    return total
