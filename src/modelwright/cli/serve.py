"""The command `serve`: asynchronous endpoints. Each action has a module of its own, which this one only names."""

import argparse
import importlib
from typing import cast

from modelwright.cli.main import Command

ACTIONS: dict[str, tuple[str, str]] = {
    "up": ("a whole service: queue, objects, instances, autoscaler, AWS's protocols", "modelwright.cli.serve_up"),
    "deploy": ("a model behind an endpoint of a running service", "modelwright.cli.serve_deploy"),
    "invoke": ("an answer of an endpoint, at once or through its queue", "modelwright.cli.serve_invoke"),
    "status": ("how a running service stands", "modelwright.cli.serve_status"),
    "top": ("a running service in the terminal, as it goes on", "modelwright.cli.serve_top"),
    "drain": ("a running service finishes what runs, and ends", "modelwright.cli.serve_drain"),
    "pack": ("a model.tar.gz from a folder, or from a Hugging Face model", "modelwright.cli.serve_pack"),
    "plan": ("what a fleet that scales with its backlog would do under some traffic", "modelwright.cli.serve_plan"),
}
"""Action -> (what it answers, the module that does it, which offers what a command's does)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (summary, module) in ACTIONS.items():
        made = actions.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        action = cast(Command, importlib.import_module(module))
        action.add_arguments(made)
        made.set_defaults(act=action.run)


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says, and return the exit code."""
    code: int = arguments.act(arguments)
    return code
