"""The action `serve status`: how a running service stands."""

import argparse
import json

import msgspec

from modelwright.cli.cells import show_note, show_table
from modelwright.cli.serve_site import add_site, client_of
from modelwright.records import EndpointSnapshot
from modelwright.report.markup import Data
from modelwright.report.quantity import quantity

HEADINGS = ("endpoint", "status", ">instances", ">queued", ">running", ">oldest", ">done", ">failed", ">per s",
            ">median", ">95 %")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the form."""
    add = parser.add_argument
    add("--json", action="store_true", help="print JSON")
    add_site(add)


def run(arguments: argparse.Namespace) -> int:
    """Print it, and return the exit code."""
    found = client_of(arguments).status()
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(found)))
        return 0
    if not found.endpoints:
        show_note("no endpoints; `modelwright serve deploy MODEL` makes one")
        return 0
    show_table(Data(HEADINGS, tuple(cells(one) for one in found.endpoints)))
    for one in found.endpoints:
        if one.reason:
            show_note(f"{one.name}: {one.reason}")
    if found.undelivered:
        show_note(f"{found.undelivered} messages could not be delivered")
    return 0


def cells(one: EndpointSnapshot) -> tuple[str, ...]:
    """An endpoint as a row."""
    ready = sum(each.status == "ready" for each in one.instances)
    wanted = sum(each.wanted for each in one.variants)
    lost = sum(one.ended.get(state, 0) for state in ("failed", "dead", "expired"))
    oldest = f"{one.oldest_s:.0f} s" if one.queued or one.running else ""
    return (
        one.name,
        one.status,
        f"{ready}" if ready == wanted else f"{ready} of {wanted}",
        str(one.queued),
        str(one.running),
        oldest,
        str(one.ended.get("completed", 0)),
        str(lost),
        f"{one.per_s:.1f}",
        *map(_took, (one.median_s, one.p95_s)),
    )


def _took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return quantity(seconds, "s") if seconds < 120 else f"{seconds / 60:.0f} min"
