"""What a network's papers need to tell besides what its own record holds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from modelwright.clock import Clock, SystemClock
from modelwright.records import DataCard, Plan
from modelwright.training import Data


@final
@dataclass(frozen=True)
class Context:
    """Where the networks of one search come from.

    Attributes:
        data: what they were trained on.
        clock: dates the folders.
        commit: the project's commit, "" outside a checkout.
        study: digest, file or another word by which the search is known.
        command: the command line that led here.
        predicted_for: the setting of predicted costs in words: platform, batch, precision, execution.
    """

    data: DataCard
    clock: Clock = field(default_factory=SystemClock)
    commit: str = ""
    study: str = ""
    command: str = ""
    predicted_for: str = ""

    @classmethod
    def of(
        cls,
        data: Data,
        *,
        clock: Clock | None = None,
        commit: str = "",
        study: str | Path = "",
        command: str = "",
        plan: Plan | None = None,
    ) -> "Context":
        """The context of a data set that is at hand.

        Args:
            data: what the networks were trained on.
            clock: dates the folders; the machine's own if None.
            commit: the project's commit.
            study: by which the search is known; of a path its last name counts, for the folders may travel.
            command: the command line that led here.
            plan: tells the setting of predicted costs.
        """
        images = {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
        card = DataCard(data.name, data.classes, data.shape, data.mean, data.std, images)
        setting = f"batch {plan.batch}, {plan.precision} {plan.execution}" if plan else ""
        setting = f"{plan.platform}, {setting}" if plan and plan.platform else setting
        word = study.name if isinstance(study, Path) else study
        return cls(card, clock or SystemClock(), commit, word, command, setting)
