"""What a user wants of a quantization, and where it is done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, final

import msgspec

from modelwright.clock import Clock, SystemClock
from modelwright.records import Progress
from modelwright.records.platform import Count

FINDINGS = "findings.json"
"""What a quantization that has ended leaves, besides its artifact."""
CALIBRATIONS = ("minmax", "histogram", "percentile", "entropy", "mse")
"""Of these each gives a candidate; `mse` is what `auto` nearly always picks."""


class Wishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for.

    Attributes:
        target: the runtime, a name of `quantize.TARGETS`.
        max_drop: accuracy that may be lost, as a share: 0.005 is half a point.
        batch: samples a call, for which latency counts.
        budget_s: no new step begins after so many seconds.
        calibrations: that are tried.
        training: whether quantization-aware training may be tried.
        allow_float: whether the chosen one may have convolutions or products that fell back to float.
        seed: of all that is drawn.
    """

    target: str = "openvino"
    max_drop: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.005
    batch: Count = 1
    budget_s: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    calibrations: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = CALIBRATIONS
    training: bool = True
    allow_float: bool = False
    seed: int = 0


@final
@dataclass(frozen=True)
class Site:
    """The circumstances.

    Attributes:
        folder: for candidates, the artifact and results.
        threads: of the CPU.
        clock: counts the seconds.
        commit: the project's commit, for the records.
        report: is told how far it is.
    """

    folder: Path
    threads: int = 1
    clock: Clock = field(default_factory=SystemClock)
    commit: str = ""
    report: Callable[[Progress], None] | None = None

    def tell(
        self, stage: str, done: int, total: int, message: str = "", best: tuple[float, float] | None = None
    ) -> None:
        """Report how far it is, if anyone wants to know."""
        if self.report:
            self.report(Progress(stage, done, total, message, best))
