"""A layer's numbers before and after quantization: outlines of histograms, ranges, and what lies beyond them."""

import math
from collections.abc import Sequence

from modelwright.records import Histogram, LayerNumbers, QuantizationFindings
from modelwright.report.charts import PLAIN, Axis, Option
from modelwright.report.decibels import Number, decibels, shortened
from modelwright.report.markup import Chart, Data
from modelwright.report.outline import AFTER, BEFORE, corners, drawable, outline
from modelwright.report.plane import Mark, Marks, key, plane, scale
from modelwright.report.quantity import quantity, significant
from modelwright.report.sensitivity import apart

WORST = 6
"""Layers whose histograms are drawn."""
MOST_BINS = 64
"""Of a figure; finer histograms are gathered."""


def by_noise(layers: Sequence[LayerNumbers]) -> list[LayerNumbers]:
    """Layers by the lower SQNR of their weights and inputs, lowest first; those of which none is known come last."""
    return sorted(layers, key=_lowest)


def histogram_charts(layer: LayerNumbers) -> list[Chart]:
    """Weights and inputs of a layer before and after; none of what holds no numbers."""
    beyond = f" {beyond_words(layer.saturation)} of the inputs lie beyond the range."
    found = [
        _chart(f"{shortened(layer.layer)}: weights", layer.weights, layer.weights_after, layer.weights_sqnr_db, ""),
        _chart(f"{shortened(layer.layer)}: inputs", layer.inputs, layer.inputs_after, layer.inputs_sqnr_db, beyond),
    ]
    return [chart for chart in found if chart]


def layers_table(findings: QuantizationFindings) -> Data:
    """A row a layer, in the order of the network."""
    alone = {one.layers[0]: one.sqnr_db for one in apart(findings.sensitivities).single}
    kept = next((one.recipe.layers for one in findings.candidates if one.chosen), {})
    rows = tuple(
        (
            *(layer.layer, layer.kind, quantity(layer.macs)),
            *(_range(layer.weights), _range(layer.weights_after), decibels(layer.weights_sqnr_db)),
            *(_range(layer.inputs), _range(layer.inputs_after), decibels(layer.inputs_sqnr_db)),
            *(beyond_words(layer.saturation), decibels(alone.get(layer.layer)), kept.get(layer.layer, "")),
        )
        for layer in findings.layers
    )
    headings = ("layer", "kind", ">MACs", ">weights", ">weights after", ">their SQNR", ">inputs", ">inputs after",
                ">their SQNR", ">beyond range", ">logits' SQNR, alone", "kept in")  # fmt: skip
    return Data(headings, rows)


def beyond_words(share: float) -> str:
    """The share of numbers beyond the range: "0.31%", "0%"; small ones are not rounded away."""
    return f"{significant(100 * share, 2)}%"


def _chart(title: str, before: Histogram | None, after: Histogram | None, noise: Number, more: str) -> Chart | None:
    pairs = [("before", BEFORE, before), ("after", AFTER, after)]
    drawn = [(name, colour, one) for name, colour, one in pairs if one is not None and drawable(one)]
    if not drawn:
        return None
    lines = [(name, colour, *outline(one, MOST_BINS)) for name, colour, one in drawn]
    floor = min(height for _, _, line, _ in lines for _, height in line if height > 0) / 2
    groups = [
        Marks(name, colour, tuple(Mark(*place) for place in corners(line, end, floor)), "none", line="step")
        for name, colour, line, end in lines
    ]
    marks = [mark for group in groups for mark in group.marks]
    option = plane(
        scale([mark.x for mark in marks], Axis("", PLAIN)),
        scale([mark.y for mark in marks], Axis("share a unit", PLAIN), logarithmic=True),
        groups,
    )
    _fill(option)
    ranges = "; ".join(f"{name} {_range(one)}" for name, _, one in drawn)
    sqnr = f"SQNR {decibels(noise)}. " if decibels(noise) else ""
    rows = tuple(
        (name, significant(one.low), significant(one.high), str(len(one.counts)), str(sum(one.counts)))
        for name, _, one in drawn
    )
    data = Data(("", ">low", ">high", ">bins", ">numbers"), rows)
    return Chart(title, option, data, 200, f"{sqnr}Range {ranges}.{more}", key(groups))


def _fill(option: Option) -> None:
    """Lightly fills what lies below the outlines."""
    for series in option["series"]:
        series["areaStyle"] = {"color": series["itemStyle"]["color"], "opacity": 0.18, "origin": "start"}


def _range(found: Histogram | None) -> str:
    return f"{_end(found.low)} to {_end(found.high)}" if found else ""


def _end(value: float) -> str:
    return significant(value) if math.isfinite(value) else str(value)


def _lowest(layer: LayerNumbers) -> float:
    known = [
        value for value in (layer.weights_sqnr_db, layer.inputs_sqnr_db) if value is not None and not math.isnan(value)
    ]
    return min(known, default=math.inf)
