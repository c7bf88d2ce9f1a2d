"""Charts of points and lines in a plane of two numbers, linear or logarithmic."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from modelwright.report.charts import CONTAIN, Axis, Card, Option, base, number_axis

MOST_TICKS = 7
_STEPS = (1.0, 2.0, 5.0)


class Scale(msgspec.Struct, frozen=True):
    """One axis of the plane.

    Attributes:
        axis: its name and how its ticks are written.
        ends: least and most.
        ticks: where they stand.
        logarithmic: whether equal ratios are equally long.
    """

    axis: Axis
    ends: tuple[float, float]
    ticks: tuple[float, ...]
    logarithmic: bool


class Mark(msgspec.Struct, frozen=True):
    """A point: where, what is shown when it is pointed at, and a word beside it."""

    x: float
    y: float
    card: Card = ()
    text: str = ""


class Marks(msgspec.Struct, frozen=True):
    """Points of one kind.

    Attributes:
        name: in the key.
        colour: as CSS, mostly a name of style.css.
        marks: the points.
        symbol: one of ECharts's.
        size: in pixels.
        opacity: 1 hides what lies below.
        line: how they are joined, in the order given: "none", "straight", "dashed", "step", which holds until the next,
            or "bare", which is straight without the points.
        hollow: drawn as an outline.
    """

    name: str
    colour: str
    marks: tuple[Mark, ...]
    symbol: str = "circle"
    size: float = 7.0
    opacity: float = 1.0
    line: str = "none"
    hollow: bool = False


def scale(
    values: Iterable[float],
    axis: Axis,
    *,
    logarithmic: bool = False,
    within: tuple[float, float] = (-math.inf, math.inf),
    whole: bool = False,
) -> Scale:
    """An axis that holds all values, with some room at its ends and ticks at round numbers.

    Args:
        values: at least one; above 0 where the scale is logarithmic.
        axis: its name and ticks.
        logarithmic: equal ratios are equally long.
        within: what the ends of a linear axis do not pass, such as 0 and 1 of an accuracy.
        whole: a linear axis counts something, so that its ticks are whole numbers.
    """
    found = list(values)
    low, high = min(found), max(found)
    if logarithmic:
        room = max((high / low) ** 0.08, 1.1)
        ends = low / room, high * room
        return Scale(axis, ends, _log_ticks(*ends), logarithmic=True)
    room = 0.07 * (high - low) or 0.05 * abs(high) or 1.0
    ticks = _even(max(low - room, within[0]), min(high + room, within[1]), least=1.0 if whole else 0.0)
    return Scale(axis, (ticks[0], ticks[-1]), ticks, logarithmic=False)


def plane(across: Scale, up: Scale, groups: Sequence[Marks], *, limits: Sequence[tuple[float, str]] = ()) -> Option:
    """Points and lines.

    Args:
        across: the horizontal axis.
        up: the vertical axis.
        groups: drawn in order, the last on top.
        limits: values across where a vertical line stands, each with its words.
    """
    return {
        **base(),
        "grid": {"left": 8, "right": 20, "top": 14, "bottom": 8, **CONTAIN},
        "xAxis": _axis(across, across=True),
        "yAxis": _axis(up, across=False),
        "series": [
            *(_limit(value, words, up) for value, words in limits),
            *(_series(group, level) for level, group in enumerate(groups) if group.marks),
        ],
    }


def key(groups: Sequence[Marks]) -> tuple[tuple[str, str, str], ...]:
    """What stands for what, what is drawn on top first: (shape, colour, name) of each group, as `Chart.key` has it."""
    return tuple(dict.fromkeys((_shape(g), g.colour, g.name) for g in reversed(groups) if g.marks and g.name))


def _axis(found: Scale, *, across: bool) -> Option:
    option = number_axis(found.axis, across=across, logarithmic=found.logarithmic)
    option["axisLabel"]["customValues"] = list(found.ticks)
    option["axisTick"]["customValues"] = list(found.ticks)  # the lines of the grid follow these
    return {**option, "min": found.ends[0], "max": found.ends[1]}


def _even(low: float, high: float, least: float = 0.0) -> tuple[float, ...]:
    """Multiples of a round step, no less than the least, from the last below one end to the first above the other."""
    decade = 10.0 ** math.floor(math.log10((high - low) / MOST_TICKS))
    step = next(step * decade for step in (*_STEPS, 10.0) if high - low <= MOST_TICKS * step * decade * (1 + 1e-9))
    step = max(step, least)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(float(f"{number * step:.12g}") for number in range(first, last + 1))


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Round numbers between two ends, equal steps where these are near; no more than there is room for."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    if high < 3 * low:
        return tuple(tick for tick in _even(low, high) if low <= tick <= high)
    skips = 1 + len(decades) // MOST_TICKS
    for digits, skip in (("12345678", 1), ("1235", 1), ("125", 1), ("1", 1), ("1", skips)):
        ticks = [float(f"{digit}e{decade}") for decade in decades[::skip] for digit in digits]
        found = tuple(tick for tick in ticks if low <= tick <= high)
        if len(found) <= MOST_TICKS:
            break
    return found


def _series(group: Marks, level: int) -> Option:
    joined = group.line != "none"
    shape: Option = {"color": group.colour, "opacity": group.opacity}
    if group.hollow:
        shape = {"color": "var(--card)", "borderColor": group.colour, "borderWidth": 1.2, "opacity": group.opacity}
    elif not joined:
        shape |= {"borderColor": "var(--card)", "borderWidth": 0.8}
    style = {"color": group.colour, "width": 1.6, "type": "dashed" if group.line == "dashed" else "solid"}
    return {
        "type": "line" if joined else "scatter",
        "name": group.name,
        "symbol": "none" if group.line == "bare" else group.symbol,
        "symbolSize": group.size,
        "showAllSymbol": True,
        "z": 3 + level,
        "itemStyle": shape,
        "data": [_point(mark) for mark in group.marks],
        **({"lineStyle": style, "step": "end" if group.line == "step" else False} if joined else {}),
        **({"silent": True} if group.line == "bare" else {}),
    }


def _point(mark: Mark) -> Option:
    drawn: Option = {"value": [mark.x, mark.y]}
    if mark.card:
        drawn["card"] = mark.card
    if mark.text:
        drawn["text"] = mark.text
        drawn |= {"beside": True, "label": _label("var(--text)")}
    return drawn


def _limit(value: float, words: str, up: Scale) -> Option:
    style = {"color": "var(--muted)", "width": 1.2, "type": "dashed"}
    top = {"value": [value, up.ends[1]], "text": words, "beside": True, "label": _label("var(--muted)")}
    return {
        "type": "line",
        "silent": True,
        "symbolSize": 0.01,
        "z": 2,
        "lineStyle": style,
        "data": [{"value": [value, up.ends[0]]}, top],
    }


def _label(colour: str) -> Option:
    """Words whose place page.js finds, where it knows the width of the figure."""
    return {
        "show": True,
        "formatter": {"$text": "label"},
        "color": colour,
        "fontSize": 12,
        "textBorderColor": "var(--card)",
        "textBorderWidth": 3,
    }


def _shape(group: Marks) -> str:
    if group.line in ("bare", "step", "dashed"):
        return "dashes" if group.line == "dashed" else "line"
    return "hollow" if group.hollow else group.symbol
