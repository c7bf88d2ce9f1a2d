"""A search as it goes on: a bar, the best so far and the time left on a terminal; a line a step elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from modelwright.records import Progress
from modelwright.report.candidates import written
from modelwright.report.quantity import percent

STAGES = {
    "calibrate": "calibrating the model",
    "search": "searching",
    "check": "checking the evidence",
    "measure": "measuring",
    "train": "training the family",
    "hand over": "writing networks",
    "candidates": "making candidates",
    "sensitivity": "asking each layer",
    "mixes": "mixing precisions",
}
COLUMNS = 64
"""So many columns of a terminal stand before the best so far; in a longer line all of them would be squeezed."""


@contextmanager
def live(cost: str) -> Iterator[Callable[[Progress], None]]:
    """What shows each step of a search until the block ends.

    Args:
        cost: the metric that stands beside the best accuracy.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(cost)
        return
    columns = (
        TextColumn("{task.description:21}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: Progress) -> None:
            if step.stage not in tasks:
                for stage, ended in tasks.items():
                    task = bars.tasks[ended]
                    bars.update(ended, completed=task.total, told=task.fields["told"] if stage == "search" else "")
                tasks[step.stage] = bars.add_task(STAGES.get(step.stage, step.stage), total=step.total, told="")
            told = (_best(step, cost) or step.message)[: max(0, console.width - COLUMNS)]
            bars.update(tasks[step.stage], completed=step.done, total=step.total, told=told)

        yield show


class _Lines:
    """Prints a line whenever something has got further."""

    def __init__(self, cost: str) -> None:
        self._cost = cost
        self._last = ("", -1)

    def __call__(self, step: Progress) -> None:
        if (step.stage, step.done) == self._last:
            return
        self._last = (step.stage, step.done)
        words = (
            f"{STAGES.get(step.stage, step.stage)}: {step.done} of {step.total}",
            f"best {best}" if (best := _best(step, self._cost)) else "",
            step.message,
        )
        print("; ".join(word for word in words if word), file=sys.stderr, flush=True)


def _best(step: Progress, cost: str) -> str:
    if step.best is None:
        return ""
    accuracy, value = step.best
    return f"{percent(accuracy)} at {written(cost, value)}"
