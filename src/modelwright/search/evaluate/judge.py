"""The contract of evidence: how good a candidate is held to be, at what cost, and on what grounds."""

from abc import ABC, abstractmethod

import msgspec

from modelwright.errors import SettingError
from modelwright.records import Architecture, Learning, Point


class Judgement(msgspec.Struct, frozen=True):
    """What a judge says about one candidate.

    Attributes:
        accuracy: on the validation split; or a score without training, from 0 to 1, which only ranks.
        learning: its training as far as this judgement goes, None where it was not trained by itself.
        evidence: what the number is, such as "accuracy after 2 of 12 epochs".
    """

    accuracy: float
    learning: Learning | None
    evidence: str


class Judge(ABC):
    """Says how good a candidate is. No judge looks at the test split.

    What goes wrong with one candidate (no memory for it, a loss that is not finite) is raised as a `ModelwrightError`:
    the candidate has failed, the judge has not.
    """

    @property
    @abstractmethod
    def rungs(self) -> tuple[int, ...]:
        """Budgets in epochs, rising; one where there is nothing to halve; 0 for evidence without training."""

    @abstractmethod
    def judge(self, architecture: Architecture, point: Point, budget: int, name: str) -> Judgement:
        """How good a candidate is.

        Args:
            architecture: the network, its input and classes fitted to the data.
            point: what it was made of.
            budget: one of `rungs`.
            name: of the candidate, fit for a file; a larger budget under the same name goes on from the smaller one.

        Raises:
            SettingError: the budget is none of the rungs.
            ModelwrightError: the candidate cannot be judged.
        """


def check_budget(judge: Judge, budget: int, name: str) -> None:
    """Refuse a budget that is none of a judge's rungs.

    Raises:
        SettingError: it is none.
    """
    if budget not in judge.rungs:
        way_out = f"The rungs are {', '.join(map(str, judge.rungs))}."
        raise SettingError("the budget must be one of the judge's rungs", where=name, value=budget, way_out=way_out)
