"""What quantized candidates trade: accuracy, or else the noise of the logits, and size, against latency."""

import math
from collections.abc import Callable, Iterator, Sequence

import msgspec

from modelwright.records import QuantizationFindings, QuantizedCandidate
from modelwright.report.charts import PERCENT, PLAIN, SECONDS, Axis, Card
from modelwright.report.decibels import Number, decibels, finite, points, shortened
from modelwright.report.markup import Chart, Data
from modelwright.report.plane import Mark, Marks, Scale, key, plane, scale
from modelwright.report.quantity import percent, quantity, ratio
from modelwright.report.sensitivity import reference

_KINDS = {
    "fp32": ("var(--series-8)", "diamond"),
    "bf16": ("var(--series-4)", "diamond"),
    "weight-only": ("var(--series-7)", "triangle"),
    "dynamic": ("var(--series-3)", "triangle"),
    "static": ("var(--series-2)", "circle"),
    "qat": ("var(--series-5)", "rect"),
    "chosen": ("var(--accent)", "circle"),
}
_LABEL = 24


class Measure(msgspec.Struct, frozen=True):
    """What stands upright in a plane whose horizontal is latency.

    Attributes:
        title: of the figure.
        axis: with its ticks.
        value: of a candidate, None where it has none.
        words: for a value.
        within: what the axis does not pass.
        note: how it is read.
    """

    title: str
    axis: Axis
    value: Callable[[QuantizedCandidate], Number]
    words: Callable[[float], str]
    within: tuple[float, float]
    note: str


_ACCURACY = Measure(
    "Accuracy against latency",
    Axis("accuracy", PERCENT),
    lambda one: one.accuracy,
    percent,
    (0.0, 1.0),
    "Up and to the left is better.",
)
_NOISE = Measure(
    "SQNR against latency",
    Axis("SQNR of the logits, dB", PLAIN),
    lambda one: one.sqnr_db,
    decibels,
    (-math.inf, math.inf),
    "No accuracy is known. Up and to the left is better; the float network has no noise.",
)
_SIZE = Measure(
    "Size against latency",
    Axis("size", {"$text": "short", "unit": "B"}),
    lambda one: one.size_bytes,
    lambda value: quantity(value, "B"),
    (0.0, math.inf),
    "Down and to the left is better.",
)


def accuracy_chart(findings: QuantizationFindings) -> Chart | None:
    """Accuracy against latency with the drops' intervals; without labels SQNR; None where nothing can be drawn."""
    placed = _placed(findings, _ACCURACY)
    if not placed:
        return _chart(findings, _NOISE)
    base = reference(findings.candidates)
    start = finite(base.accuracy) if base else None
    return _chart(
        findings, _ACCURACY, () if start is None else (*_allowed(findings, placed, start), *_bars(placed, start))
    )


def size_chart(findings: QuantizationFindings) -> Chart | None:
    """Bytes of the artifact against latency; None where no candidate has both."""
    return _chart(findings, _SIZE)


def _chart(findings: QuantizationFindings, measure: Measure, below: Sequence[Marks] = ()) -> Chart | None:
    placed = _placed(findings, measure)
    if not placed:
        return None
    base = reference(findings.candidates)
    alone = base is not None and all(mark.card[0] != base.name for _, mark in placed)
    first = finite(base.latency_s) if base and alone else None
    limits = [(first, "fp32")] if first else []
    groups = [*below, *_groups(placed)]
    option = plane(
        _latency([*(mark.x for _, mark in placed), *(seconds for seconds, _ in limits)]),
        scale([mark.y for group in groups for mark in group.marks], measure.axis, within=measure.within),
        groups,
        limits=limits,
    )
    missing = len(findings.candidates) - len(placed)
    note = f"{measure.note} Left out: {missing} without these numbers." if missing else measure.note
    rows = tuple(
        (one.name, measure.words(mark.y), points(one.drop, one.drop_interval), quantity(mark.x, "s"))
        for one, mark in placed
    )
    data = Data(("candidate", f">{measure.axis.name}", ">drop, points", ">latency"), rows)
    return Chart(measure.title, option, data, 400, note, key(groups))


def _latency(values: Sequence[float]) -> Scale:
    return scale(values, Axis("latency of a batch, measured", SECONDS), logarithmic=True)


def _placed(findings: QuantizationFindings, measure: Measure) -> list[tuple[QuantizedCandidate, Mark]]:
    """The finished candidates whose latency and other number are known, as points."""
    base = reference(findings.candidates)
    found = []
    for one in findings.candidates:
        x, y = finite(one.latency_s), finite(measure.value(one))
        if one.state == "finished" and x and x > 0 and y is not None:
            found.append((one, Mark(x, y, _card(one, base), shortened(one.name, _LABEL))))
    return found


def _groups(placed: Sequence[tuple[QuantizedCandidate, Mark]]) -> list[Marks]:
    kinds = [("chosen" if one.chosen else one.recipe.floats if one.recipe.kind == "float" else one.recipe.kind)
             for one, _ in placed]  # fmt: skip
    return [
        Marks(
            {"fp32": "float, fp32", "bf16": "float, bf16"}.get(kind, kind),
            colour,
            tuple(mark for (_, mark), its in zip(placed, kinds, strict=True) if its == kind),
            symbol,
            13.0 if kind == "chosen" else 9.0,
        )
        for kind, (colour, symbol) in _KINDS.items()
    ]


def _bars(placed: Sequence[tuple[QuantizedCandidate, Mark]], start: float) -> Iterator[Marks]:
    """The interval of each drop as an upright line, below the float network's accuracy."""
    for one, mark in placed:
        if one.drop_interval and all(map(math.isfinite, one.drop_interval)):
            low, high = (min(max(start - end, 0.0), 1.0) for end in reversed(one.drop_interval))
            ends = (Mark(mark.x, low), Mark(mark.x, high))
            yield Marks("95 % interval of the drop", "var(--launch)", ends, line="bare")


def _allowed(
    findings: QuantizationFindings, placed: Sequence[tuple[QuantizedCandidate, Mark]], start: float
) -> Iterator[Marks]:
    """The least accuracy that was allowed, as a line from the fastest to the slowest, unless it lies far off."""
    least, lowest = start - findings.max_drop, min(mark.y for _, mark in placed)
    ends = [pick(mark.x for _, mark in placed) for pick in (min, max)]
    if least >= 0 and lowest - least <= max(start - lowest, 0.05) and ends[0] < ends[1]:
        marks = tuple(Mark(end, least) for end in ends)
        yield Marks("least accuracy allowed", "var(--memory)", marks, "none", line="dashed")


def _card(one: QuantizedCandidate, base: QuantizedCandidate | None) -> Card:
    seconds, first = finite(one.latency_s), finite(base.latency_s) if base else None
    known = (
        ("accuracy", "" if one.accuracy is None else percent(one.accuracy)),
        ("drop, points", points(one.drop, one.drop_interval)),
        ("latency", quantity(seconds, "s") if seconds else ""),
        ("as fast as fp32", ratio(first / seconds) if first and seconds else ""),
        ("SQNR", decibels(one.sqnr_db)),
        ("integer", "" if one.integer_share is None else percent(one.integer_share)),
        ("size", "" if one.size_bytes is None else quantity(one.size_bytes, "B")),
    )
    return (one.name, *(pair for pair in known if pair[1]))
