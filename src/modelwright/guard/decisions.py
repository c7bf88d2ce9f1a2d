"""What a guard decides of many predictions at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.guard.rows import Flags, Floats, Labels
from modelwright.records import Decision
from modelwright.records.guard import DeferReason

REASONS: tuple[DeferReason, ...] = ("", "out of distribution", "uncertain", "score unavailable")
"""What the numbers of `Decisions.reason` stand for."""


@final
@dataclass(frozen=True, eq=False)
class Decisions:
    """Of each row what is done with its prediction; iterating gives `Decision` records.

    Attributes:
        reason: (n,) why it is deferred, a place in REASONS; 0 for accepted.
        label: (n,) the predicted class; -1 where there is none.
        probability: (n,) calibrated, of that class; NaN where there is none.
        score: (n,) higher for less familiar; NaN where it is unavailable.
    """

    reason: NDArray[np.int8]
    label: Labels
    probability: Floats
    score: Floats

    def __len__(self) -> int:
        return len(self.reason)

    def __iter__(self) -> Iterator[Decision]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Decision:
        """One row's."""
        label, probability, score = int(self.label[row]), float(self.probability[row]), float(self.score[row])
        reason = REASONS[self.reason[row]]
        return Decision(
            outcome="defer" if reason else "accept",
            reason=reason,
            label=label if label >= 0 else None,
            probability=probability if np.isfinite(probability) else None,
            score=score if np.isfinite(score) else None,
        )

    @property
    def accepted(self) -> Flags:
        """(n,) whether the prediction may be used."""
        return np.asarray(self.reason == 0)

    @property
    def uncertainty(self) -> Floats:
        """(n,) 1 - probability; NaN where there is none."""
        return 1.0 - self.probability
