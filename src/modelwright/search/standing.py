"""Where a study stands: trials at different budgets made comparable, the history that algorithms see, the front."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from modelwright.records import Plan, Point, Trial
from modelwright.search.costs import FREE, Costs
from modelwright.search.history import History
from modelwright.search.objectives import Numbers, keeps, limits, losses, rewards
from modelwright.search.pareto import hypervolume, non_dominated, reference_point
from modelwright.search.study import State

LEAST_ERROR = 1e-3
"""An error below this says nothing about how errors shrink."""


def judged(state: State) -> list[Trial]:
    """The trials that have an accuracy, as their latest run left them, in the order of their first end."""
    ended: dict[int, Trial] = {}
    for (number, _), trial in state.ended.items():
        if trial.state in ("finished", "stopped") and "accuracy" in trial.values:
            ended[number] = trial if number not in ended or trial.budget >= ended[number].budget else ended[number]
    return list(ended.values())


def levelled(trials: Sequence[Trial], rungs: Sequence[int]) -> list[float]:
    """The accuracy that each trial would have at the last rung, as far as can be told.

    Of the error of a trial that stopped at a rung there remains the median share that remained at the next rung over
    the trials that went on; so those that were judged early are not taken for worse than they are, in the same order.
    """
    remains = {}
    for before, after in pairwise(rungs):
        shares = [_error(trial, after) / _error(trial, before) for trial in trials if _reached(trial, after)]
        remains[before] = min(float(np.median(shares)), 1.0) if shares else 1.0
    return [
        1.0 - (1.0 - trial.values["accuracy"]) * math.prod(remains[r] for r in rungs[:-1] if 0 < trial.budget <= r)
        for trial in trials
    ]


def counted(trials: Sequence[Trial], rungs: Sequence[int]) -> list[dict[str, float]]:
    """Values of each trial, its accuracy levelled."""
    return [
        {**trial.values, "accuracy": accuracy} for trial, accuracy in zip(trials, levelled(trials, rungs), strict=True)
    ]


def history(plan: Plan, state: State, costs: Costs, rungs: Sequence[int]) -> History:
    """What an algorithm may know of a study."""
    trials = judged(state)
    rows = counted(trials, rungs)
    busy: list[Point] = [trial.point for trial in state.trials.values() if trial.state == "running"]
    done = {trial.number for trial in trials}
    failed = [t.point for t in state.trials.values() if t.state in ("failed", "stopped") and t.number not in done]
    free = any(objective.source in FREE for objective in plan.objectives)
    return History(
        points=tuple(trial.point for trial in trials),
        losses=losses(plan.objectives, rows),
        pending=tuple(point for point in busy if point not in [trial.point for trial in trials]),
        failed=tuple(failed),
        known=costs.known if free else None,
        rewards=rewards(plan.objectives, rows),
        limits=limits(plan.objectives),
    )


def front(plan: Plan, trials: Sequence[Trial], rungs: Sequence[int]) -> list[Trial]:
    """The trials within the limits that no other is better than, cheapest last."""
    rows = counted(trials, rungs)
    inside = [place for place, row in enumerate(rows) if keeps(plan.objectives, row)]
    best = non_dominated(losses(plan.objectives, [rows[place] for place in inside]))
    return [trials[inside[place]] for place in best.tolist()]


def growth(plan: Plan, trials: Sequence[Trial], rungs: Sequence[int]) -> tuple[float, ...]:
    """The hypervolume of the front after each trial, as a share of what it is in the end.

    The reference point is that of the final front (its nadir and a tenth of its extent). Trials beyond a limit count
    for nothing; where all are, there is no front.
    """
    rows = counted(trials, rungs)
    inside = np.array([keeps(plan.objectives, row) for row in rows], dtype=np.bool_)
    if not inside.any():
        return ()
    found = losses(plan.objectives, rows)
    reference = reference_point(found[inside])
    found[~inside] = np.inf
    final = hypervolume(found, reference)
    return tuple(hypervolume(found[: place + 1], reference) / final for place in range(len(found)))


def spread(plan: Plan, rows: Sequence[dict[str, float]], count: int, factor: float = 1.0) -> list[int]:
    """The places of up to `count` rows: the most accurate one, then those that together dominate most.

    Any two differ in the first cost by `factor` at least.

    The hypervolume is submodular, so greedy choice gets within 1 - 1/e of the most that can be added (Nemhauser et al.,
    1978).
    """
    found = losses(plan.objectives, rows)
    if not len(found):
        return []
    reference = reference_point(found)
    chosen = [int(np.lexsort(found.T[::-1])[0])]
    while len(chosen) < min(count, len(found)):
        left = [
            place for place in range(len(found)) if place not in chosen and apart(found[:, 1], chosen, place, factor)
        ]
        if not left:
            break
        worth = [hypervolume(found[[*chosen, place]], reference) for place in left]
        if max(worth) <= hypervolume(found[chosen], reference):
            break
        chosen.append(left[int(np.argmax(worth))])
    return chosen


def apart(losses: Numbers, chosen: Sequence[int], place: int, factor: float) -> bool:
    """Whether the cost of one place, a logarithm, lies a factor or more from those of all that are chosen."""
    return bool(np.all(np.abs(losses[list(chosen)] - losses[place]) >= math.log(factor)))


def _reached(trial: Trial, rung: int) -> bool:
    return trial.learning is not None and len(trial.learning.epochs) >= rung


def _error(trial: Trial, rung: int) -> float:
    accuracy = trial.learning.epochs[rung - 1].accuracy if trial.learning else trial.values["accuracy"]
    return max(1.0 - accuracy, LEAST_ERROR)
