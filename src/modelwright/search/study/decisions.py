"""What a study's driver does next, decided by pure functions of its state."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from modelwright.errors import SettingError
from modelwright.records import Plan, Trial, from_json, to_json
from modelwright.search.study.entries import Ended, Requeued, Run, Start
from modelwright.search.study.state import State

LOSSES = 3
"""A trial that so many workers have died of is not run again."""

Alive = Callable[[str], bool | None]
"""Whether a worker's process lives; None where that cannot be told from here."""

Decide = Callable[[State], Sequence[Start]]
"""An algorithm: what to try next, in view of all that has ended and all that is on its way."""


def lost(state: State, now: datetime, alive: Alive, silence_s: float) -> tuple[int, ...]:
    """Numbers of the running trials whose worker is dead.

    A worker whose process can be looked up is dead when the process is gone, however long it was silent: a laptop that
    wakes up has lost nothing. Any other is dead after `silence_s` seconds without a sign of life.
    """

    def dead(worker: str) -> bool:
        living = alive(worker)
        if living is not None:
            return not living
        beat = state.beats.get(worker)
        return beat is None or (now - datetime.fromisoformat(beat)).total_seconds() > silence_s

    return tuple(number for number, run in state.running.items() if dead(run.worker))


def after_a_loss(run: Run) -> Requeued | Ended:
    """What becomes of a run whose worker is dead: it is run again, unless it has killed enough workers."""
    if run.losses + 1 < LOSSES:
        return Requeued(run.number, run.rung, run.worker, lost=True)
    reason = f"{LOSSES} workers died while they ran it, the last one was {run.worker}"
    return Ended(msgspec.structs.replace(run.trial, state="failed", reason=reason), run.rung)


def next_runs(state: State, decide: Decide, worker: str) -> tuple[Run, ...]:
    """What a worker takes on: the run that has waited longest, or else what the algorithm wants.

    Raises:
        SettingError: the algorithm goes on with a trial that has not ended, or changes its point.
    """
    for run in state.queued.values():
        return (msgspec.structs.replace(run, worker=worker),)
    runs: list[Run] = []
    new = state.next_number
    for start in decide(state):
        number = new if start.number is None else start.number
        new += start.number is None
        rung = 0 if start.number is None else _next_rung(state, start, {run.number for run in runs})
        runs.append(Run(number, rung, start.point, start.budget, start.suggested_by, worker))
    return tuple(runs)


def _next_rung(state: State, start: Start, taken: set[int]) -> int:
    trial = state.trials.get(start.number) if start.number is not None else None
    if trial is None or trial.state == "running" or trial.number in taken:
        raise SettingError("a trial goes on only after it has ended", where=start.suggested_by, value=start.number)
    if trial.point != start.point:
        rule = f"a trial goes on with the point that it had, {trial.point}"
        raise SettingError(rule, where=start.suggested_by, value=start.point)
    return state.rung(trial.number)


def keepable(trial: Trial, rung: int, problem: str) -> Ended:
    """A trial as failed, without what cannot be written down: numbers that are not finite, and its training's log."""
    values = {metric: value for metric, value in trial.values.items() if abs(value) < float("inf")}
    reason = "; ".join(text for text in (trial.reason, problem) if text)
    kept = msgspec.structs.replace(trial, state="failed", values=values, learning=None, reason=reason)
    return Ended(kept, rung)


def difference(old: Plan, new: Plan) -> tuple[str, Any, Any] | None:
    """The first key in which two plans differ, and its two values; None where they are one plan."""
    begun, given = (msgspec.to_builtins(from_json(to_json(plan), Plan)) for plan in (old, new))
    return _difference(begun, given, "")


def _difference(old: Any, new: Any, key: str) -> tuple[str, Any, Any] | None:
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        inner = ((name, old[name], new[name]) for name in old)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        inner = ((str(place), *pair) for place, pair in enumerate(zip(old, new, strict=True)))
    else:
        return None if (type(old), old) == (type(new), new) else (key, old, new)
    found = (_difference(a, b, f"{key}.{name}".lstrip(".")) for name, a, b in inner)
    return next((one for one in found if one), None)
