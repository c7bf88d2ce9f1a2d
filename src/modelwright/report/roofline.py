"""The roofline: kernels as points under the ceilings of a platform (Williams, Waterman and Patterson, CACM 2009)."""

import itertools
import math
from collections.abc import Sequence

from modelwright.hardware.model import peak_rate
from modelwright.hardware.precision import matrix_precision
from modelwright.records import Estimate, KernelEstimate, Platform
from modelwright.report.bounds import colour, words
from modelwright.report.charts import KEY, PLAIN, SHORT, Axis, Card, Option, base, number_axis
from modelwright.report.markup import Chart, Data
from modelwright.report.quantity import quantity, share, significant

DRAWN = 0.99
"""Of an estimate's time: the slowest kernels that make it up are drawn, the many quick ones are not."""

MOST_POINTS = 400
"""Of one estimate."""

_SYMBOLS = ("circle", "triangle", "diamond", "rect", "pin", "arrow", "roundRect")
_DEEP = 1e-5  # of the ridge or the peak: points lower than this are drawn at the edge


def roofline(estimates: Sequence[Estimate], platform: Platform) -> Chart:
    """The kernels of estimates that share one platform, batch and precision.

    Args:
        estimates: with their kernels; each gets a symbol of its own.
        platform: that they were made for.
    """
    first = estimates[0]
    peak = peak_rate(platform, first.precision)
    bandwidth = platform.main_memory.bandwidth
    drawn = [_points(estimate) for estimate in estimates]
    area = _area([kernel for kernels in drawn for kernel in kernels], peak, peak / bandwidth)
    option = {
        **base(),
        "legend": {
            **KEY,
            "data": [{"name": e.architecture, "icon": _symbol(i)} for i, e in enumerate(estimates)],
            "itemStyle": {"color": "var(--muted)"},
            "itemWidth": 12,
            "itemHeight": 12,
        },
        "grid": {"left": 66, "right": 18, "top": 40, "bottom": 46},
        "xAxis": _log(Axis("FLOP per byte of main memory", PLAIN), area[:2], across=True),
        "yAxis": _log(Axis("FLOP/s", SHORT), area[2:], across=False),
        "series": [
            *_ceilings(platform, first, area),
            *(
                _scatter(estimate, kernels, platform, (_symbol(i), area))
                for i, (estimate, kernels) in enumerate(zip(estimates, drawn, strict=True))
            ),
        ],
    }
    title = f"{platform.title}, batch {first.batch}, {first.precision}"
    return Chart(title, option, _data(estimates, drawn), height=400, note=_note(estimates, drawn))


def _points(estimate: Estimate) -> list[KernelEstimate]:
    """The kernels that are drawn, the slowest first."""
    slowest = sorted(estimate.kernels, key=lambda kernel: -kernel.latency_s)[:MOST_POINTS]
    before = itertools.accumulate((kernel.latency_s for kernel in slowest), initial=0.0)
    enough = DRAWN * estimate.latency_s
    return [kernel for kernel, spent in zip(slowest, before, strict=False) if spent < enough and _work(kernel) > 0]


def _work(kernel: KernelEstimate) -> float:
    """FLOPs of its matrix products; of its vector work where it has none."""
    return kernel.flops or kernel.vector_flops


def _intensity(kernel: KernelEstimate) -> float:
    return _work(kernel) / kernel.bytes if kernel.bytes else math.inf


def _area(kernels: Sequence[KernelEstimate], peak: float, ridge: float) -> tuple[float, float, float, float]:
    """Whole decades around the ridge and the points: least and most intensity, least and most FLOP/s."""
    places = [_intensity(k) for k in kernels if k.bytes]
    rates = [_work(k) / k.latency_s for k in kernels]
    least, most = min([*places, ridge / 10]), max([*places, ridge * 10])
    return (
        10.0 ** math.floor(math.log10(max(least, ridge * _DEEP))),
        10.0 ** math.ceil(math.log10(min(most, ridge * 30))),
        10.0 ** math.floor(math.log10(max(min([*rates, peak / 100]), peak * _DEEP))),
        10.0 ** math.ceil(math.log10(peak * 1.5)),
    )


def _log(axis: Axis, ends: Sequence[float], *, across: bool) -> Option:
    return {**number_axis(axis, across=across, logarithmic=True), "min": ends[0], "max": ends[1]}


def _ceilings(platform: Platform, estimate: Estimate, area: tuple[float, float, float, float]) -> list[Option]:
    left, right, bottom, _ = area
    peak, bandwidth = peak_rate(platform, estimate.precision), platform.main_memory.bandwidth
    vector, ridge = platform.vector.peak["fp32"], peak / bandwidth
    start = max(left, bottom / bandwidth)
    middle = math.sqrt(start * ridge)
    roof = [
        _corner((start, start * bandwidth)),
        _corner((middle, middle * bandwidth), f"{platform.main_memory.name} {quantity(bandwidth, 'B/s')}", (-6, -4)),
        _corner((ridge, peak)),
        _corner((right, peak), f"{matrix_precision(estimate.precision)} peak {quantity(peak, 'FLOP/s')}"),
    ]
    if vector >= peak:
        return [_line(roof, "solid")]
    flat = [_corner((vector / bandwidth, vector)), _corner((right, vector), f"vector {quantity(vector, 'FLOP/s')}")]
    return [_line(roof, "solid"), _line(flat, "dashed")]


def _line(corners: Sequence[Option], dash: str) -> Option:
    return {
        "type": "line",
        "silent": True,
        "z": 4,
        "lineStyle": {"color": "var(--muted)", "width": 1.5, "type": dash},
        "itemStyle": {"color": "var(--muted)"},
        "data": list(corners),
    }


def _corner(place: tuple[float, float], name: str = "", offset: tuple[float, float] = (0, -9)) -> Option:
    label = {
        "show": bool(name),
        "formatter": {"$text": "label"},
        "position": "left",
        "offset": offset,
        "color": "var(--muted)",
        "fontSize": 11,
        "textBorderColor": "var(--card)",
        "textBorderWidth": 3,
    }
    return {"value": place, "text": name, "symbolSize": 0.01, "label": label}


def _symbol(number: int) -> str:
    return _SYMBOLS[number % len(_SYMBOLS)]


def _scatter(
    estimate: Estimate,
    kernels: Sequence[KernelEstimate],
    platform: Platform,
    drawing: tuple[str, tuple[float, float, float, float]],
) -> Option:
    symbol, (left, right, bottom, top) = drawing
    data = []
    for kernel in kernels:
        place = [min(max(_intensity(kernel), left), right), min(max(_work(kernel) / kernel.latency_s, bottom), top)]
        size = 6 + 30 * math.sqrt(kernel.latency_s / estimate.latency_s)
        drawn = {"value": place, "symbolSize": round(min(size, 28), 1), "card": _card(estimate, kernel)}
        data.append({**drawn, "itemStyle": {"color": colour(kernel.bound, platform)}})
    return {
        "type": "scatter",
        "name": estimate.architecture,
        "symbol": symbol,
        "z": 3,
        "itemStyle": {"opacity": 0.72, "borderColor": "var(--card)", "borderWidth": 0.8},
        "data": data,
    }


def _card(estimate: Estimate, kernel: KernelEstimate) -> Card:
    return (
        kernel.name,
        ("network", estimate.architecture),
        ("time", f"{quantity(kernel.latency_s, 's')}, {share(kernel.latency_s, estimate.latency_s)}"),
        ("bound", words(kernel.bound)),
        ("reached", quantity(_work(kernel) / kernel.latency_s, "FLOP/s")),
        ("intensity", f"{significant(_intensity(kernel))} FLOP/B" if kernel.bytes else "nothing in main memory"),
    )


def _data(estimates: Sequence[Estimate], drawn: Sequence[Sequence[KernelEstimate]]) -> Data:
    headings = ("kernel", "network", "bound", ">time", ">FLOP/byte", ">FLOP/s")
    rows = [
        (
            *(kernel.name, estimate.architecture, kernel.bound, quantity(kernel.latency_s, "s")),
            significant(_intensity(kernel)) if kernel.bytes else "∞",
            quantity(_work(kernel) / kernel.latency_s),
        )
        for estimate, kernels in zip(estimates, drawn, strict=True)
        for kernel in kernels[:100]
    ]
    return Data(headings, tuple(rows))


def _note(estimates: Sequence[Estimate], drawn: Sequence[Sequence[KernelEstimate]]) -> str:
    """What the drawing moves or leaves out, if anything."""
    inside = sum(not kernel.bytes for kernels in drawn for kernel in kernels)
    left_out = sum(len(e.kernels) - len(kernels) for e, kernels in zip(estimates, drawn, strict=True))
    whole = sum(estimate.latency_s for estimate in estimates)
    rest = whole - sum(kernel.latency_s for kernels in drawn for kernel in kernels)
    parts = []
    if inside:
        parts.append(f"At the right edge: {inside} kernels that find all their data in nearer memory.")
    if left_out:
        parts.append(f"Left out: {left_out} quick kernels or without arithmetic, {share(rest, whole)} of the time.")
    return " ".join(parts)
