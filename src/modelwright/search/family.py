"""From the front to a family: verified by measuring, trained in full, measured again beside what it is held against."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import msgspec
from torch import nn

from modelwright.networks.build import build
from modelwright.records import Architecture, Measurement, Member, Plan, Trial
from modelwright.search.choosing import members, worth_measuring
from modelwright.search.desk import Desk, at_hand, measurable
from modelwright.search.evaluate.numbers import Candidate, recipe_of
from modelwright.search.failures import FAILURES, told
from modelwright.search.hands import Hands
from modelwright.search.lessons import learn_all
from modelwright.search.objectives import keeps, losses
from modelwright.search.pareto import non_dominated
from modelwright.search.references import references
from modelwright.search.space import precisions_of
from modelwright.search.standing import counted, judged
from modelwright.search.study import Study
from modelwright.training import load_weights

ROUNDS = 4
"""How often further candidates are measured, where those before broke a limit."""


class Taken(msgspec.Struct, frozen=True):
    """Measurements that were taken in turns, in one run."""

    rows: tuple[Measurement, ...]


@final
@dataclass(frozen=True)
class Grown:
    """A family and its references, with their networks' weights on disk.

    Attributes:
        family: smallest first.
        references: likewise.
        verified: every measurement of candidates, by name.
        notes: what the reader must know.
    """

    family: tuple[Member, ...]
    references: tuple[Member, ...]
    verified: dict[str, Measurement]
    notes: tuple[str, ...]


def grow(study: Study, desk: Desk, others: Hands) -> Grown:
    """Choose the members, train them and the references by the plan's final recipe, and measure all in one run.

    What was done before an interruption is taken from the study.
    """
    verified: dict[str, Measurement] = {}
    chosen, notes = choose(study, desk, verified)
    if not chosen:
        return Grown((), (), verified, notes)
    costs, plan = desk.costs, desk.plan
    latencies = [row["latency_s"] for row in costs.values([trial.point for trial in chosen])]
    peers = references(costs, desk.data, latencies)
    named = [
        msgspec.structs.replace(trial.architecture, name=f"{plan.space.name}-{place}")
        for place, trial in enumerate(chosen, 1)
        if trial.architecture is not None
    ]
    learned, failed = learn_all(study, desk, [*named, *peers], others)
    trials = {made.name: trial for made, trial in zip(named, chosen, strict=True)}
    every = [_candidate(desk, made, trials.get(made.name)) for made in (*named, *peers) if made.name in learned]
    taken = measured(study, desk, "final", every)
    made, precisions = [one.architecture for one in every], [one.precision for one in every]
    members = []
    for one, estimate, row in zip(every, costs.raw(made, precisions), costs.of(made, precisions), strict=True):
        name = one.architecture.name
        try:
            numbers = _numbers(desk, one) if name in trials and precisions_of(plan.space) else {}
        except FAILURES as failure:
            failed = (*failed, f"{name} was left out: {told(failure)}")
            continue
        member = Member(
            name=name,
            architecture=one.architecture,
            learning=learned[name],
            estimates=estimate,
            measurement=taken.get(name),
            trial=trials[name].number if name in trials else None,
            **numbers,
        )
        members.append(msgspec.structs.replace(member, counted=_counted(plan, row, member)))
    family, broken = _within(plan, [member for member in members if member.trial is not None])
    held_against = tuple(member for member in members if member.trial is None)
    return Grown(family, held_against, verified, (*notes, *failed, *broken))


def choose(study: Study, desk: Desk, verified: dict[str, Measurement]) -> tuple[list[Trial], tuple[str, ...]]:
    """The trials that become members, cheapest first; each keeps the limits as measured, where it is measured.

    Candidates that may become members are measured; where too few of them keep the limits, others are. Among those that
    do, `choosing.members` decides.

    Args:
        study: of the search.
        desk: of this worker.
        verified: is given every measurement, by name.
    """
    plan, rungs = desk.plan, desk.judge.rungs
    left = judged(study.state())
    kept: list[tuple[Trial, dict[str, float]]] = []
    for turn in range(ROUNDS):
        group = worth_measuring(plan, left, rungs)
        if not group:
            break
        networks = [_candidate(desk, trial.architecture, trial) for trial in group if trial.architecture]
        taken = measured(study, desk, f"verify-{turn}", networks)
        verified |= taken
        every = {trial.number: row for trial, row in zip(left, counted(left, rungs), strict=True)}
        for trial in group:
            measurement = taken.get(f"trial-{trial.number}")
            row = _with(plan, every[trial.number], measurement)
            if keeps(plan.objectives, row) and (measurement or not at_hand(plan)):
                kept.append((trial, row))
        if len(kept) >= plan.family:
            break
        left = [trial for trial in left if trial.number not in {one.number for one in group}]
    rows = [row for _, row in kept]
    best = members(plan, rows, _chance(rows, len(desk.data.validation)))
    cost = plan.objectives[1].metric
    chosen = sorted((kept[place] for place in best), key=lambda pair: pair[1].get(cost, 0.0))
    front = non_dominated(losses(plan.objectives, [row for _, row in chosen]))
    behind = len(chosen) - len(front)
    notes = _shortage(plan, judged(study.state()), len(chosen), behind)
    return [trial for trial, _ in chosen], notes


def _chance(rows: Sequence[dict[str, float]], count: int) -> float:
    """The standard error of the difference between two accuracies on `count` samples, near the best of the rows.

    The share of errors is taken a little from zero (Agresti and Coull, 1998, doi 10.1080/00031305.1998.10480550).
    """
    best = max((row["accuracy"] for row in rows), default=1.0)
    share = (best * count + 2) / (count + 4)
    return math.sqrt(2 * share * (1 - share) / (count + 4))


def _shortage(plan: Plan, candidates: Sequence[Trial], count: int, behind: int) -> tuple[str, ...]:
    """Why the family is smaller than was wanted, or not all of the front."""
    more = (f"Members that added nothing to the front when they were candidates: {behind}.",) if behind else ()
    if count >= plan.family:
        return more
    if count:
        return (*more, f"{count} of {plan.family} networks that were wanted: no other candidate keeps the limits.")
    why = "No candidate keeps the limits and can be measured" if candidates else "No candidate could be judged"
    return (f"{why}; nothing was trained in full.",)


def _candidate(desk: Desk, made: Architecture, trial: Trial | None) -> Candidate:
    """A network in the numbers of its trial; a reference in those of the plan."""
    return desk.candidate(made, trial.point if trial else None)


def _numbers(desk: Desk, one: Candidate) -> dict[str, Any]:
    """What a member's record tells of the numbers that it computes in; how accurate it is in them."""
    found: dict[str, Any] = {"precision": one.precision, "recipe": recipe_of(one.precision, desk.quantizer)}
    if one.precision == "fp32":
        return found
    network = trained(desk, one.architecture)
    splits = {"validation": desk.data.validation, "test": desk.data.test}
    return {**found, "accuracies": {name: desk.numbers.accuracy(network, one, split) for name, split in splits.items()}}


def measured(study: Study, desk: Desk, stage: str, networks: Sequence[Candidate]) -> dict[str, Measurement]:
    """Measurements by name of what can be measured, in turns; none where the search is for another machine."""
    if not at_hand(desk.plan) or not networks:
        return {}
    held = study.state().note(f"measured-{stage}", Taken)
    names = {found.architecture.name for found in networks}
    if held is None or {row.architecture for row in held.rows} != names:
        desk.site.tell("measure", 0, len(networks), f"{len(networks)} networks in turns")
        held = Taken(measurable(desk.plan, desk.site, networks))
        study.note(f"measured-{stage}", held)
    return {row.architecture: row for row in held.rows}


def trained(desk: Desk, architecture: Architecture) -> nn.Module:
    """The network that was trained under the architecture's name, in evaluation mode."""
    network = build(architecture)
    load_weights(network, desk.site.checkpoints / f"{architecture.name}.safetensors")
    return network.eval()


def _with(plan: Plan, row: dict[str, float], taken: Measurement | None) -> dict[str, float]:
    """The values with what was measured in place of what was predicted."""
    if taken is None or not at_hand(plan):
        return row
    return {**row, "latency_s": taken.median_s, "throughput_per_s": taken.throughput_per_s}


def _counted(plan: Plan, row: dict[str, float], member: Member) -> dict[str, float]:
    """The numbers of a member as the search counts those of a candidate; its measurement only where it counts these."""
    numbers = {**row, "accuracy": member.accuracy}
    measures = any(one.source == "measure" for one in plan.objectives)
    return _with(plan, numbers, member.measurement) if measures else numbers


def _within(plan: Plan, members: Sequence[Member]) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """The members that keep the limits in the last measurement as well, and a word on those that do not."""
    good, notes = [], []
    for member in members:
        last = {**_with(plan, member.counted, member.measurement), "accuracy": 1.0}
        if at_hand(plan) and member.measurement is None:
            notes.append(f"{member.name} was left out: it cannot be measured.")
        elif keeps(plan.objectives, last):
            good.append(member)
        else:
            took = f"{last.get('latency_s', float('nan')) * 1e3:.3g} ms"
            notes.append(f"{member.name} was left out: at last it measured {took}, beyond the limit.")
    return tuple(good), tuple(notes)
