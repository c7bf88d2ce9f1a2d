"""What is drawn of a guard's evaluation: risk against coverage, reliability, and scores."""

from collections.abc import Sequence

import msgspec

from modelwright.records import GuardEvaluation
from modelwright.records.evaluation import RiskCurve, ScoreHistogram
from modelwright.report.charts import PERCENT, PLAIN, Axis, Card
from modelwright.report.markup import Chart, Data
from modelwright.report.plane import Mark, Marks, key, plane, scale
from modelwright.report.quantity import percent, significant

MOST_CLASSES = 7
"""More are not told apart by their colours; those of which least is accepted are drawn."""
_LEAST = 0.05
_TINTS = tuple(f"var(--series-{number})" for number in (1, 2, 4, 5, 7, 8, 3))
_OUTLIERS = ("var(--memory)", "var(--series-3)", "var(--near)", "var(--series-6)")
_FAMILIAR = "var(--matrix)"


def risk_chart(found: GuardEvaluation) -> Chart:
    """Risk against coverage, with where the guard stands and what it promises."""
    tints = (_FAMILIAR, "var(--vector)", "var(--memory)")
    groups = [
        Marks(curve.name, tint, _line(curve), line="bare") for curve, tint in zip(found.curves, tints, strict=False)
    ]
    stands = [("familiar rows", found.coverage, found.risk, _FAMILIAR)]
    if found.mixed_share:
        stands.append(
            (f"{percent(found.mixed_share)} outliers", found.mixed_coverage, found.mixed_risk, "var(--memory)")
        )
    points = [
        Marks(
            f"this guard, {name}",
            tint,
            (Mark(x, y, (name, ("accepted", percent(x)), ("errors", percent(y)))),),
            size=11,
        )
        for name, x, y, tint in stands
        if y is not None
    ]
    promise = found.guard.promise
    if promise:
        said = "promised" if promise.holds else "asked for"
        groups.append(
            Marks(said, "var(--muted)", (Mark(0, promise.risk), Mark(1, promise.risk)), line="dashed", size=0.01)
        )
    drawn = [*groups, *points]
    heights = [mark.y for group in drawn for mark in group.marks]
    option = plane(
        scale([0.0, 1.0], Axis("coverage: share accepted", PERCENT), within=(0.0, 1.0)),
        scale([0.0, *heights], Axis("risk: errors among the accepted", PERCENT), within=(0.0, 1.0)),
        drawn,
    )
    rows = tuple(
        (curve.name, percent(x), percent(y))
        for curve in found.curves
        for x, y in zip(curve.coverage, curve.risk, strict=True)
    )
    note = (
        "Lower is better. A guard's own point may lie off the lines, as it goes by score and probability together. "
        f"Risks of less than {percent(_LEAST)} of the rows, which are chance, are left out of the drawing."
    )
    return Chart("Risk against coverage", option, Data(("curve", ">coverage", ">risk"), rows), 360, note, key(drawn))


def _line(curve: RiskCurve) -> tuple[Mark, ...]:
    return tuple(Mark(x, y) for x, y in zip(curve.coverage, curve.risk, strict=True) if x >= _LEAST)


def reliability_chart(found: GuardEvaluation) -> Chart:
    """How often predictions of about a probability are right."""
    bins = [one for one in found.reliability if one.count]
    most = max((one.count for one in bins), default=1)
    marks = tuple(
        Mark(
            one.confidence,
            one.accuracy,
            (
                f"{percent(one.low)} to {percent(one.high)}",
                ("predictions", str(one.count)),
                ("mean probability", percent(one.confidence)),
                ("right", percent(one.accuracy)),
            ),
        )
        for one in bins
    )
    groups = [
        Marks("as promised by the probability", "var(--muted)", (Mark(0, 0), Mark(1, 1)), line="dashed", size=0.01),
        *(
            Marks("predictions", _FAMILIAR, (mark,), size=6 + 12 * (one.count / most) ** 0.5, opacity=0.8)
            for mark, one in zip(marks, bins, strict=True)
        ),
    ]
    option = plane(
        scale([0.0, 1.0], Axis("calibrated probability", PERCENT), within=(0.0, 1.0)),
        scale([0.0, 1.0], Axis("share that is right", PERCENT), within=(0.0, 1.0)),
        groups,
    )
    rows = tuple(
        (percent(one.low), percent(one.high), str(one.count), percent(one.confidence), percent(one.accuracy))
        for one in bins
    )
    headings = (">from", ">to", ">predictions", ">mean probability", ">right")
    note = (
        f"ECE {percent(found.ece)}, Brier score {significant(found.brier)}, temperature "
        f"{significant(found.guard.temperature)}. Larger points stand for more predictions."
    )
    return Chart("Reliability", option, Data(headings, rows), 360, note, key(groups))


def outliers_chart(found: GuardEvaluation) -> Chart | None:
    """Scores of all familiar rows together and of each set of outliers; None where there are no scores."""
    familiar = [one for one in found.histograms if not one.outlier]
    if not familiar:
        return None
    counts = tuple(map(sum, zip(*(one.counts for one in familiar), strict=True)))
    whole = msgspec.structs.replace(familiar[0], name="familiar", counts=counts)
    strangers = [one for one in found.histograms if one.outlier][: len(_OUTLIERS)]
    tints = (_FAMILIAR, *_OUTLIERS)
    title = "Scores, familiar and outliers" if strangers else "Scores"
    return _scores(title, found, list(zip((whole, *strangers), tints, strict=False)))


def classes_chart(found: GuardEvaluation) -> Chart | None:
    """Scores of each class, or of those of which least is accepted; None where there are no scores."""
    coverage = {group.name: group.coverage for group in found.groups if group.kind == "class"}
    classes = [one for one in found.histograms if not one.outlier]
    if not classes:
        return None
    shown = sorted(classes, key=lambda one: coverage.get(one.name, 1.0))[:MOST_CLASSES]
    every = len(shown) == len(classes)
    title = "Scores by class" if every else f"Scores of the {len(shown)} classes of which least is accepted"
    return _scores(title, found, list(zip(shown, _TINTS, strict=False)))


def _scores(title: str, found: GuardEvaluation, drawn: Sequence[tuple[ScoreHistogram, str]]) -> Chart:
    groups = [Marks(one.name, tint, _outline(one), "none", line="step") for one, tint in drawn]
    low, high, threshold = drawn[0][0].low, drawn[0][0].high, found.guard.threshold
    up = scale([mark.y for group in groups for mark in group.marks], Axis("share of the rows", PERCENT), within=(0, 1))
    limits = [(threshold, "threshold")] if low <= threshold <= high else []
    across = scale([low, high], Axis(f"score of {found.guard.detector}: higher is less familiar", PLAIN))
    across = msgspec.structs.replace(
        across, ends=(low, high), ticks=tuple(tick for tick in across.ticks if low <= tick <= high)
    )
    option = plane(across, up, groups, limits=limits)
    for series in option["series"][len(limits) :]:
        series["areaStyle"] = {"color": series["itemStyle"]["color"], "opacity": 0.14, "origin": "start"}
    step = (high - low) / len(drawn[0][0].counts)
    rows = tuple(
        (one.name, significant(one.low + place * step), significant(one.low + (place + 1) * step), str(count))
        for one, _ in drawn
        for place, count in enumerate(one.counts)
        if count
    )
    note = f"Scores up to the threshold, {significant(threshold)}, may be accepted. Ends hold what lies beyond them."
    return Chart(title, option, Data(("rows of", ">from", ">to", ">rows"), rows), 300, note, key(groups))


def _outline(one: ScoreHistogram) -> tuple[Mark, ...]:
    total, step = max(sum(one.counts), 1), (one.high - one.low) / len(one.counts)
    heights = [count / total for count in one.counts]
    corners = [Mark(one.low + place * step, height, _card(one, place, height)) for place, height in enumerate(heights)]
    return (*corners, Mark(one.high, heights[-1]))


def _card(one: ScoreHistogram, place: int, height: float) -> Card:
    return (one.name, ("rows", str(one.counts[place])), ("of its rows", percent(height)))
