"""A search's trials: the plane of accuracy and cost that it saw, how the front grew, and every trial as a row."""

from collections.abc import Sequence

from modelwright.records.study import Findings, Member, Plan, Trial
from modelwright.report.candidates import (
    burden,
    choices,
    cost_metric,
    counted,
    got,
    judged,
    limit,
    lineage,
    metric_name,
    metric_unit,
    short_names,
    written,
)
from modelwright.report.charts import PERCENT, PLAIN, Axis, Card, Option
from modelwright.report.family import FAMILY, colours
from modelwright.report.markup import Chart, Data
from modelwright.report.pareto import front
from modelwright.report.plane import Mark, Marks, Scale, key, plane, scale

_SEEN = "var(--series-8)"
_FRONT = "var(--series-2)"


def search_plane(findings: Findings) -> Chart | None:
    """All judged trials by accuracy and cost, the front, and the family and references beside them.

    Returns:
        None where no trial has both numbers.
    """
    metric = cost_metric(findings.plan)
    finished, stopped = judged(findings), judged(findings, "stopped")
    if not finished + stopped:
        return None
    best = [trial for trial in finished if trial.number in findings.front]
    rest = [trial for trial in finished if trial.number not in findings.front]
    alike = comparable(finished + stopped)
    members = _members(findings) if alike else []
    groups = [
        Marks("stopped early", _SEEN, _marks(stopped, findings), size=6, hollow=True),
        Marks("trials", _SEEN, _marks(rest, findings), size=6, opacity=0.75),
        Marks("front of the trials", _FRONT, _marks(outline(best, metric), findings), size=8, line="step"),
        Marks("also best in a third number", _FRONT, _marks(_others(best, metric), findings), size=8),
        *members,
    ]
    marks = [mark for group in groups for mark in group.marks]
    bound = limit(findings.plan, metric)
    limits = [] if bound is None else [(bound, f"limit {written(metric, bound)}")]
    option = plane(
        cost_scale(findings.plan, [mark.x for mark in marks] + [value for value, _ in limits]),
        accuracy_scale([mark.y for mark in marks]),
        groups,
        limits=limits,
    )
    headings = ("network", "is", ">accuracy", f">{metric_name(metric)}")
    rows = [
        (mark.card[0] if isinstance(mark.card[0], str) else "", group.name, written("accuracy", mark.y),
         written(metric, mark.x))
        for group in reversed(groups) for mark in group.marks
    ]  # fmt: skip
    trained = "; the family and the references by validation accuracy after their full training" if alike else ""
    counts = f"Costs are as the search counts them: {metric_name(metric)}, {got(findings.plan, metric)}."
    note = f"Trials by {evidence_words(findings.plan)}{trained}. {counts}"
    data = Data(headings, tuple(rows))
    return Chart(f"The trials: accuracy against {metric_name(metric)}", option, data, 480, note, key(groups))


def outline(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Those of the trials that no other of them is better than in accuracy and this cost, cheapest first."""
    points = [(burden(metric, trial.values[metric]), trial.values["accuracy"]) for trial in trials]
    return [trials[position] for position in front(points)]


def comparable(trials: Sequence[Trial]) -> bool:
    """Whether the evidence speaks in accuracies, not in scores of another kind."""
    return all(0 <= trial.values["accuracy"] <= 1 for trial in trials)


def evidence_words(plan: Plan) -> str:
    """What the search judged its trials by."""
    return {
        "training": "validation accuracy after their training",
        "halving": "validation accuracy after as many epochs as each was given",
        "supernet": "validation accuracy with weights shared in a supernet",
        "score": "a score of the untrained network",
    }[plan.evidence]


def cost_scale(plan: Plan, values: Sequence[float]) -> Scale:
    """The axis of costs: equal ratios are equally long."""
    metric = cost_metric(plan)
    ticks: Option = {"$text": "short", "unit": metric_unit(metric)}
    return scale(values, Axis(f"{metric_name(metric)}, {got(plan, metric)}", ticks), logarithmic=True)


def accuracy_scale(values: Sequence[float]) -> Scale:
    """The axis of accuracies; of scores where the evidence speaks in these."""
    if all(0 <= value <= 1 for value in values):
        return scale(values, Axis("validation accuracy", PERCENT), within=(0.0, 1.0))
    return scale(values, Axis("score", PLAIN))


def trial_card(trial: Trial, plan: Plan) -> Card:
    """What is shown of a trial."""
    metrics = dict.fromkeys([*(objective.metric for objective in plan.objectives), cost_metric(plan), "flops"])
    return (
        f"trial {trial.number}",
        *((metric_name(metric), written(metric, trial.values[metric])) for metric in metrics if metric in trial.values),
        *((("epochs", str(trial.budget)),) if trial.budget else ()),
        *choices(trial.point),
    )


def _marks(trials: Sequence[Trial], findings: Findings) -> tuple[Mark, ...]:
    metric = cost_metric(findings.plan)
    return tuple(
        Mark(trial.values[metric], trial.values["accuracy"], trial_card(trial, findings.plan)) for trial in trials
    )


def _others(best: Sequence[Trial], metric: str) -> list[Trial]:
    drawn = {trial.number for trial in outline(best, metric)}
    return [trial for trial in best if trial.number not in drawn]


def _members(findings: Findings) -> list[Marks]:
    metric = cost_metric(findings.plan)
    drawn = [
        Marks(
            line,
            tint,
            _member_marks([m for m in findings.references if lineage(m) == line], findings, metric),
            "diamond",
            11,
        )
        for line, tint in colours(findings.references).items()
    ]
    return [*drawn, Marks("family", FAMILY, _member_marks(findings.family, findings, metric), size=12)]


def _member_marks(members: Sequence[Member], findings: Findings, metric: str) -> tuple[Mark, ...]:
    points = {trial.number: trial.point for trial in findings.trials}
    names = short_names(findings.references)
    found = []
    for member in members:
        cost = counted(findings, member, metric)
        if cost is None or cost <= 0:
            continue
        card: Card = (
            member.name,
            ("validation accuracy", written("accuracy", member.learning.accuracy)),
            (metric_name(metric), written(metric, cost)),
            *((("trial", str(member.trial)),) if member.trial is not None else ()),
            *(choices(points.get(member.trial, {})) if member.trial is not None else ()),
        )
        found.append(Mark(cost, member.learning.accuracy, card, names.get(member.name, member.name)))
    return tuple(found)
