"""Networks on platforms side by side: the table, how much each gets done, and what its time is spent under."""

from collections.abc import Iterable, Mapping, Sequence

from modelwright.records import Estimate, Platform
from modelwright.report.bounds import card, met, tinted, words
from modelwright.report.charts import PERCENT, SHORT, Axis, Card, Series, rows, rows_height
from modelwright.report.markup import Chart, Data
from modelwright.report.quantity import quantity, share, significant

_SERIES = 8


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


def throughput(estimates: Sequence[Estimate]) -> Chart:
    """Samples per second: a group of bars a platform, a bar a network."""
    places = unique(_place(estimate, estimates) for estimate in estimates)
    networks = unique(estimate.architecture for estimate in estimates)
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


def shares(estimates: Sequence[Estimate], known: Mapping[str, Platform]) -> Chart:
    """What each network's time is spent under, in shares of it.

    Args:
        estimates: a bar each.
        known: their platforms by name.
    """
    spent = [tinted(e.bound_s, known[e.platform]) for e in estimates]
    tints = met((e.bound_s, known[e.platform]) for e in estimates)
    bars = [f"{e.architecture}\n{_place(e, estimates)}" for e in estimates]
    cards = tuple(card(bar.replace("\n", " on "), e.bound_s) for bar, e in zip(bars, estimates, strict=True))
    series = [
        Series(
            bounds, tint, tuple(held[tint] / sum(held.values()) if held.get(tint) else None for held in spent), cards
        )
        for tint, bounds in tints.items()
    ]
    option = rows(bars, series, Axis("share of the time", PERCENT, maximum=1.0), stacked=True)
    data = tuple(
        (e.architecture, _place(e, estimates), *(share(held.get(tint, 0.0), e.latency_s) for tint in tints))
        for e, held in zip(estimates, spent, strict=True)
    )
    headings = ("network", "platform", *(f">{bounds}" for bounds in tints.values()))
    return Chart("What the time is spent under", option, Data(headings, data), rows_height(len(bars), 38))


def unique(names: Iterable[str]) -> list[str]:
    """The names, each once, in the order in which they first come."""
    return list(dict.fromkeys(names))


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
