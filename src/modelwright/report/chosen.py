"""What a search chose in each place, and what choosing otherwise would cost."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from modelwright.records.study import Findings, Reason
from modelwright.report.candidates import cost_metric, counted, got, metric_name, written
from modelwright.report.charts import PERCENT, Axis, Series, rows, rows_height
from modelwright.report.markup import Chart, Data
from modelwright.report.quantity import percent, share

DRAWN = 20
"""So many single changes get a bar, those that matter most."""


class Change(msgspec.Struct, frozen=True):
    """One choice of the family's largest member made otherwise.

    Attributes:
        choice, value: what was changed, and to what.
        cost: with the change.
        gain: the cost over that of the member as it is, less 1.
        accuracy: with the change, None where it was not trained.
    """

    choice: str
    value: str
    cost: float
    gain: float
    accuracy: float | None


def reasons_table(findings: Findings) -> Data:
    """One row a choice: what the front has there, and what each value costs."""
    metric = cost_metric(findings.plan)
    explained = any(reason.why for reason in findings.reasons)
    headings = ("where", "choice", "chosen", ">in the front", f"~{metric_name(metric)} with each value, alone changed")
    return Data(
        (*headings, *(("~why",) if explained else ())),
        tuple(
            (*_place(reason), reason.chosen, share(reason.share, 1.0), _effects(reason, metric, _base(findings)))
            + ((reason.why,) if explained else ())
            for reason in findings.reasons
        ),
    )


def changes(findings: Findings) -> list[Change]:
    """Every single change whose cost is known, against the family's largest member; the largest effect first."""
    base = _base(findings)
    if not base:
        return []
    found = [
        Change(reason.choice, value, cost, cost / base - 1.0, accuracy)
        for reason in findings.reasons
        for value, (accuracy, cost) in reason.effects.items()
    ]
    return sorted((change for change in found if change.gain != 0), key=lambda change: -abs(change.gain))


def changes_chart(findings: Findings) -> Chart | None:
    """A bar a single change: how much dearer or cheaper it would make the largest member; None where none is known."""
    found = changes(findings)
    drawn = found[:DRAWN]
    if not drawn:
        return None
    metric = cost_metric(findings.plan)
    labels = tuple(signed(change.gain) for change in drawn)
    cards = tuple(
        (
            f"{change.choice}: {change.value}",
            (metric_name(metric), written(metric, change.cost)),
            ("against the member", signed(change.gain)),
            *((("accuracy", percent(change.accuracy)),) if change.accuracy is not None else ()),
        )
        for change in drawn
    )
    series = Series("", "var(--accent)", tuple(change.gain for change in drawn), cards, labels)
    axis = Axis(f"change of the {metric_name(metric)}, {got(findings.plan, metric)}", PERCENT)
    option = rows([f"{change.choice}: {change.value}" for change in drawn], [series], axis, stacked=False)
    for bar, change in zip(option["series"][0]["data"], drawn, strict=True):
        if change.gain < 0:  # its words stand at the free end of the bar, on the left
            bar["label"] = {"position": "left"}
    data = tuple((change.choice, change.value, written(metric, change.cost), signed(change.gain)) for change in found)
    return Chart(
        f"One choice of {findings.family[-1].name} made otherwise",
        option,
        Data(("choice", "value", f">{metric_name(metric)}", ">change"), data),
        rows_height(len(drawn), 24),
        f"The {len(drawn)} largest of {len(found)} single changes." if len(found) > len(drawn) else "",
    )


def signed(change: float) -> str:
    """A relative change: "+12%"; with a tenth where it is small."""
    return f"{100 * change:+.0f}%" if abs(change) >= 0.0995 else f"{100 * change:+.1f}%"


def _base(findings: Findings) -> float | None:
    """What the family's largest member costs, as the effects tell it: the one cost that all choices have in common.

    What was counted for the member may be measured where the effects are predicted.
    """
    if not findings.family:
        return None
    costs = Counter(cost for reason in findings.reasons for cost in {cost for _, cost in reason.effects.values()})
    common = [
        cost for cost, count in costs.items() if count == sum(bool(reason.effects) for reason in findings.reasons)
    ]
    return common[0] if common else counted(findings, findings.family[-1], cost_metric(findings.plan))


def _place(reason: Reason) -> tuple[str, str]:
    place, _, what = reason.choice.rpartition(".")
    return place or "network", what


def _effects(reason: Reason, metric: str, base: float | None) -> str:
    def told() -> Iterator[str]:
        for value, (accuracy, cost) in reason.effects.items():
            change = cost / base - 1.0 if base else 0.0
            extra = [signed(change)] if change else []
            extra += [f"{percent(accuracy)} right"] if accuracy is not None else []
            yield f"{value}: {written(metric, cost)}" + (f" ({', '.join(extra)})" if extra else "")

    return "; ".join(told())
