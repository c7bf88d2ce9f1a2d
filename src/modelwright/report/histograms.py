"""A layer's numbers before and after quantization: outlines of histograms, ranges, and what lies beyond them."""

import math
from collections.abc import Iterator, Sequence

import msgspec

from modelwright.records import Histogram, LayerNumbers, QuantizationFindings
from modelwright.report.charts import PLAIN, Axis, Option
from modelwright.report.decibels import Number, decibels, plain, shortened
from modelwright.report.markup import Chart, Data
from modelwright.report.outline import AFTER, BEFORE, corners, drawable, gathered, outline
from modelwright.report.plane import Mark, Marks, Scale, key, plane, scale
from modelwright.report.quantity import quantity
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
            *(
                layer.layer,
                layer.kind,
                quantity(layer.macs),
                kept.get(layer.layer, ""),
                decibels(alone.get(layer.layer)),
            ),
            *(decibels(layer.weights_sqnr_db), decibels(layer.inputs_sqnr_db), beyond_words(layer.saturation)),
            *(_range(layer.inputs), _range(layer.inputs_after), _range(layer.weights), _range(layer.weights_after)),
        )
        for layer in findings.layers
    )
    headings = ("layer", "kind", ">MACs", "kept in", ">logits' SQNR", ">weights' SQNR", ">inputs' SQNR",
                ">beyond range", ">inputs", ">inputs after", ">weights", ">weights after")  # fmt: skip
    return Data(headings, rows)


def beyond_words(share: float) -> str:
    """The share of numbers beyond the range: "0.31%", "0%"; small ones are not rounded away."""
    return f"{plain(100 * share, 2)}%"


def _chart(title: str, before: Histogram | None, after: Histogram | None, noise: Number, more: str) -> Chart | None:
    pairs = [("before", BEFORE, before), ("after", AFTER, after)]
    drawn = [(name, colour, one) for name, colour, one in pairs if one is not None and drawable(one)]
    if not drawn:
        return None
    lines = [(name, colour, *outline(one, MOST_BINS)) for name, colour, one in drawn]
    heights = [height for _, _, line, _ in lines for _, height in line if height > 0]
    up = scale([min(heights) / 2, *heights], Axis("density", PLAIN), logarithmic=True)
    groups = [
        Marks(name, colour, tuple(Mark(*place) for place in corners(line, end, up.ends[0])), "none", line="step")
        for name, colour, line, end in lines
    ]
    option = plane(_across([mark.x for group in groups for mark in group.marks]), up, groups)
    _fill(option)
    ranges = "; ".join(f"{name} {_range(one)}" for name, _, one in drawn)
    sqnr = f"SQNR {decibels(noise)}. " if decibels(noise) else ""
    rows = tuple(row for name, _, one in drawn for row in _bins(name, gathered(one, MOST_BINS)))
    data = Data(("", ">from", ">to", ">numbers"), rows)
    return Chart(title, option, data, 200, f"{sqnr}Range {ranges}.{more}", key(groups))


def _bins(name: str, found: Histogram) -> Iterator[tuple[str, ...]]:
    """A row a bin that is not empty."""
    width = (found.high - found.low) / len(found.counts)
    for place, count in enumerate(found.counts):
        if count:
            start = found.low + place * width
            yield name, plain(start), plain(start + width), str(count)


def _across(values: Sequence[float]) -> Scale:
    """From the first bin to the last, without room at the ends, which would be taken for numbers that are not there."""
    low, high = min(values), max(values)
    rounded = scale(values, Axis("", PLAIN))
    ticks = tuple(tick for tick in rounded.ticks if low <= tick <= high)
    return msgspec.structs.replace(rounded, ends=(low, high), ticks=ticks)


def _fill(option: Option) -> None:
    """Lightly fills what lies below the outlines."""
    for series in option["series"]:
        series["areaStyle"] = {"color": series["itemStyle"]["color"], "opacity": 0.18, "origin": "start"}


def _range(found: Histogram | None) -> str:
    return f"{plain(found.low)} to {plain(found.high)}" if found else ""


def _lowest(layer: LayerNumbers) -> float:
    known = [
        value for value in (layer.weights_sqnr_db, layer.inputs_sqnr_db) if value is not None and not math.isnan(value)
    ]
    return min(known, default=math.inf)
