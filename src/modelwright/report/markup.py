"""HTML in small pieces; whatever comes from outside is escaped here, once."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

_MARKS = {">": " class=n", "~": " class=words"}


class Data(msgspec.Struct, frozen=True):
    """Rows under headings.

    Columns whose heading starts with ">" are aligned to the right, as numbers are; those that start with "~" hold
    sentences, which break where the column ends.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Chart(msgspec.Struct, frozen=True):
    """One figure: an ECharts option as plain data, and the same in words and as a table.

    Attributes:
        title: what it shows.
        option: for ECharts; strings such as "var(--text)" stand for colours of the style sheet, and {"$text": kind} for
            a function of page.js.
        data: the numbers that are drawn, for those who cannot see the drawing.
        height: in CSS pixels.
        note: what a reader must know to read it.
        key: (shape, colour, name) of what is drawn, where the option has no key of its own; a shape is a class of the
            style sheet: "circle", "hollow", "diamond", "triangle", "line" or "dashes".
    """

    title: str
    option: dict[str, Any]
    data: Data
    height: int = 320
    note: str = ""
    key: tuple[tuple[str, str, str], ...] = ()


def escape(text: object) -> str:
    """Text that is safe between tags and within quoted attributes."""
    return html.escape(str(text), quote=True)


def script_json(value: object) -> str:
    """JSON that is safe within a script element: no character of it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def table(data: Data) -> str:
    """A table that scrolls sideways by itself where the page is narrow."""
    marks = [_MARKS.get(heading[:1], "") for heading in data.headings]
    head = _row(
        "th", [heading[1:] if mark else heading for heading, mark in zip(data.headings, marks, strict=True)], marks
    )
    rows = "".join(_row("td", row, marks) for row in data.rows)
    return f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody></table></div>\n'


def details(summary: str, *content: str) -> str:
    """Something to open; `content` is HTML already."""
    return f"<details><summary>{escape(summary)}</summary>\n{''.join(content)}</details>\n"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    mark = f' class="{escape(kind)}"' if kind else ""
    return f"<p{mark}>{escape(text)}</p>\n"


def bullets(items: Iterable[str], kind: str = "") -> str:
    """A list of plain texts; nothing where there are none."""
    listed = "".join(f"<li>{escape(item)}</li>" for item in items)
    mark = f' class="{escape(kind)}"' if kind else ""
    return f"<ul{mark}>\n{listed}\n</ul>\n" if listed else ""


def figure(chart: Chart) -> str:
    """A chart with its caption, its option for page.js, and its numbers as a table to open."""
    note = f"<p>{escape(chart.note)}</p>" if chart.note else ""
    key = "".join(
        f'<li><i class="mark {shape}" style="color:{escape(colour)}"></i>{escape(name)}</li>'
        for shape, colour, name in chart.key
    )
    keyed = f'\n<ul class="key">{key}</ul>' if key else ""
    words = f"{chart.title}. The table below the figure holds its numbers."
    return (
        f"<figure><figcaption><h3>{escape(chart.title)}</h3>{note}{keyed}</figcaption>\n"
        f'<div class="plot" role="img" aria-label="{escape(words)}" style="height:{chart.height}px"></div>\n'
        f'<script type="application/json">{script_json(chart.option)}</script>\n'
        f"{details('The numbers of this figure', table(chart.data))}</figure>\n"
    )


def section(title: str, *content: str, intro: str = "") -> str:
    """A part of the page; `content` is HTML already."""
    opening = paragraph(intro) if intro else ""
    return f"<section><h2>{escape(title)}</h2>\n{opening}{''.join(content)}</section>\n"


def grid(pieces: Sequence[str]) -> str:
    """Figures side by side where there is room."""
    return f'<div class="grid">\n{"".join(pieces)}</div>\n' if pieces else ""


def _row(tag: str, texts: Iterable[str], marks: Iterable[str]) -> str:
    cells = ((mark, escape(text)) for text, mark in zip(texts, marks, strict=True))
    return f"<tr>{''.join(f'<{tag}{mark}>{text}</{tag}>' for mark, text in cells)}</tr>\n"
