"""The action `serve top`: a running service in the terminal, as it goes on."""

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from modelwright.cli.serve_site import add_site, client_of
from modelwright.cli.serve_status import HEADINGS, cells
from modelwright.clock import pause
from modelwright.errors import ModelwrightError
from modelwright.records import ServiceSnapshot

BARS = " ▁▂▃▄▅▆▇█"
_LINES = (("backlog", (1, 2), "cyan"), ("instances", (3,), "green"), ("ended a second", (7,), "magenta"))
"""Title, columns of a point that are added up, and colour of each line of a graph."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how often."""
    add = parser.add_argument
    add("--every", type=float, default=1.0, metavar="SECONDS", help="between two looks (default: %(default)s)")
    add("--once", action="store_true", help="look once, and end")
    add_site(add)


def run(arguments: argparse.Namespace) -> int:
    """Show it until Ctrl-C, and return the exit code."""
    client, terminal = client_of(arguments), Console()

    def seen() -> Any:
        status = client.status()
        histories = {one.name: client.told(f"/-/api/history/{one.name}") for one in status.endpoints[: _most(terminal)]}
        return shown(status, histories, terminal.width)

    if arguments.once or not terminal.is_terminal:
        terminal.print(seen())
        return 0
    with Live(seen(), console=terminal, screen=True, auto_refresh=False) as live:
        while True:
            pause(max(0.1, arguments.every))
            try:
                live.update(seen(), refresh=True)
            except ModelwrightError as failure:
                live.update(Panel(Text(str(failure)), title="waiting for the service"), refresh=True)


def shown(status: ServiceSnapshot, histories: dict[str, list[list[float]]], width: int) -> Group:
    """The screen: a table of endpoints, and graphs of each.

    Args:
        status: of the service.
        histories: endpoint -> its points, oldest first.
        width: columns of the terminal.
    """
    table = Table(expand=True, box=None, header_style="bold")
    for name in HEADINGS:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left")
    for one in status.endpoints:
        table.add_row(*cells(one))
    parts: list[Any] = [table if status.endpoints else Text("no endpoints", style="dim")]
    for name, points in histories.items():
        lines = [graph(title, [sum(point[at] for at in columns) for point in points], width - 4, colour)
                 for title, columns, colour in _LINES]  # fmt: skip
        parts.append(Panel(Group(*lines), title=name, title_align="left"))
    notes = [f"modelwright {status.version}", datetime.fromtimestamp(status.at).strftime("%H:%M:%S")]
    if status.draining:
        notes.append("draining")
    if status.undelivered:
        notes.append(f"{status.undelivered} messages undelivered")
    if status.time_factor != 1.0:
        notes.append(f"time factor {status.time_factor:g}")
    return Group(Text("  ".join(notes), style="dim"), *parts)


def graph(title: str, values: Sequence[float], width: int, colour: str) -> Text:
    """A line of bars, the newest on the right, with the last and the greatest value."""
    most = max(values, default=0.0)
    told = f"{title:15}{values[-1] if values else 0:7.0f}  most {most:7.0f}  "
    room = max(0, width - len(told))
    recent = list(values)[-room:] if room else []
    bars = "".join(BARS[0 if not value else max(1, round(value / most * (len(BARS) - 1)))] for value in recent)
    line = Text(told)
    line.append(bars.rjust(room), style=colour)
    return line


def _most(terminal: Console) -> int:
    """So many endpoints have graphs on a screen of that height."""
    return max(1, (terminal.height - 6) // 6)
