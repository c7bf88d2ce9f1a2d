"""Where a search runs: all that does not decide what it finds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from modelwright.clock import Clock, SystemClock
from modelwright.records import Progress


@final
@dataclass(frozen=True)
class Site:
    """The circumstances of a search.

    Attributes:
        folder: for the study, checkpoints and results.
        device: "cpu", "cuda" or "cuda:N", where candidates are trained and measured.
        threads: CPU threads of training and measuring, 0 for as many as torch takes.
        workers: processes that share the study, this one among them.
        ray: address of the Ray cluster whose machines the other workers run on; "" for this machine alone.
        clock: counts the seconds.
        commit: the project's commit, for the records.
        command: the command line, for the records.
        report: is told how far the search is.
    """

    folder: Path
    device: str = "cpu"
    threads: int = 0
    workers: int = 1
    ray: str = ""
    clock: Clock = field(default_factory=SystemClock)
    commit: str = ""
    command: str = ""
    report: Callable[[Progress], None] | None = None

    @property
    def study(self) -> Path:
        """The journal."""
        return self.folder / "study.db"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, made when it is asked for."""
        folder = self.folder / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def tell(
        self, stage: str, done: int, total: int, message: str = "", best: tuple[float, float] | None = None
    ) -> None:
        """Report how far the search is, if anyone wants to know."""
        if self.report:
            self.report(Progress(stage, done, total, message, best))
