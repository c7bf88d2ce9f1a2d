"""How a search went on: its front and its best after each trial, every trial as a row, and why some failed."""

import math
from collections.abc import Sequence

from modelwright.records.study import Findings
from modelwright.report.candidates import choices, judged, keeps_limits, metric_name, written
from modelwright.report.charts import PERCENT, PLAIN, SHORT, Axis
from modelwright.report.family import FAMILY
from modelwright.report.markup import Chart, Data
from modelwright.report.plane import Mark, Marks, plane, scale
from modelwright.report.quantity import duration, quantity
from modelwright.report.trials import comparable


def progress(findings: Findings) -> list[Chart]:
    """How the front grew with each judged trial, and the best accuracy so far of finished ones within the limits."""
    charts = []
    if findings.hypervolume:
        grown = list(enumerate(findings.hypervolume, 1))
        charts.append(
            _course("Hypervolume of the front", grown, Axis("hypervolume", PLAIN), "dominated area", "judged")
        )
    finished = judged(findings)
    kept = [(place, trial) for place, trial in enumerate(finished, 1) if keeps_limits(trial, findings.plan)]
    bounded = any(objective.limit is not None for objective in findings.plan.objectives)
    best = best_so_far([(place, trial.values["accuracy"]) for place, trial in kept])
    if best:
        title = "Best accuracy so far within the limits" if bounded else "Best accuracy so far"
        ticks = PERCENT if comparable(finished) else PLAIN
        charts.append(_course(title, [*best, (len(finished), best[-1][1])], Axis("accuracy", ticks), "accuracy"))
    return charts


def best_so_far(values: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The (place, value) pairs that are larger than all before them."""
    found: list[tuple[int, float]] = []
    for place, value in values:
        if not found or value > found[-1][1]:
            found.append((place, value))
    return found


def trials_table(findings: Findings) -> Data:
    """One row a trial, in order, with all that was chosen."""
    wanted = dict.fromkeys([*(objective.metric for objective in findings.plan.objectives), "flops", "params"])
    metrics = [metric for metric in wanted if any(metric in trial.values for trial in findings.trials)]
    found = (f">{metric_name(metric)}" for metric in metrics)
    headings = (">trial", "state", *found, ">epochs", ">took", "by", "front", "~choices")
    rows = tuple(
        (
            *(str(trial.number), trial.state),
            *(written(metric, trial.values[metric]) if metric in trial.values else "" for metric in metrics),
            *(str(trial.budget), duration(trial.seconds), trial.suggested_by),
            "yes" if trial.number in findings.front else "",
            "; ".join(f"{place}: {text}" for place, text in choices(trial.point)),
        )
        for trial in findings.trials
    )
    return Data(headings, rows)


def causes(findings: Findings, state: str) -> list[str]:
    """Why trials ended in a state: a sentence a reason, with the trials that it befell."""
    found: dict[str, list[str]] = {}
    for trial in findings.trials:
        if trial.state == state:
            found.setdefault(trial.reason or "no reason was recorded", []).append(str(trial.number))
    return [f"{'trial' if len(n) == 1 else 'trials'} {', '.join(n)}: {reason}" for reason, n in found.items()]


def _course(title: str, values: Sequence[tuple[int, float]], axis: Axis, what: str, which: str = "finished") -> Chart:
    percent = axis.ticks == PERCENT
    told = [(str(place), written("accuracy", value) if percent else quantity(value)) for place, value in values]
    marks = tuple(Mark(place, value, (f"after {n} trials", (what, words))) for (place, value), (n, words) in zip(
        values, told, strict=True))  # fmt: skip
    option = plane(
        scale([0, *(place for place, _ in values)], Axis(f"{which} trials", SHORT), within=(0.0, math.inf), whole=True),
        scale([value for _, value in values], axis, within=(0.0, 1.0) if percent else (0.0, math.inf)),
        [Marks(title, FAMILY, marks, size=4, line="step")],
    )
    return Chart(title, option, Data((f">{which} trials", f">{what}"), tuple(told)), height=280)
