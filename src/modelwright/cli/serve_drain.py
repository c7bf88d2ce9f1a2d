"""The action `serve drain`: a running service finishes what runs, and ends."""

import argparse

from modelwright.cli.cells import show_note
from modelwright.cli.serve_site import add_site, client_of
from modelwright.clock import pause
from modelwright.errors import StoreError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare whether to wait."""
    add = parser.add_argument
    add("--no-wait", action="store_true", help="do not wait until it has ended")
    add_site(add)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it, wait, and return the exit code."""
    client = client_of(arguments)
    client.told("/-/api/drain", "POST")
    show_note("draining: what waits stays in the queue")
    while not arguments.no_wait:
        try:
            client.told("/-/api/status")
        except StoreError:  # nobody answers any more
            show_note("drained")
            break
        pause(0.2)
    return 0
