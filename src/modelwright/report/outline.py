"""Histograms as outlines: gathered into few bins, as densities, so that bins of any width can be held together."""

import math
from collections.abc import Sequence

from modelwright.records import Histogram, LayerNumbers
from modelwright.report.markup import escape

Line = list[tuple[float, float]]
"""Corners of an outline from left to right: where a bin begins, and its density until the next."""
BEFORE, AFTER = "var(--series-8)", "var(--accent)"
_WIDTH, _HEIGHT, _SKETCHED = 240, 48, 32


def drawable(found: Histogram | None) -> bool:
    """Whether it holds numbers, and bins that are wider than nothing."""
    return (
        found is not None
        and sum(found.counts) > 0
        and math.isfinite(found.low)
        and math.isfinite(found.high)
        and found.high > found.low
    )


def gathered(found: Histogram, most: int) -> Histogram:
    """The same histogram in at most so many equally wide bins, each the sum of as many neighbours.

    The last bin is filled up with empty ones, and the end moves with them, so that all stay equally wide.
    """
    bins = len(found.counts)
    together = math.ceil(bins / most)
    if together <= 1:
        return found
    sums = tuple(sum(found.counts[start : start + together]) for start in range(0, bins, together))
    width = (found.high - found.low) / bins
    return Histogram(found.low, found.low + len(sums) * together * width, sums)


def outline(found: Histogram, most: int) -> tuple[Line, float]:
    """The corners of at most so many bins, and where the last of them ends.

    A density is the share of all numbers that lies in a bin over the bin's width, so that the area below is 1.
    """
    few = gathered(found, most)
    width, whole = (few.high - few.low) / len(few.counts), sum(few.counts)
    return [(few.low + place * width, count / whole / width) for place, count in enumerate(few.counts)], few.high


def sketch(layer: LayerNumbers) -> str:
    """A small drawing of a layer's weights and inputs as HTML, without a script: before filled, after a line."""
    drawn = [
        _drawing(name, before, after)
        for name, before, after in (
            ("weights", layer.weights, layer.weights_after),
            ("inputs", layer.inputs, layer.inputs_after),
        )
        if drawable(before) or drawable(after)
    ]
    if not drawn:
        return ""
    return (
        f'<div class="card" style="padding:.5rem .75rem;min-width:0"><h3>{escape(layer.layer)}</h3>'
        f'<div style="display:flex;gap:1rem">{"".join(drawn)}</div></div>\n'
    )


def _drawing(name: str, before: Histogram | None, after: Histogram | None) -> str:
    found = [(colour, *outline(one, _SKETCHED)) for colour, one in ((BEFORE, before), (AFTER, after))
             if one is not None and drawable(one)]  # fmt: skip
    left, right = min(line[0][0] for _, line, _ in found), max(end for _, _, end in found)
    heights = [math.log(height) for _, line, _ in found for _, height in line if height > 0]
    low, high = min(heights) - 0.5, max(heights)

    def across(x: float) -> str:
        return f"{(x - left) / (right - left) * _WIDTH:.1f}"

    def down(height: float) -> str:
        part = (math.log(height) - low) / (high - low) if height > 0 else 0.0
        return f"{_HEIGHT * (1 - part):.1f}"

    paths = ""
    for colour, line, end in found:
        steps = "".join(f"V{down(height)}H{across(next_x)}" for (_, height), next_x in
                        zip(line, [*(x for x, _ in line[1:]), end], strict=True))  # fmt: skip
        paint = f"fill:{colour};fill-opacity:.35" if colour == BEFORE else f"fill:none;stroke:{colour}"
        paths += f'<path d="M{across(line[0][0])} {_HEIGHT}{steps}V{_HEIGHT}" style="{paint}"/>'
    return (
        '<div style="flex:1;min-width:0">'
        f'<svg viewBox="-1 -1 {_WIDTH + 2} {_HEIGHT + 2}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(name)}" style="width:100%;height:3rem">{paths}</svg>'
        f'<small style="color:var(--muted)">{escape(name)}</small></div>'
    )


def corners(line: Sequence[tuple[float, float]], end: float, floor: float) -> Line:
    """An outline that starts and ends on a floor, which is above 0 so that a logarithmic axis can show it."""
    heights = [(x, max(height, floor)) for x, height in line]
    return [(line[0][0], floor), *heights, (end, heights[-1][1]), (end, floor)]
