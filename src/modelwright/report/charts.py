"""Charts as data: the options that ECharts draws. Colours are names in style.css, functions are names in page.js."""

from collections.abc import Sequence
from typing import Any

import msgspec

Option = dict[str, Any]
Card = tuple[str | tuple[str, str], ...]


class Series(msgspec.Struct, frozen=True):
    """Bars of one colour, one a category.

    Attributes:
        name: in the key.
        colour: as CSS, mostly a name of style.css such as "var(--matrix)".
        values: None where there is no bar.
        cards: what is shown when a bar is pointed at: a heading, then (name, value) pairs.
        labels: words at the bars' ends.
    """

    name: str
    colour: str
    values: tuple[float | None, ...]
    cards: tuple[Card, ...] = ()
    labels: tuple[str, ...] = ()


class Axis(msgspec.Struct, frozen=True):
    """An axis of numbers.

    Attributes:
        name: with the unit.
        ticks: how they are written.
        maximum: its end, if that is fixed.
        to_the_end: whether the end has a tick, which a round one deserves.
    """

    name: str
    ticks: Option
    maximum: float | None = None
    to_the_end: bool = True


SECONDS: Option = {"$text": "short", "unit": "s"}
SHORT: Option = {"$text": "short"}
PLAIN: Option = {"$text": "plain"}
PERCENT: Option = {"$text": "percent"}

KEY: Option = {
    "type": "scroll",
    "top": 0,
    "left": 0,
    "itemWidth": 14,
    "itemHeight": 10,
    "textStyle": {"color": "var(--text)"},
}

_MUTED = {"color": "var(--muted)"}
_LINE = {"lineStyle": {"color": "var(--line)"}}
CONTAIN = {"outerBoundsMode": "same", "outerBoundsContain": "all"}
"""Of a grid: the labels and names of its axes stay inside the figure."""


def base() -> Option:
    """What all charts share: quiet, without motion, in the page's own letters."""
    font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif'
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"fontFamily": font, "fontSize": 12, "color": "var(--text)"},
        "tooltip": {
            "trigger": "item",
            "confine": True,
            "backgroundColor": "var(--card)",
            "borderColor": "var(--line)",
            "textStyle": {"color": "var(--text)", "fontSize": 13},
            "formatter": {"$text": "card"},
        },
    }


def number_axis(axis: Axis, *, across: bool, logarithmic: bool = False) -> Option:
    """A numeric axis; `across` is the horizontal one."""
    return {
        "type": "log" if logarithmic else "value",
        "name": axis.name,
        "nameLocation": "middle",
        "nameGap": 28 if across else 52,
        "nameTextStyle": _MUTED,
        "axisLabel": {**_MUTED, "formatter": axis.ticks, "hideOverlap": True, "showMaxLabel": axis.to_the_end},
        "axisLine": {"show": logarithmic, **_LINE},
        "axisTick": {"show": False},
        "splitLine": {"lineStyle": {"color": "var(--faint)"}},
        **({} if axis.maximum is None else {"max": axis.maximum}),
    }


def rows(
    categories: Sequence[str], series: Sequence[Series], axis: Axis, *, stacked: bool, tight: bool = False
) -> Option:
    """Lying bars, categories from top to bottom; the series stacked, or side by side with a key above.

    Args:
        categories: one a row; may hold line ends.
        series: the bars.
        axis: what their length means.
        stacked: one after another in a row, rather than below one another.
        tight: many rows, drawn close together.
    """
    keyed = not tight and len(series) > 1
    how: Option = (
        {"stack": "all", "barWidth": "72%" if tight else "60%"} if stacked else {"barMaxWidth": 16, "barGap": "15%"}
    )
    return {
        **base(),
        **({"legend": KEY} if keyed else {}),
        "grid": {"left": 8, "right": 24 if stacked else 64, "top": 34 if keyed else 8, "bottom": 8, **CONTAIN},
        "xAxis": number_axis(axis, across=True),
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": list(categories),
            "axisLabel": {"color": "var(--text)", "fontSize": 11 if tight else 12, "lineHeight": 15, "interval": 0},
            "axisLine": _LINE,
            "axisTick": {"show": False},
        },
        "series": [{**_bars(entry), **how} for entry in series],
    }


def rows_height(categories: int, a_row: int) -> int:
    """CSS pixels that lying bars need, at so many a category."""
    return 84 + categories * a_row


class Cell(msgspec.Struct, frozen=True):
    """One cell of a heat map: its column and row, the number that colours it, its words, and its card."""

    column: int
    row: int
    value: float
    text: str
    card: Card


def heat_map(across: tuple[str, Sequence[str]], up: tuple[str, Sequence[str]], cells: Sequence[Cell]) -> Option:
    """A grid of coloured cells with words in them; colours part at 0, which is even.

    Args:
        across: the horizontal axis's name, and its categories from left to right.
        up: the vertical axis's name, and its categories from the bottom to the top.
        cells: numbers around 0.
    """
    reach = max((abs(cell.value) for cell in cells), default=0.0) or 1.0
    return {
        **base(),
        "grid": {"left": 8, "right": 16, "top": 8, "bottom": 8, **CONTAIN},
        "xAxis": _categories(*across, gap=30),
        "yAxis": _categories(*up, gap=64),
        "visualMap": {
            "show": False,
            "min": -reach,
            "max": reach,
            "dimension": 2,
            "inRange": {"color": ["var(--low)", "var(--even)", "var(--high)"]},
        },
        "series": [
            {
                "type": "heatmap",
                "data": [
                    {
                        "value": [cell.column, cell.row, cell.value],
                        "text": cell.text,
                        "card": cell.card,
                        "label": {"color": "var(--card)" if abs(cell.value) > 0.75 * reach else "var(--text)"},
                    }
                    for cell in cells
                ],
                "label": {"show": True, "formatter": {"$text": "label"}, "fontSize": 12, "lineHeight": 16},
                "itemStyle": {"borderColor": "var(--card)", "borderWidth": 2, "borderRadius": 3},
            }
        ],
    }


def _categories(name: str, labels: Sequence[str], gap: int) -> Option:
    return {
        "type": "category",
        "name": name,
        "nameLocation": "middle",
        "nameGap": gap,
        "nameTextStyle": _MUTED,
        "data": list(labels),
        "axisLabel": {"color": "var(--text)"},
        "axisLine": {"show": False},
        "axisTick": {"show": False},
    }


def _bars(series: Series) -> Option:
    cards = series.cards or ((),) * len(series.values)
    labels = series.labels or ("",) * len(series.values)
    data = [
        {"value": value, "card": card, "text": label} if value is not None else {"value": None}
        for value, card, label in zip(series.values, cards, labels, strict=True)
    ]
    label = {"show": True, "position": "right", "formatter": {"$text": "label"}, "color": "var(--text)"}
    return {
        "type": "bar",
        "name": series.name,
        "data": data,
        "itemStyle": {"color": series.colour},
        **({"label": label} if series.labels else {}),
    }
