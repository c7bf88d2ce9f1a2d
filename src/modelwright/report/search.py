"""The page of a search: the family it found beside its references, how it got there, and what its numbers are worth."""

import math
from collections.abc import Sequence
from pathlib import Path

from modelwright.records import Platform
from modelwright.records.study import Findings, Member, Plan
from modelwright.report.candidates import Basis, basis, cost_metric, got_in_words, metric_name, written
from modelwright.report.chosen import changes_chart, reasons_table
from modelwright.report.curves import agreement_chart, learning_curves
from modelwright.report.family import (
    FAMILY,
    Line,
    columns_words,
    members_table,
    plane_of_lines,
    reference_lines,
    stages_table,
)
from modelwright.report.markup import Chart, Data, bullets, details, figure, grid, paragraph, section, table
from modelwright.report.origin import search_origin
from modelwright.report.page import page
from modelwright.report.progress import causes, progress, trials_table
from modelwright.report.proxies import flops_chart, model_chart
from modelwright.report.quantity import duration, many, percent, quantity, ratio
from modelwright.report.trials import search_plane

_EVIDENCE = {
    "training": "each trained in full",
    "halving": "judged by successive halving",
    "supernet": "judged with the weights of one supernet",
    "score": "judged by a score of the untrained network",
}


def search_page(findings: Findings, *, platform: Platform | None = None, made_by: str = "") -> str:
    """One HTML file that shows what a search found, how, and beside what.

    Args:
        findings: of a search that has ended, with or without success.
        platform: that costs were estimated for, to list its numbers and their sources.
        made_by: the program and the command line, for the foot of the page.
    """
    return page(
        f"A family of networks for {machine(findings, platform)}",
        f"{_asked(findings)} {result(findings)}",
        [
            _family(findings),
            _search(findings),
            _proxies(findings),
            _chosen(findings),
            _training(findings),
            _evidence(findings),
            _trials(findings),
        ],
        search_origin(findings, platform),
        made_by=made_by,
    )


def machine(findings: Findings, platform: Platform | None = None) -> str:
    """What the search was for: the platform, or the device where only measurements counted."""
    return platform.title if platform else findings.plan.platform or findings.device.name


def result(findings: Findings) -> str:
    """The member most accurate on the validation split against its `rival` among the references, in a sentence."""
    if not findings.family:
        return "No network came of it."
    on = basis([*findings.family, *findings.references])
    best = max(findings.family, key=lambda member: member.accuracy)
    seconds = on.latency(best)
    named = f"{best.name} ({best.precision})" if best.precision else best.name
    text = f"{named} is right on {percent(on.accuracy(best))} of the {on.split} split"
    if seconds:
        text += f" and takes {quantity(seconds, 's')} ({on.timing})"
    if not findings.references:
        return f"{text}."
    other = rival(findings.references, best, on)
    as_good = on.accuracy(other) >= on.accuracy(best)
    which = "the fastest reference at least as accurate" if as_good else "the most accurate reference"
    text += f"; {which}, {other.name}, is right on {percent(on.accuracy(other))}"
    theirs = on.latency(other)
    if not seconds or not theirs:
        return f"{text}."
    faster = (
        f"is {ratio(theirs / seconds)} as fast" if theirs >= seconds else f"takes {ratio(seconds / theirs)} as long"
    )
    return f"{text} and takes {quantity(theirs, 's')}: {best.name} {faster}.{_others(findings, best, on)}"


def _others(findings: Findings, best: Member, on: Basis) -> str:
    """How fast the other members are beside the fastest reference that is no less accurate than each."""
    found = []
    for member in findings.family:
        other = rival(findings.references, member, on)
        mine, theirs = on.latency(member), on.latency(other)
        if member is not best and mine and theirs and on.accuracy(other) >= on.accuracy(member):
            found.append(f"{member.name} ({percent(on.accuracy(member))}) is {ratio(theirs / mine)} as fast")
    return f" Beside the fastest reference at least as accurate as each, {' and '.join(found)}." if found else ""


def rival(references: Sequence[Member], member: Member, on: Basis) -> Member:
    """What a member must be held against: the fastest reference that is no less accurate; else the most accurate.

    Args:
        references: at least one.
        member: of the family.
        on: the numbers that all have.
    """
    as_good = [reference for reference in references if on.accuracy(reference) >= on.accuracy(member)]
    if as_good:
        return min(as_good, key=lambda reference: on.latency(reference) or math.inf)
    return max(references, key=on.accuracy)


def _asked(findings: Findings) -> str:
    plan = findings.plan
    judged = sum("accuracy" in trial.values for trial in findings.trials)
    limits = [
        f"{metric_name(o.metric)} at {'least' if o.maximise else 'most'} {written(o.metric, o.limit)}"
        for o in plan.objectives
        if o.limit is not None
    ]
    within = f", with {' and '.join(limits)}" if limits else ""
    cost = metric_name(cost_metric(plan))
    return (
        f"A search of {many(judged, 'candidate')} of the space {plan.space.name}, {_EVIDENCE[plan.evidence]} "
        f"on {Path(plan.data).name}, for accuracy and {cost} at batch {plan.batch}, {_numbers(plan)} "
        f"{plan.execution}{within}."
    )


def _numbers(plan: Plan) -> str:
    """What networks compute in: what the space lets them choose, or the plan's precision."""
    chosen = next((choice.values for choice in plan.space.choices if choice.name == "precision"), (plan.precision,))
    return " or ".join(map(str, chosen))


def _figures(*charts: Chart | None) -> str:
    return grid([figure(chart) for chart in charts if chart])


def _family(findings: Findings) -> str:
    notes = bullets(findings.notes, "note")
    if not findings.family and not findings.references:
        return section("The family", notes, paragraph("No network was trained in full."))
    return section(
        "The family",
        notes,
        table(members_table(findings)),
        paragraph(columns_words([*findings.family, *findings.references]), "note"),
        _figures(plane_of_lines([*reference_lines(findings.references), Line("family", FAMILY, findings.family)])),
        _files(findings.family),
    )


def _files(members: Sequence[Member]) -> str:
    rows = tuple((member.name, role, path) for member in members for role, path in member.files.items())
    return details("The family's files", table(Data(("network", "role", "path"), rows))) if rows else ""


def _search(findings: Findings) -> str:
    plan, metric = findings.plan, cost_metric(findings.plan)
    chart = search_plane(findings)
    if not chart:
        return section("The search", paragraph(f"No trial has both an accuracy and a {metric_name(metric)}."))
    intro = (
        f"Each point is a network of the space {plan.space.name} at its {metric_name(metric)}, "
        f"{got_in_words(plan, metric)}. The whole search took {duration(findings.seconds)}."
    )
    return section("The search", _figures(chart), _figures(*progress(findings)), intro=intro)


def _proxies(findings: Findings) -> str:
    charts = [chart for chart in (flops_chart(findings), model_chart(findings)) if chart]
    intro = "How far the work a network does, and the performance model, stand for the time that it takes."
    return section("FLOPs, predictions and time", _figures(*charts), intro=intro) if charts else ""


def _chosen(findings: Findings) -> str:
    made = details("The family, stage by stage", table(stages_table(findings.family))) if findings.family else ""
    if not findings.reasons:
        return section("What the family is made of", made) if made else ""
    intro = (
        "The value that most members of the front have in each place, and how many of them. What each value would cost "
        "is told for the family's largest member, with this choice alone changed."
    )
    return section(
        "What was chosen, and why it pays",
        table(reasons_table(findings)),
        _figures(changes_chart(findings)),
        made,
        intro=intro,
    )


def _training(findings: Findings) -> str:
    charts = learning_curves(findings)
    return section("Training", _figures(*charts)) if charts else ""


def _evidence(findings: Findings) -> str:
    if not findings.agreements:
        return ""
    intro = (
        "A sample of the candidates was trained in full. Cheap evidence is good where it puts them in the same order: "
        "a rank correlation of 1 is the same order, 0 is no relation."
    )
    charts = [agreement_chart(found) for found in findings.agreements if found.pairs]
    told = [f"{found.evidence}: Kendall's tau {found.kendall:.2f}, {found.candidates} candidates." for found in
            findings.agreements if not found.pairs]  # fmt: skip
    return section("Cheap evidence against full training", _figures(*charts), bullets(told), intro=intro)


def _trials(findings: Findings) -> str:
    if not findings.trials:
        return section("Trials", paragraph("No trial was begun."))
    states = [trial.state for trial in findings.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    failed, stopped = causes(findings, "failed"), causes(findings, "stopped")
    return section(
        "Trials",
        paragraph(f"{many(len(states), 'trial')}: {counts}."),
        *((paragraph("Failed:"), bullets(failed)) if failed else ()),
        details("Why trials were stopped early", bullets(stopped)) if stopped else "",
        details("All trials", table(trials_table(findings))),
    )
