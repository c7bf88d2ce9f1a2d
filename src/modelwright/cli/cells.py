"""Tables on a terminal: as wide as their words, never cut off."""

from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from modelwright.report.markup import Data


def show_table(data: Data, title: str = "") -> None:
    """Print rows under headings, after a title if there is one; a reader that is no terminal gets whole lines too."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in data.headings:
        justify: JustifyMethod = "right" if heading.startswith(">") else "left"
        table.add_column(heading.removeprefix(">"), justify=justify, no_wrap=True)
    for row in data.rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    if title:
        console.print(Text(title, style="bold"))
    Console(width=max(width, 1)).print(table)


def show_note(text: str) -> None:
    """Print a plain line after a table."""
    Console(soft_wrap=True).print(Text(text, style="dim"))
