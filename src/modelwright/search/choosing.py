"""Which candidates become a family: what together dominates most, at costs that differ where that can be had."""

from collections.abc import Sequence

import numpy as np

from modelwright.records import Plan, Trial
from modelwright.search.objectives import keeps, losses
from modelwright.search.standing import apart, counted, front, spread

APART = 1.25
"""The factor between the costs of two members, where candidates leave the choice: less is hard to tell by measuring."""
VERIFIED = 3
"""Candidates of the front that are measured, for each member that is wanted."""

Row = dict[str, float]


def worth_measuring(plan: Plan, trials: Sequence[Trial], rungs: Sequence[int]) -> list[Trial]:
    """Candidates that may become members: of the front what dominates most; the most accurate in each band of costs.

    The bands are as many as members are wanted, and equally wide in the logarithm of the first cost.
    """
    rows = {trial.number: row for trial, row in zip(trials, counted(trials, rungs), strict=True)}
    best = front(plan, trials, rungs)
    found = [best[place] for place in spread(plan, [rows[one.number] for one in best], VERIFIED * plan.family)]
    inside = [trial for trial in trials if keeps(plan.objectives, rows[trial.number])]
    if not inside:
        return []
    logs = losses(plan.objectives, [rows[one.number] for one in inside])[:, 1]
    edges = np.linspace(logs.min(), logs.max(), plan.family + 1)[1:-1]
    for band in range(plan.family):
        there = [inside[place] for place in np.flatnonzero(np.searchsorted(edges, logs) == band).tolist()]
        found += sorted(there, key=lambda one: rows[one.number]["accuracy"])[-1:]
    return list({trial.number: trial for trial in found}.values())


def members(plan: Plan, rows: Sequence[Row], noise: float = 0.0) -> list[int]:
    """The places of those that make the family, as many as the plan wants or as there are.

    First come those that together dominate most, each a factor `APART` from the others in the first cost; then, as far
    apart, the most accurate of the rest, less those that a cheaper member beats by more than chance; then the most
    accurate of the rest.

    Args:
        plan: says what counts, and how many are wanted.
        rows: values of each candidate.
        noise: the difference between two accuracies that chance makes.
    """
    chosen = spread(plan, rows, plan.family, APART)
    costs = losses(plan.objectives, rows)[:, 1]
    order = sorted(range(len(rows)), key=lambda place: (-rows[place]["accuracy"], costs[place]))

    def sound(place: int) -> bool:
        cheaper = (rows[other]["accuracy"] for other in chosen if costs[other] < costs[place])
        return rows[place]["accuracy"] >= max(cheaper, default=0.0) - noise

    for place in order:
        if len(chosen) < plan.family and apart(costs, chosen, place, APART) and sound(place):
            chosen.append(place)
    return [*chosen, *(place for place in order if place not in chosen)][: plan.family]
