"""The command `cost`: what a network costs on an accelerator, and why."""

import argparse
import json
from collections.abc import Sequence

import msgspec

from modelwright.cli.cells import show_note, show_table
from modelwright.cli.request import add_form, add_networks, add_setting, check_page, made_by, workloads, write_page
from modelwright.hardware.catalogue import platform
from modelwright.hardware.model import check, estimate
from modelwright.records import Estimate, Platform
from modelwright.report.comparison import comparison
from modelwright.report.cost import cost_page
from modelwright.report.layers import layers
from modelwright.report.markup import Data
from modelwright.report.provenance import unknown_operators
from modelwright.report.quantity import quantity, share, significant

PLATFORMS = ("tpu-v3", "v100", "h200")
"""The two accelerators of the EfficientNet-X study, and one of today."""

_EXAMPLES = """examples:
  modelwright cost efficientnet-b0 efficientnet-x-b0 --platform tpu-v3 v100 h200 --batch 128
  modelwright cost mypackage.mymodule:build --input 1x3x224x224 --html page.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare networks, platforms, setting and form."""
    parser.usage = "modelwright cost ARCH [ARCH ...] [--platform NAME ...] [--batch N ...] [options]"
    parser.epilog = _EXAMPLES
    add_networks(parser)
    parser.add_argument(
        "--platform",
        nargs="+",
        action="extend",
        metavar="NAME",
        help=f"platforms, or .toml files that hold one (default: {' '.join(PLATFORMS)})",
    )
    parser.add_argument(
        "--batch", nargs="+", action="extend", type=int, metavar="N", help="samples run at once (default: 1)"
    )
    add_setting(parser)
    parser.add_argument("--layers", action="store_true", help="also the slowest layers; with --json, all kernels")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many layers (default: %(default)s)")
    add_form(parser)


def run(arguments: argparse.Namespace) -> int:
    """Estimate every network on every platform at every batch, and show it."""
    check_page(arguments.html)
    machines = list({found.name: found for found in map(platform, arguments.platform or PLATFORMS)}.values())
    batches = list(dict.fromkeys(arguments.batch or [1]))
    for machine in machines:
        for batch in batches:
            check(machine, batch, arguments.precision or machine.precision)
    setting = {"precision": arguments.precision, "execution": arguments.execution}
    networks = workloads(arguments)
    estimates = [
        estimate(network, machine, batch=batch, **setting)
        for machine in machines
        for batch in batches
        for network in networks
    ]
    if arguments.html:
        _write(arguments, estimates, machines)
    if arguments.json:
        print(json.dumps([_row(found, kernels=arguments.layers) for found in estimates], indent=2))
    else:
        _show(estimates, top=arguments.top if arguments.layers else 0)
    return 0


def _row(found: Estimate, *, kernels: bool) -> dict[str, object]:
    """The record as plain data; its kernels only where they were asked for."""
    row: dict[str, object] = msgspec.to_builtins(found)
    return row if kernels else {key: value for key, value in row.items() if key != "kernels"}


def _write(arguments: argparse.Namespace, estimates: Sequence[Estimate], machines: Sequence[Platform]) -> None:
    given = (
        f"--platform {' '.join(arguments.platform or PLATFORMS)} --batch {' '.join(map(str, arguments.batch or [1]))}"
    )
    write_page(arguments.html, cost_page(estimates, machines, made_by=made_by("cost", arguments, given)))


def _show(estimates: Sequence[Estimate], top: int) -> None:
    show_table(comparison(estimates))
    for found in estimates if top else ():
        print()
        show_table(_layers(found, top), f"{found.architecture} on {found.platform}, batch {found.batch}")
    print()
    show_note("Estimates of the performance model, a whole batch. FLOPs: 2 x multiply-accumulates. bytes: main memory.")
    show_note("efficiency: FLOP/s over what the roofline allows. bound: what most of the time is spent under.")
    for sentence in unknown_operators(estimates):
        show_note(sentence)


def _layers(found: Estimate, top: int) -> Data:
    headings = ("layer", ">time", ">share", "bound", ">kernels", ">FLOPs", ">bytes", ">FLOP/byte")
    slowest = sorted(layers(found), key=lambda layer: -layer.latency_s)[:top]
    rows = tuple(
        (
            *(layer.path, quantity(layer.latency_s, "s"), share(layer.latency_s, found.latency_s)),
            *(f"{layer.bound} {share(layer.bound_s[layer.bound], layer.latency_s)}", str(layer.kernels)),
            *(quantity(layer.flops), quantity(layer.bytes, "B"), significant(layer.intensity)),
        )
        for layer in slowest
    )
    return Data(headings, rows)
