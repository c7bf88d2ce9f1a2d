"""The page of `modelwright whatif`: what a changed chip would give."""

import math
from collections.abc import Iterator, Sequence

from modelwright.records import Platform
from modelwright.records.sweep import Sweep, Variant
from modelwright.report.bounds import card, met, tinted, words
from modelwright.report.charts import SECONDS, Axis, Card, Cell, Series, heat_map, rows, rows_height
from modelwright.report.markup import Chart, Data, details, figure, grid, section, table
from modelwright.report.page import page
from modelwright.report.provenance import provenance
from modelwright.report.quantity import quantity, ratio, share


def whatif_page(sweeps: Sequence[Sweep], platform: Platform, *, made_by: str = "") -> str:
    """One HTML file that shows what changes to a platform would give.

    Args:
        sweeps: one a network, all of this platform, with the same changes and knobs.
        platform: as it is, without the changes.
        made_by: the program and the command line, for the foot of the page.
    """
    first = sweeps[0]
    keys = [*first.changes, *first.knobs]
    given = ", ".join([*(f"{name} {change}" for name, change in first.changes.items()), *first.knobs])
    whole = table(outcome(sweeps))
    if len(first.knobs) == 2:
        drawn = section("The grid", grid([figure(grid_map(sweep)) for sweep in sweeps]), intro=_GRID)
        whole = details(f"All {sum(len(sweep.variants) for sweep in sweeps)} variants", whole)
    else:
        drawn = section("Where the time goes", grid([figure(bars(sweep, platform)) for sweep in sweeps]), intro=_BARS)
    return page(
        f"What {' and '.join(f'another {name}' for name in keys)} would give on {platform.title}",
        f"{platform.name} with other {given}; batch {first.batch}, {first.precision}. Estimates, not measurements.",
        [drawn, section("Outcome", whole)],
        provenance([platform], sweeps),
        made_by=made_by,
    )


_BARS = (
    "A bar is the time of one batch, parted by what its kernels are bound by. Where a change makes one resource "
    "faster, its part shrinks until another resource takes over."
)
_GRID = (
    "A cell is one variant of the platform: how many times faster the batch is done than on the platform as it is, and "
    "the resource under which most of the time is spent there. Blue is faster, orange slower."
)


def outcome(sweeps: Sequence[Sweep]) -> Data:
    """One row a variant, in words, after a row for the platform as it is."""
    several = sweeps[0].baseline.energy_j is not None
    headings = ("network", "change", ">latency", ">samples/s", ">speed-up", *((">energy",) if several else ()), "bound")
    return Data(headings, tuple(_rows(sweeps, several)))


def _rows(sweeps: Sequence[Sweep], energy: bool) -> Iterator[tuple[str, ...]]:
    for sweep in sweeps:
        for variant in (sweep.baseline, *sweep.variants):
            joules = "" if variant.energy_j is None else quantity(variant.energy_j, "J")
            yield (
                *(sweep.architecture, described(variant)),
                *(quantity(variant.latency_s, "s"), quantity(variant.throughput_per_s), ratio(variant.speedup)),
                *((joules,) if energy else ()),
                f"{variant.bound} {share(variant.bound_s.get(variant.bound, 0.0), variant.latency_s)}",
            )


def described(variant: Variant) -> str:
    """What was changed, as it was written."""
    return ", ".join(f"{name} {change}" for name, change in variant.changes.items()) or "as it is"


def bars(sweep: Sweep, platform: Platform) -> Chart:
    """One bar a variant, parted by bounds; the platform as it is comes first."""
    variants = (sweep.baseline, *sweep.variants)
    names = ["as it is", *(", ".join(_moved(sweep, variant)) for variant in sweep.variants)]
    tints = met((variant.bound_s, platform) for variant in variants)
    spent = [tinted(variant.bound_s, platform) for variant in variants]
    cards = tuple(_card(name, variant) for name, variant in zip(names, variants, strict=True))
    series = [Series(bound, tint, tuple(one.get(tint) for one in spent), cards) for tint, bound in tints.items()]
    option = rows(names, series, Axis("time of a batch", SECONDS), stacked=True)
    headings = ("change", ">time", ">speed-up", *(f">{bounds}" for bounds in tints.values()))
    data = tuple(
        (
            *(name, quantity(variant.latency_s, "s"), ratio(variant.speedup)),
            *(quantity(one.get(tint, 0.0), "s") for tint in tints),
        )
        for name, variant, one in zip(names, variants, spent, strict=True)
    )
    best = max(sweep.variants, key=lambda variant: variant.speedup)
    note = f"{_before(sweep)}; {ratio(best.speedup)} as fast at best."
    return Chart(sweep.architecture, option, Data(headings, data), rows_height(len(names), 34), note)


def grid_map(sweep: Sweep) -> Chart:
    """Two knobs: a cell a variant, coloured by how many times faster it is."""
    (across, columns), (up, lines) = sweep.knobs.items()
    cells, data = [], []
    for column, first in enumerate(columns):
        for row, second in enumerate(lines):
            variant = sweep.at(first, second)
            text = f"{ratio(variant.speedup)}\n{variant.bound}"
            name = f"{across} {first}, {up} {second}"
            cells.append(Cell(column, row, math.log2(variant.speedup), text, _card(name, variant)))
            data.append((first, second, quantity(variant.latency_s, "s"), ratio(variant.speedup), variant.bound))
    option = heat_map((across, columns), (up, lines), cells)
    headings = (across, up, ">time", ">speed-up", "bound")
    height = 110 + 52 * len(lines)
    return Chart(sweep.architecture, option, Data(headings, tuple(data)), height, f"{_before(sweep)}.")


def _before(sweep: Sweep) -> str:
    spent = quantity(sweep.baseline.latency_s, "s")
    return f"{spent} for a batch of {sweep.batch} as it is, mostly under {words(sweep.baseline.bound)}"


def _moved(sweep: Sweep, variant: Variant) -> Iterator[str]:
    """What sets a variant apart from the others of its sweep; all changes where it is the only one."""
    for name, change in variant.changes.items():
        if name in sweep.knobs or not sweep.knobs:
            yield f"{name} {change}"


def _card(name: str, variant: Variant) -> Card:
    gained = (("speed-up", ratio(variant.speedup)), ("samples/s", quantity(variant.throughput_per_s)))
    return card(name, variant.bound_s, *gained)
