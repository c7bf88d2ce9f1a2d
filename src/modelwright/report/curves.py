"""How networks learnt, and how well cheap evidence foretold it."""

import math
from collections.abc import Callable, Sequence

from modelwright.records.recipe import Epoch
from modelwright.records.study import Agreement, Findings, Member
from modelwright.report.candidates import lineage
from modelwright.report.charts import PERCENT, PLAIN, SHORT, Axis, Option
from modelwright.report.family import FAMILY, colours
from modelwright.report.markup import Chart, Data
from modelwright.report.plane import Mark, Marks, key, plane, scale
from modelwright.report.quantity import duration, percent, significant


def learning_curves(findings: Findings) -> list[Chart]:
    """Validation accuracy of the family and its references by epoch, and by time."""
    if not any(member.learning.epochs for member in (*findings.family, *findings.references)):
        return []
    return [
        _curves(findings, "Validation accuracy by epoch", Axis("epoch", SHORT), lambda epoch: epoch.number),
        _curves(findings, "Validation accuracy by time", Axis("minutes", PLAIN), lambda epoch: epoch.seconds / 60),
    ]


def agreement_chart(found: Agreement) -> Chart:
    """Accuracy by cheap evidence against accuracy after full training, a point a candidate."""
    cheap, full = ([pair[side] for pair in found.pairs] for side in (0, 1))
    marks = tuple(
        Mark(x, y, (f"candidate {number}", ("cheap", _number(x)), ("full training", _number(y))))
        for number, (x, y) in enumerate(found.pairs, 1)
    )
    option = plane(
        scale(cheap, Axis(found.evidence, _ticks(cheap)), within=_bounds(cheap)),
        scale(full, Axis("after full training", _ticks(full)), within=_bounds(full)),
        [Marks(found.evidence, FAMILY, marks, size=8, opacity=0.8)],
    )
    rows = tuple((str(number), _number(x), _number(y)) for number, (x, y) in enumerate(found.pairs, 1))
    note = f"Kendall's tau {significant(found.kendall)} over {found.candidates} candidates."
    data = Data((">candidate", f">{found.evidence}", ">after full training"), rows)
    return Chart(found.evidence[:1].upper() + found.evidence[1:], option, data, height=300, note=note)


def _curves(findings: Findings, title: str, axis: Axis, where: Callable[[Epoch], float]) -> Chart:
    tints = colours(findings.references)
    drawn = [(lineage(member), tints[lineage(member)], member, "dashed") for member in findings.references]
    drawn += [("family", FAMILY, member, "straight") for member in findings.family]
    trained = [entry for entry in drawn if entry[2].learning.epochs]
    groups = [Marks(kind, tint, _curve(member, where), size=3, line=line) for kind, tint, member, line in trained]
    marks = [mark for group in groups for mark in group.marks]
    ends = [group.marks[-1].y for group in groups]
    floor = min(ends) - max(0.1, 3 * (max(ends) - min(ends)))
    option = plane(
        scale([0.0, *(mark.x for mark in marks)], axis, within=(0.0, math.inf), whole=axis.name == "epoch"),
        scale([max(mark.y, floor) for mark in marks], Axis("validation accuracy", PERCENT), within=(0.0, 1.0)),
        groups,
    )
    members = [member for _, _, member, _ in reversed(trained)]
    note = "What lies far below where the networks end is cut off."
    return Chart(title, option, _learnt(members), 360, note, key(groups))


def _curve(member: Member, where: Callable[[Epoch], float]) -> tuple[Mark, ...]:
    """A mark an epoch; the last one of a member of the family bears its name."""
    epochs = member.learning.epochs
    names = [""] * (len(epochs) - 1) + ["" if member.trial is None else member.name]
    return tuple(
        Mark(where(epoch), epoch.accuracy, (member.name, *_epoch(epoch)), name)
        for epoch, name in zip(epochs, names, strict=True)
    )


def _learnt(members: Sequence[Member]) -> Data:
    rows = []
    for member in members:
        last, best = member.learning.epochs[-1], max(epoch.accuracy for epoch in member.learning.epochs)
        rows.append((member.name, str(last.number), duration(last.seconds), percent(best), percent(last.accuracy)))
    return Data(("network", ">epochs", ">took", ">best", ">last"), tuple(rows))


def _epoch(epoch: Epoch) -> tuple[tuple[str, str], ...]:
    return (
        ("epoch", str(epoch.number)),
        ("validation accuracy", percent(epoch.accuracy)),
        ("training loss", significant(epoch.loss)),
        ("learning rate", significant(epoch.learning_rate)),
        ("after", duration(epoch.seconds)),
    )


def _ticks(values: Sequence[float]) -> Option:
    return PERCENT if all(0 <= value <= 1 for value in values) else PLAIN


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    return (0.0, 1.0) if all(0 <= value <= 1 for value in values) else (-math.inf, math.inf)


def _number(value: float) -> str:
    return percent(value) if 0 <= value <= 1 else significant(value)
