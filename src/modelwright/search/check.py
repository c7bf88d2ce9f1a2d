"""How far the search's evidence can be trusted: a random sample of its candidates, trained in full."""

from collections.abc import Sequence

import numpy as np

from modelwright.errors import StoreError
from modelwright.records import Agreement, Learning, Plan, Trial
from modelwright.search.desk import Desk
from modelwright.search.evaluate import agreement
from modelwright.search.evaluate.training import TrainingJudge
from modelwright.search.failures import FAILURES
from modelwright.search.standing import judged
from modelwright.search.study import Study

SHARE = 5
"""One of so many candidates is checked, and never fewer than `LEAST`."""
LEAST = 6


def checked(study: Study, desk: Desk) -> tuple[Agreement, ...]:
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
    full = TrainingJudge(desk.data, plan.recipe, desk.site.checkpoints, run=desk.run)
    learned: dict[int, Learning] = {}
    for place, trial in enumerate(some):
        desk.site.tell("check", place, len(some), f"trial {trial.number} in full")
        found = _learning(study, full, trial)
        if found is not None:
            learned[trial.number] = found
    sample = [trial for trial in some if trial.number in learned]
    return _agreements(plan, desk.judge.rungs, sample, learned)


def _learning(study: Study, full: TrainingJudge, trial: Trial) -> Learning | None:
    key = f"checked-{trial.number}"
    held = study.state().note(key, Learning)
    if held is not None or trial.architecture is None:
        return held
    try:
        found = full.judge(trial.architecture, trial.point, full.rungs[-1], f"trial-{trial.number}").learning
    except StoreError:
        raise
    except FAILURES:
        return None
    if found is not None:
        study.note(key, found)
    return found


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
