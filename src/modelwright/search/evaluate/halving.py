"""Successive halving, asynchronous: who of a rung deserves a larger budget (ASHA: Li et al., 2018, arXiv 1810.05934).

Whenever a worker is free, a trial among the best 1/eta of a rung that was not promoted yet goes on to the next rung;
where there is none, a new trial begins. Nobody waits for a rung to fill. As in the paper, latecomers are promoted where
they displace others from the best 1/eta, so that over time some more than 1/eta of a rung may have gone on.

For several objectives, the best are those of the foremost non-dominated front, then those of the next; within a front,
accuracy decides. So the most accurate trial is always first.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from modelwright.errors import SettingError
from modelwright.records import Trial
from modelwright.records.study import Metric
from modelwright.search.pareto import ranks

LARGER_IS_BETTER = ("accuracy", "throughput_per_s")


def rungs(epochs: int, eta: int = 3, least: int = 1) -> tuple[int, ...]:
    """Budgets, rising: epochs / eta^k for k = 0, 1, ..., rounded down, as long as they are `least` or more.

    Args:
        epochs: of a full training.
        eta: 1/eta of the trials go on to the next rung.
        least: epochs of the first rung.

    Raises:
        SettingError: a number is too small to mean anything.
    """
    for name, value, smallest in (("epochs", epochs, 1), ("eta", eta, 2), ("least", least, 1)):
        if value < smallest:
            raise SettingError(f"{name} must be at least {smallest}", where="rungs", value=value)
    found = [epochs]
    while found[-1] // eta >= least:
        found.append(found[-1] // eta)
    return tuple(reversed(found))


def promotions(
    trials: Iterable[Trial], rungs: Sequence[int], eta: int = 3, costs: Sequence[Metric] | None = None
) -> list[tuple[int, int]]:
    """Which trials go on, and to which budget: those of the highest rung first, the best of a rung first.

    Args:
        trials: all that is known; a trial that has ended several rungs may stand there once for each. Finished and
            stopped ones can go on, failed and running ones cannot. One that has gone on, whatever became of it, still
            has its place in the rungs that it left.
        rungs: budgets, rising.
        eta: the best 1/eta of a rung go on, rounded down.
        costs: metrics that count besides accuracy; None for all that every trial has a value of.

    Returns:
        (number of a trial, its next budget); each trial once at most.
    """
    known: dict[int, list[Trial]] = {}
    for trial in trials:
        known.setdefault(trial.number, []).append(trial)
    found: list[tuple[int, int]] = []
    for budget, following in reversed(list(pairwise(rungs))):
        found += [(number, following) for number in _rung(known, budget, eta, costs)]
    return found


def _rung(known: Mapping[int, Sequence[Trial]], budget: int, eta: int, costs: Sequence[Metric] | None) -> list[int]:
    """The numbers of those who go on from one rung."""
    beyond = {number for number, seen in known.items() if max(trial.budget for trial in seen) > budget}
    values = {number: found for number, seen in known.items() if (found := _values(seen, budget))}
    unseen = sum(number not in values for number in beyond)  # they were among the best when they went on
    places = (len(values) + unseen) // eta - unseen
    best = _ordered(values, costs)[: max(places, 0)]
    return [number for number in best if number not in beyond]


def _values(seen: Sequence[Trial], budget: int) -> dict[str, float] | None:
    """A trial's values as that rung ended; None where it has not ended it, or not well, or nobody knows."""
    for trial in seen:
        good = trial.state in ("finished", "stopped") and "accuracy" in trial.values
        if good and trial.budget == budget:
            return trial.values
        epochs = trial.learning.epochs if trial.learning else ()
        if good and trial.budget > budget and 0 < budget <= len(epochs):
            lost = epochs[-1].accuracy - trial.values["accuracy"]  # in other numbers than it was trained in; else 0
            return {**trial.values, "accuracy": epochs[budget - 1].accuracy - lost}
    return None


def _ordered(values: Mapping[int, Mapping[str, float]], costs: Sequence[Metric] | None) -> list[int]:
    """The numbers of a rung, best first; of equals the earlier trial."""
    numbers = sorted(values)
    if not numbers:
        return []
    shared = set.intersection(*(set(values[number]) for number in numbers))
    counted = ["accuracy", *sorted((shared if costs is None else shared & set(costs)) - {"accuracy"})]
    sign = [-1.0 if metric in LARGER_IS_BETTER else 1.0 for metric in counted]
    losses = np.array([[values[number][metric] for metric in counted] for number in numbers]) * sign
    order = np.lexsort(np.column_stack((numbers, losses[:, 0], ranks(losses))).T)
    return [numbers[place] for place in order.tolist()]
