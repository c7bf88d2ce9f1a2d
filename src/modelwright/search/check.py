"""How far the search's evidence can be trusted: a random sample of its candidates, trained in full."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from modelwright.errors import StoreError
from modelwright.records import Agreement, Learning, Plan, Trial
from modelwright.search.desk import Desk
from modelwright.search.evaluate import agreement
from modelwright.search.evaluate.training import TrainingJudge
from modelwright.search.failures import FAILURES
from modelwright.search.hands import Hands, dealt, helped
from modelwright.search.standing import judged
from modelwright.search.study import Study

SHARE = 5
"""One of so many candidates is checked, and never fewer than `LEAST`."""
LEAST = 6


def checked(study: Study, desk: Desk, others: Hands) -> tuple[Agreement, ...]:
    """Rank agreement of each cheap evidence with full training by the candidates' recipe.

    The sample is drawn from all candidates that were judged, good and bad alike: among the best alone, agreement would
    look worse than it is. With halving, each rung is held against the last; what a candidate was trained for counts on.
    """
    plan = desk.plan
    trials = judged(study.state())
    if plan.evidence == "training" or len(trials) < LEAST:
        return ()
    rng = np.random.default_rng([plan.seed, 4])
    drawn = rng.permutation(len(trials))[: max(LEAST, len(trials) // SHARE)].tolist()
    some = [trials[place] for place in sorted(drawn)]
    todo = [trial for trial in some if _held(study, trial) is None]
    loads = [desk.costs.values([trial.point])[0].get("latency_s", 0.0) for trial in todo]
    mine, *parts = dealt(todo, loads, others.count + 1)

    def tell(message: str) -> None:
        desk.site.tell("check", sum(_held(study, trial) is not None for trial in some), len(some), message)

    with helped(others, [partial(_train, trials=part) for part in parts], tell):
        _train(study, desk, mine, tell)
    _train(study, desk, some, tell)  # those of a worker that had to leave
    learned = {trial.number: found for trial in some if (found := _held(study, trial))}
    sample = [trial for trial in some if trial.number in learned]
    return _agreements(plan, desk.judge.rungs, sample, learned)


def _held(study: Study, trial: Trial) -> Learning | None:
    return study.state().note(f"checked-{trial.number}", Learning)


def _train(study: Study, desk: Desk, trials: Sequence[Trial], tell: Callable[[str], None] | None = None) -> None:
    """Train in full those that were not; one that cannot be trained is no part of the sample."""
    full = TrainingJudge(desk.data, desk.plan.recipe, desk.site.checkpoints, run=desk.run)  # in what they learn in
    for trial in trials:
        if trial.architecture is None or _held(study, trial) is not None:
            continue
        if tell:
            tell(f"trial {trial.number} in full")
        try:
            found = full.judge(trial.architecture, trial.point, full.rungs[-1], f"trial-{trial.number}").learning
        except StoreError:
            raise
        except FAILURES:
            continue
        if found is not None:
            study.note(f"checked-{trial.number}", found)


def _agreements(
    plan: Plan, rungs: Sequence[int], sample: Sequence[Trial], learned: dict[int, Learning]
) -> tuple[Agreement, ...]:
    if len(sample) < 2:
        return ()
    end = {number: learning.epochs[-1].accuracy for number, learning in learned.items()}
    if plan.evidence != "halving":
        pairs = [(trial.values["accuracy"], end[trial.number]) for trial in sample]
        return (agreement(plan.evidence, pairs),)
    return tuple(
        agreement(
            f"accuracy after {rung} of {plan.recipe.epochs} epochs",
            [(learned[trial.number].epochs[rung - 1].accuracy, end[trial.number]) for trial in sample],
        )
        for rung in rungs[:-1]
    )
