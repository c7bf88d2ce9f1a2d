"""The page of `modelwright cost`: networks on platforms, compared, and why each takes the time it takes."""

from collections.abc import Iterable, Mapping, Sequence

from modelwright.records import Estimate, Platform
from modelwright.report.bounds import colour, key, met, order, words
from modelwright.report.charts import PERCENT, SECONDS, SHORT, Axis, Card, Series, rows, rows_height
from modelwright.report.layers import Layer, layers, legible_depth
from modelwright.report.markup import Chart, Data, details, figure, grid, paragraph, section, table
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
_SERIES = 8


def cost_page(estimates: Sequence[Estimate], platforms: Sequence[Platform], *, made_by: str = "") -> str:
    """One HTML file that shows what networks cost on platforms.

    Args:
        estimates: with their kernels; at least one.
        platforms: all that the estimates were made for.
        made_by: the program and the command line, for the foot of the page.
    """
    known = {platform.name: platform for platform in platforms}
    networks = _unique(estimate.architecture for estimate in estimates)
    machines = [known[name].title for name in _unique(estimate.platform for estimate in estimates)]
    drawn = estimates[:MOST_DRAWN]
    return page(
        f"What {_listed(networks)} {'costs' if len(networks) == 1 else 'cost'}",
        f"Inference on {_listed(machines)}. Estimates, not measurements.",
        [
            section(
                "Comparison",
                table(comparison(estimates)),
                paragraph(_COLUMNS, "note"),
                grid([figure(_throughput(estimates)), figure(_shares(estimates, known))]),
            ),
            _rooflines(drawn, known),
            _depth(drawn, known),
            _slowest(drawn),
        ],
        provenance([known[name] for name in _unique(e.platform for e in estimates)], estimates),
        made_by=made_by,
    )


def comparison(estimates: Sequence[Estimate]) -> Data:
    """One row an estimate, in words."""
    headings = ("network", "platform", ">batch", "run in", ">latency", ">samples/s", ">params", ">FLOPs",
                ">bytes", ">FLOP/byte", ">efficiency", ">memory", ">energy", "bound")  # fmt: skip
    found = tuple(
        (
            *(e.architecture, e.platform, str(e.batch), f"{e.precision} {e.execution}"),
            *(quantity(e.latency_s, "s"), quantity(e.throughput_per_s), quantity(e.params), quantity(e.flops)),
            *(quantity(e.bytes, "B"), significant(e.intensity), share(e.efficiency, 1.0)),
            *(quantity(e.peak_memory_bytes, "B"), "" if e.energy_j is None else quantity(e.energy_j, "J")),
            f"{e.bound} {share(e.bound_s.get(e.bound, 0.0), e.latency_s)}",
        )
        for e in estimates
    )
    return Data(headings, found)


def bound_card(heading: str, bound_s: Mapping[str, float], chosen: str, whole: float) -> Card:
    """What pointing at one bound's part of a bar shows."""
    rest = tuple((words(name), quantity(value, "s")) for name, value in bound_s.items() if name != chosen and value > 0)
    part = bound_s.get(chosen, 0.0)
    return (
        heading,
        (f"{words(chosen)} ({share(part, whole)})", quantity(part, "s")),
        *rest,
        ("all", quantity(whole, "s")),
    )


def _throughput(estimates: Sequence[Estimate]) -> Chart:
    places = _unique(_place(estimate, estimates) for estimate in estimates)
    networks = _unique(estimate.architecture for estimate in estimates)
    at = {(e.architecture, _place(e, estimates)): e for e in estimates}
    series = []
    for number, network in enumerate(networks):
        found = [at.get((network, place)) for place in places]
        series.append(
            Series(
                name=network,
                colour=f"var(--series-{number % _SERIES + 1})",
                values=tuple(e.throughput_per_s if e else None for e in found),
                cards=tuple(_summary(e) if e else () for e in found),
                labels=tuple(quantity(e.throughput_per_s) if e else "" for e in found),
            )
        )
    option = rows(places, series, Axis("samples per second", SHORT), stacked=False)
    data = tuple((e.architecture, _place(e, estimates), quantity(e.throughput_per_s)) for e in estimates)
    headings = ("network", "platform", ">samples/s")
    return Chart("Throughput", option, Data(headings, data), rows_height(len(places), 14 + 19 * len(networks)))


def _shares(estimates: Sequence[Estimate], known: Mapping[str, Platform]) -> Chart:
    found = met(known.values(), [e.bound_s for e in estimates])
    bars = [f"{e.architecture}\n{_place(e, estimates)}" for e in estimates]
    series = [
        Series(
            name=bound,
            colour=tint,
            values=tuple(e.bound_s.get(bound, 0.0) / e.latency_s or None for e in estimates),
            cards=tuple(
                bound_card(bar.replace("\n", " on "), e.bound_s, bound, e.latency_s)
                for bar, e in zip(bars, estimates, strict=True)
            ),
        )
        for bound, tint in found.items()
    ]
    option = rows(bars, series, Axis("share of the time", PERCENT, maximum=1.0), stacked=True)
    data = tuple(
        (e.architecture, _place(e, estimates), *(share(e.bound_s.get(bound, 0.0), e.latency_s) for bound in found))
        for e in estimates
    )
    headings = ("network", "platform", *(f">{bound}" for bound in found))
    return Chart("What the time is spent under", option, Data(headings, data), rows_height(len(bars), 38))


def _rooflines(estimates: Sequence[Estimate], known: Mapping[str, Platform]) -> str:
    settings: dict[tuple[str, int, str], list[Estimate]] = {}
    for estimate in estimates:
        settings.setdefault((estimate.platform, estimate.batch, estimate.precision), []).append(estimate)
    figures = [figure(roofline(found, known[name])) for (name, *_), found in settings.items()]
    intro = (
        "Each point is a kernel: an operator with what is fused into it. Its size is its share of the network's time, "
        "its colour what bounds it, its shape the network. No kernel can rise above the ceilings, which are the "
        "platform's published peaks; how far below one it stays is what shape, traffic and overhead cost it."
    )
    colours = met([known[e.platform] for e in estimates], [e.bound_s for e in estimates])
    return section("Roofline", key(colours), grid(figures), intro=intro)


def _depth(estimates: Sequence[Estimate], known: Mapping[str, Platform]) -> str:
    depth = legible_depth(estimates)
    found = [layers(estimate, depth) for estimate in estimates]
    longest: dict[tuple[str, int], float] = {}
    for estimate, parts in zip(estimates, found, strict=True):
        place = (estimate.platform, estimate.batch)
        longest[place] = max(longest.get(place, 0.0), *(part.latency_s for part in parts))
    figures = [
        figure(_layer_bars(estimate, parts, known[estimate.platform], longest[estimate.platform, estimate.batch]))
        for estimate, parts in zip(estimates, found, strict=True)
    ]
    intro = "The time of each layer from the first to the last, by what its kernels are bound by. One scale a platform."
    colours = met([known[e.platform] for e in estimates], [e.bound_s for e in estimates])
    return section("Along the depth", key(colours), grid(figures), intro=intro)


def _layer_bars(estimate: Estimate, parts: Sequence[Layer], platform: Platform, longest: float) -> Chart:
    bounds = [name for name in order(platform) if any(part.bound_s.get(name) for part in parts)]
    series = [
        Series(
            name=name,
            colour=colour(name, platform),
            values=tuple(part.bound_s.get(name) for part in parts),
            cards=tuple(bound_card(part.path, part.bound_s, name, part.latency_s) for part in parts),
        )
        for name in bounds
    ]
    axis = Axis("time", SECONDS, maximum=longest * 1.02, to_the_end=False)
    option = rows([part.path for part in parts], series, axis, stacked=True, tight=True)
    data = tuple(
        (part.path, quantity(part.latency_s, "s"), *(quantity(part.bound_s.get(name, 0.0), "s") for name in bounds))
        for part in parts
    )
    title = f"{estimate.architecture} on {platform.title}"
    note = f"{quantity(estimate.latency_s, 's')} for a batch of {estimate.batch}, {estimate.precision}"
    headings = ("layer", ">time", *(f">{name}" for name in bounds))
    return Chart(title, option, Data(headings, data), rows_height(len(parts), 17) - 22, note)


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


def _summary(estimate: Estimate) -> Card:
    return (
        f"{estimate.architecture} on {estimate.platform}",
        ("samples/s", quantity(estimate.throughput_per_s)),
        ("latency", quantity(estimate.latency_s, "s")),
        ("batch", str(estimate.batch)),
        ("bound", words(estimate.bound)),
        ("efficiency", share(estimate.efficiency, 1.0)),
    )


def _place(estimate: Estimate, among: Sequence[Estimate]) -> str:
    """The platform, with the batch where there are several."""
    several = len({other.batch for other in among}) > 1
    return f"{estimate.platform}, batch {estimate.batch}" if several else estimate.platform


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _listed(names: Sequence[str]) -> str:
    """One name, two joined by "and", three with a comma; of many the first three and a count."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
