"""Evidence by training: the accuracy after some epochs of the recipe."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import cast, final

import msgspec

from modelwright.errors import SettingError
from modelwright.records import Architecture, Epoch, Learning, Point, Policy, Recipe, to_json
from modelwright.search.evaluate.judge import Judge, Judgement, check_budget
from modelwright.search.evaluate.numbers import Candidate, Numbers
from modelwright.search.space.numbers import CHOICE
from modelwright.store import digest
from modelwright.training import Data, Run, train


@final
@dataclass(frozen=True)
class TrainingJudge(Judge):
    """Trains each candidate by one recipe, and stops at the rung that is asked for.

    A rung is not a shorter recipe: the learning rate follows the whole recipe's schedule, and training stops early at
    the rung's epoch. So going on to the next rung gives the very numbers of a run that was never stopped, and every
    epoch that was paid for counts. The price: at a rung the rate has not come down yet, and accuracies there are lower
    than those of a recipe that ends there.

    Attributes:
        data: trained on its training split, judged on its validation split.
        recipe: of a full training.
        folder: keeps a checkpoint for each candidate.
        budgets: the rungs in epochs, rising; the recipe's own if empty.
        run: device, threads, clock and commit; may be told each epoch. Its checkpoint is not used.
        numbers: tells what is lost where a point's network computes in other numbers than it was trained in.
    """

    data: Data
    recipe: Recipe
    folder: Path
    budgets: tuple[int, ...] = ()
    run: Run = field(default_factory=Run)
    numbers: Numbers | None = None

    def __post_init__(self) -> None:
        rising = all(before < later for before, later in pairwise(self.rungs))
        if not rising or self.rungs[0] < 1 or self.rungs[-1] > self.recipe.epochs:
            rule = f"budgets must rise, from 1 epoch to the recipe's {self.recipe.epochs} at most"
            raise SettingError(rule, where="budgets", value=self.budgets, way_out="Take those of rungs(epochs).")

    @property
    def rungs(self) -> tuple[int, ...]:
        """Budgets in epochs, rising."""
        return self.budgets or (self.recipe.epochs,)

    def judge(self, architecture: Architecture, point: Point, budget: int, name: str) -> Judgement:
        """The accuracy after that many epochs; goes on from what was trained under this name.

        A network in several numbers is trained once: where the point names a precision, its checkpoint goes by the
        network. What it loses in other numbers is taken off, as its weights are by then.

        Raises:
            SettingError: the budget is none of the rungs.
            RecordError: the candidate's checkpoint is broken, or of another architecture, recipe or data set.
            TrainingError: a loss is not a finite number.
            CapacityError: the candidate does not fit the device's memory.
            ModelwrightError: it cannot be had in the point's numbers.
        """
        check_budget(self, budget, name)
        precision = point.get(CHOICE)
        if precision is not None:
            architecture, name = _by_network(architecture)
        file = self.folder / f"{name}.pt"
        run = replace(self.run, checkpoint=file, test=False, report=_until(budget, self.run.report))
        done = train(architecture, self.data, self.recipe, run)
        learning = after(done.learning, budget)
        evidence = f"accuracy after {budget} of {self.recipe.epochs} epochs"
        if precision is None or self.numbers is None:
            return Judgement(learning.accuracy, learning, evidence)
        wanted = Candidate(architecture, cast(Policy, precision))
        left = self.numbers.accuracy(done.network, wanted, self.data.validation)
        accuracy = left if learning == done.learning else learning.accuracy - (done.learning.accuracy - left)
        return Judgement(max(accuracy, 0.0), learning, f"{evidence}, in {precision}")


def after(learning: Learning, epochs: int) -> Learning:
    """A training as it stood after its first epochs; itself where it went no further.

    Raises:
        SettingError: it did not go so far.
    """
    if not 1 <= epochs <= len(learning.epochs):
        rule = f"a training of {len(learning.epochs)} epochs can be seen after one of them"
        raise SettingError(rule, where=learning.architecture, value=epochs, way_out="Train it for longer.")
    first = learning.epochs[:epochs]
    complete = epochs == learning.recipe.epochs
    test = learning.test_accuracy if epochs == len(learning.epochs) else None
    return msgspec.structs.replace(
        learning, epochs=first, accuracy=first[-1].accuracy, test_accuracy=test, complete=complete
    )


def _by_network(architecture: Architecture) -> tuple[Architecture, str]:
    """The architecture under a name that tells it from all others, whatever the trial that it comes from."""
    nameless = msgspec.structs.replace(architecture, name="network")
    name = f"network-{digest(to_json(nameless))[:16]}"
    return msgspec.structs.replace(architecture, name=name), name


def _until(budget: int, report: Callable[[Epoch], bool] | None) -> Callable[[Epoch], bool]:
    """Goes on until the budget is spent; whoever else is told may still stop it earlier."""

    def goes_on(epoch: Epoch) -> bool:
        wanted = report is None or report(epoch)
        return wanted and epoch.number < budget

    return goes_on
