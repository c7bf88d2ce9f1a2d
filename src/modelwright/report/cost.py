"""The page of `modelwright cost`: networks on platforms, compared, and why each takes the time it takes."""

from collections.abc import Mapping, Sequence

from modelwright.records import Estimate, Platform
from modelwright.report.bounds import key, met
from modelwright.report.comparison import comparison, shares, throughput, unique
from modelwright.report.depth import depth_charts
from modelwright.report.markup import Data, details, figure, grid, paragraph, section, table
from modelwright.report.page import page
from modelwright.report.provenance import provenance
from modelwright.report.quantity import quantity, share, significant
from modelwright.report.roofline import roofline

MOST_DRAWN = 24
"""So many estimates get figures of their own; the others stand in the comparison alone."""

SLOWEST = 10

_COLUMNS = (
    "Latency, FLOPs, bytes and energy are those of a whole batch. FLOPs are twice the multiply-accumulates of "
    "convolutions, matrix products and attention; bytes go to and from main memory. Efficiency is the FLOP/s reached "
    "over what the roofline allows at that FLOP/byte. Memory holds the weights and the largest activations alive "
    "together. Energy is the board's power limit times the time where no more is published."
)


def cost_page(estimates: Sequence[Estimate], platforms: Sequence[Platform], *, made_by: str = "") -> str:
    """One HTML file that shows what networks cost on platforms.

    Args:
        estimates: with their kernels; at least one.
        platforms: all that the estimates were made for.
        made_by: the program and the command line, for the foot of the page.
    """
    known = {platform.name: platform for platform in platforms}
    networks = unique(estimate.architecture for estimate in estimates)
    machines = [known[name].title for name in unique(estimate.platform for estimate in estimates)]
    drawn = estimates[:MOST_DRAWN]
    return page(
        f"What {_listed(networks)} {'costs' if len(networks) == 1 else 'cost'}",
        f"Inference on {_listed(machines)}. Estimates, not measurements.",
        [
            section(
                "Comparison",
                table(comparison(estimates)),
                paragraph(_COLUMNS, "note"),
                grid([figure(throughput(estimates)), figure(shares(estimates, known))]),
                _left_out(len(estimates) - len(drawn)),
            ),
            _rooflines(drawn, known),
            _depth(drawn, known),
            _slowest(drawn),
        ],
        provenance([known[name] for name in unique(e.platform for e in estimates)], estimates),
        made_by=made_by,
    )


def _left_out(rows: int) -> str:
    sentence = (
        f"What follows shows the first {MOST_DRAWN} rows of the table; the other {rows} would make the page too long."
    )
    return paragraph(sentence, "note") if rows > 0 else ""


def _rooflines(estimates: Sequence[Estimate], known: Mapping[str, Platform]) -> str:
    settings: dict[tuple[str, int, str], list[Estimate]] = {}
    for estimate in estimates:
        settings.setdefault((estimate.platform, estimate.batch, estimate.precision), []).append(estimate)
    figures = [figure(roofline(found, known[name])) for (name, *_), found in settings.items()]
    intro = (
        "Each point is a kernel: an operator with what is fused into it. Its size is its share of the network's time, "
        "its colour what bounds it, its shape the network. Its FLOPs are those of its matrix products, or of its "
        "vector work where it has none. The ceilings are the platform's published peaks; how far below them a kernel "
        "stays is what shape, traffic and overhead cost it. Only causal attention may stand above: its FLOPs are "
        "counted whole, and half of them are skipped."
    )
    return section("Roofline", _key(estimates, known), grid(figures), intro=intro)


def _depth(estimates: Sequence[Estimate], known: Mapping[str, Platform]) -> str:
    intro = (
        "The time of each layer from the first to the last, by what its kernels are bound by. Networks of like size on "
        "one platform share a scale."
    )
    figures = [figure(chart) for chart in depth_charts(estimates, known)]
    return section("Along the depth", _key(estimates, known), grid(figures), intro=intro)


def _key(estimates: Sequence[Estimate], known: Mapping[str, Platform]) -> str:
    return key(met((estimate.bound_s, known[estimate.platform]) for estimate in estimates))


def _slowest(estimates: Sequence[Estimate]) -> str:
    headings = ("kernel", "kind", "bound", ">time", ">share", ">FLOPs", ">bytes", ">FLOP/byte", "precision")
    blocks = []
    for estimate in estimates:
        slow = sorted(estimate.kernels, key=lambda kernel: -kernel.latency_s)[:SLOWEST]
        found = tuple(
            (
                *(k.name, k.kind, k.bound, quantity(k.latency_s, "s"), share(k.latency_s, estimate.latency_s)),
                *(quantity(k.flops), quantity(k.bytes, "B")),
                *(significant(k.flops / k.bytes) if k.bytes else "∞", k.precision),
            )
            for k in slow
        )
        name = f"{estimate.architecture} on {estimate.platform}, batch {estimate.batch}"
        blocks.append(details(name, table(Data(headings, found))))
    intro = f"The {SLOWEST} kernels that take longest, of each network on each platform."
    return section("Slowest kernels", *blocks, intro=intro)


def _listed(names: Sequence[str]) -> str:
    """One name, two joined by "and", three with a comma; of many the first three and a count."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
