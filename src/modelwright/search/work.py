"""The worker: claims what is to be run next, judges it, and writes down what came of it."""

import threading
from contextlib import suppress
from functools import partial

import msgspec
import numpy as np

from modelwright.errors import SettingError, StoreError
from modelwright.records import Trial
from modelwright.search.desk import Desk
from modelwright.search.evaluate import promotions
from modelwright.search.failures import FAILURES, told
from modelwright.search.hands import Hands, helped
from modelwright.search.objectives import keeps
from modelwright.search.standing import counted, history, judged
from modelwright.search.study import Start, State, Study

PAUSE_S = 0.5
"""Between two looks at a study in which others are busy."""


def next_start(desk: Desk, state: State) -> list[Start]:
    """What a worker starts next, in view of the study as it stands; nothing if all has begun.

    A trial that has earned a larger budget goes on; else a new point is asked for, until the plan's number of trials
    has begun. What is drawn depends on the seed and the number of the new trial only.
    """
    plan, rungs, latest = desk.plan, desk.judge.rungs, state.trials
    busy = set(state.running) | set(state.queued)
    costs = [objective.metric for objective in plan.objectives if objective.metric != "accuracy"]
    for number, budget in promotions([*state.ended.values(), *_busy(state)], rungs, costs=costs):
        if number not in busy:
            return [Start(latest[number].point, budget, latest[number].suggested_by, number)]
    if state.next_number >= plan.trials:
        return []
    seen = history(plan, state, desk.costs, rungs)
    rng = np.random.default_rng([plan.seed, 3, state.next_number])
    points = desk.searcher.suggest(desk.domain, seen, rng, 1)
    return [Start(point, rungs[0], plan.method) for point in points]


def work(study: Study, desk: Desk) -> None:
    """Run trials until there are none to run and nobody else runs any.

    Raises:
        StoreError: the study cannot be written; what was finished before is kept.
        OSError: a checkpoint cannot be written; likewise.
        KeyboardInterrupt: after the claimed trial was given back.
    """
    decide, pause = partial(next_start, desk), threading.Event()
    while True:
        claimed = study.claim(decide)
        state = study.state()
        if not claimed:
            if not state.running and not state.queued:
                return
            study.beat()
            pause.wait(PAUSE_S)
            continue
        for trial in claimed:
            _run(study, desk, state, trial)
        _tell(desk, study.state(), None)


def crew(study: Study, desk: Desk, others: Hands) -> None:
    """The same by several workers, this one among them. The trial of one that dies goes to another.

    Raises:
        StoreError, OSError, KeyboardInterrupt: as of `work`, after the others gave back what they were at.
    """
    trials = desk.plan.trials
    with helped(others, [work] * others.count, lambda why: desk.site.tell("search", trials, trials, why)):
        work(study, desk)


def _run(study: Study, desk: Desk, state: State, trial: Trial) -> None:
    seconds = desk.site.clock.seconds
    begun = seconds()
    try:
        _tell(desk, state, trial)
        try:
            done = judge(desk, trial)
        except StoreError:
            raise
        except FAILURES as failure:
            done = msgspec.structs.replace(trial, state="failed", reason=told(failure))
        study.finish(msgspec.structs.replace(done, seconds=seconds() - begun))
    except (KeyboardInterrupt, OSError, StoreError):  # not the candidate's fault: another worker may have it
        with suppress(SettingError, StoreError):  # it is written already, or nothing can be
            study.release(trial.number)
        raise


def judge(desk: Desk, trial: Trial) -> Trial:
    """The trial with its values: costs, and the accuracy after its budget.

    Raises:
        ModelwrightError: the candidate cannot be judged.
    """
    plan, rungs = desk.plan, desk.judge.rungs
    architecture = desk.costs.architecture(trial.point, f"trial-{trial.number}")
    values = dict(desk.costs.values([trial.point])[0])
    if any(objective.source == "measure" for objective in plan.objectives):
        (taken,) = desk.measure([desk.candidate(architecture, trial.point)])
        values |= {"latency_s": taken.median_s, "throughput_per_s": taken.throughput_per_s}
    if not keeps(plan.objectives, values):
        reason = "beyond a limit: " + ", ".join(f"{metric} {value:.4g}" for metric, value in values.items())
        return msgspec.structs.replace(trial, state="stopped", values=values, architecture=architecture, reason=reason)
    found = desk.judge.judge(architecture, trial.point, trial.budget, architecture.name)
    stopped = trial.budget < rungs[-1]
    return msgspec.structs.replace(
        trial,
        state="stopped" if stopped else "finished",
        values={**values, "accuracy": float(found.accuracy)},
        architecture=architecture,
        learning=found.learning,
        reason=found.evidence if stopped else "",
    )


def best(desk: Desk, state: State) -> tuple[float, float] | None:
    """Accuracy and first cost of the most accurate trial within the limits; None before there is one."""
    plan = desk.plan
    rows = [row for row in counted(judged(state), desk.judge.rungs) if keeps(plan.objectives, row)]
    if not rows:
        return None
    top = max(rows, key=lambda row: row["accuracy"])
    return top["accuracy"], top.get(plan.objectives[1].metric, float("nan"))


def _busy(state: State) -> list[Trial]:
    return [run.trial for runs in (state.running, state.queued) for run in runs.values()]


def _tell(desk: Desk, state: State, trial: Trial | None) -> None:
    plan = desk.plan
    message = "" if trial is None else f"trial {trial.number}: {trial.budget} epochs" if trial.budget else ""
    desk.site.tell("search", min(state.next_number, plan.trials), plan.trials, message, best(desk, state))
