"""A network's time along its depth: a bar a layer, parted by what its kernels are bound by."""

from collections.abc import Mapping, Sequence

from modelwright.records import Estimate, Platform
from modelwright.report.bounds import card, met, tinted
from modelwright.report.charts import SECONDS, Axis, Series, rows, rows_height
from modelwright.report.layers import Layer, layers, legible_depth
from modelwright.report.markup import Chart, Data
from modelwright.report.quantity import quantity

_LIKE = 3.0
"""Charts share a scale where the longest bar of one is no more than so many times that of another."""


def depth_charts(estimates: Sequence[Estimate], known: Mapping[str, Platform]) -> list[Chart]:
    """A chart an estimate; networks of like size on one platform share a scale.

    Args:
        estimates: with their kernels.
        known: their platforms by name.
    """
    cut = legible_depth(estimates)
    found = [layers(estimate, cut) for estimate in estimates]
    longest = [max((layer.latency_s for layer in held), default=0.0) for held in found]
    charts = []
    for estimate, held, own in zip(estimates, found, longest, strict=True):
        setting = (estimate.platform, estimate.batch)
        others = [
            other
            for neighbour, other in zip(estimates, longest, strict=True)
            if (neighbour.platform, neighbour.batch) == setting and other <= _LIKE * own
        ]
        charts.append(_chart(estimate, held, known[estimate.platform], max(others, default=own)))
    return charts


def _chart(estimate: Estimate, held: Sequence[Layer], platform: Platform, longest: float) -> Chart:
    tints = met((layer.bound_s, platform) for layer in held)
    spent = [tinted(layer.bound_s, platform) for layer in held]
    cards = tuple(card(layer.path, layer.bound_s) for layer in held)
    series = [Series(bound, tint, tuple(one.get(tint) for one in spent), cards) for tint, bound in tints.items()]
    axis = Axis("time", SECONDS, maximum=longest * 1.02 or None, to_the_end=False)
    option = rows([layer.path for layer in held], series, axis, stacked=True, tight=True)
    data = tuple(
        (layer.path, quantity(layer.latency_s, "s"), *(quantity(one.get(tint, 0.0), "s") for tint in tints))
        for layer, one in zip(held, spent, strict=True)
    )
    headings = ("layer", ">time", *(f">{bounds}" for bounds in tints.values()))
    note = f"{quantity(estimate.latency_s, 's')} for a batch of {estimate.batch}, {estimate.precision}"
    title = f"{estimate.architecture} on {platform.title}"
    return Chart(title, option, Data(headings, data), rows_height(len(held), 17) - 22, note)
