"""The page of a quantization: what was tried and what it costs, which layers suffer, and what the kernels really do."""

from collections.abc import Callable, Iterator, Sequence

from modelwright.records import QuantizationFindings, QuantizedCandidate, Scheme, to_toml
from modelwright.report.decibels import Number, decibels, finite, points, shortened
from modelwright.report.histograms import WORST, by_noise, histogram_charts, layers_table
from modelwright.report.kernels import float_table, kernels_table, kernels_words
from modelwright.report.markup import Chart, Data, bullets, details, escape, figure, grid, paragraph, section, table
from modelwright.report.origin import device
from modelwright.report.outline import sketch
from modelwright.report.page import page
from modelwright.report.quantity import duration, many, percent, quantity, ratio
from modelwright.report.sensitivity import apart, cumulative_chart, drop_chart, reference, sensitivity_chart, sets_table
from modelwright.report.tradeoff import accuracy_chart, size_chart

MOST_ROWS = 30
"""Longer tables are folded away."""
_COLUMNS = (
    "Latency is the median of a whole batch; spread is its interquartile range over it. Drop is the accuracy of the "
    "float network minus the candidate's, in points, with its 95 % interval from paired bootstrap: where that holds 0, "
    "these samples show no difference. SQNR is the signal to quantization noise of the logits. Integer is the share of "
    "convolutions and products that ran in whole numbers."
)
_METHOD = (
    "Ranges were found on the samples that calibrate, accuracy and noise on those that judge; each latency is the "
    "median over repetitions in which all candidates took turns on the machine named below. Noise and accuracy of "
    "single layers come from the network with quantization simulated in those layers only; latency and the kernels "
    "come from the finished artifact."
)
_SETS = (
    "The noise of unrelated errors adds up. A ratio well above 1 means that the layers make each other worse, one well "
    "below 1 that their errors cancel in part."
)
_SKETCHES = "Filled in float, a line after quantization; the vertical is logarithmic."


def quantize_page(findings: QuantizationFindings, *, made_by: str = "") -> str:
    """One HTML file that shows what was tried, what was chosen and why, and what it does to each layer.

    Args:
        findings: of a quantization that has ended, with or without success.
        made_by: the program and the command line, for the foot of the page.
    """
    return page(
        f"{findings.model}, quantized for {findings.target}",
        findings.verdict or "No verdict was reached.",
        [
            _candidates(findings),
            _sensitivities(findings),
            _layers(findings),
            _kernels(findings),
            _recipe(findings),
        ],
        _origin(findings),
        made_by=made_by,
    )


def quantize_table(findings: QuantizationFindings) -> Data:
    """One row a candidate, in the order in which they were tried; "-" is not known, and a failure has its reason."""
    headings = ("candidate", ">accuracy", ">drop, points", ">latency", ">spread", ">as fast as fp32", ">SQNR",
                ">integer", ">size", "outcome")  # fmt: skip
    base = reference(findings.candidates)
    return Data(headings, tuple(_row(one, base) for one in findings.candidates))


def _row(one: QuantizedCandidate, base: QuantizedCandidate | None) -> tuple[str, ...]:
    seconds = finite(one.latency_s)
    outcome = " ".join(part for part in (one.state if one.state == "failed" else "", "chosen" if one.chosen else "")
                       if part)  # fmt: skip
    first = finite(base.latency_s) if base else None
    faster = first / seconds if first and seconds else None
    return (
        one.name,
        *(_told(value, percent) for value in (one.accuracy,)),
        points(one.drop, one.drop_interval) or "-",
        *(_told(seconds, lambda value: quantity(value, "s")), _told(seconds and one.spread, percent)),
        *(_told(faster, ratio), decibels(one.sqnr_db) or "-", _told(one.integer_share, percent)),
        _told(one.size_bytes, lambda value: quantity(value, "B")),
        f"{outcome}: {one.reason or 'no reason was recorded'}" if one.state == "failed" else outcome,
    )


def made_table(candidates: Sequence[QuantizedCandidate]) -> Data:
    """How each candidate was made: a row a candidate."""
    headings = ("candidate", "kind", "weights", "activations", "calibration", "floats", "techniques",
                ">other layers", ">took")  # fmt: skip
    return Data(headings, tuple(_made(one) for one in candidates))


def _made(one: QuantizedCandidate) -> tuple[str, ...]:
    recipe = one.recipe
    whole, ranged = recipe.kind != "float", recipe.kind in ("static", "qat")
    return (
        *(one.name, recipe.kind, _scheme(recipe.weights) if whole else ""),
        _scheme(recipe.activations) if whole and recipe.kind != "weight-only" else "",
        *(recipe.calibration if ranged else "", recipe.floats, ", ".join(recipe.techniques)),
        *(str(len(recipe.layers)) if recipe.layers else "", duration(one.seconds)),
    )


def _scheme(found: Scheme) -> str:
    group = f" of {found.group}" if found.granularity == "group" else ""
    numbers = f"{'' if found.signed else 'u'}int{found.bits}"
    return f"{numbers}, {'symmetric' if found.symmetric else 'affine'}, by {found.granularity}{group}"


def _told(value: Number, words: Callable[[float], str]) -> str:
    known = finite(value)
    return "-" if known is None else words(known)


def _candidates(findings: QuantizationFindings) -> str:
    tried = findings.candidates
    if not tried:
        return section("Candidates", _notes(findings), paragraph("No candidate was tried."))
    data = quantize_table(findings)
    finished = sum(one.state == "finished" for one in tried)
    intro = (
        f"{many(len(tried), 'candidate')}, {finished} finished; batch {findings.batch}. Up to "
        f"{points(findings.max_drop)} points of accuracy could be given up."
    )
    charts = [figure(chart) for chart in (accuracy_chart(findings), size_chart(findings)) if chart]
    return section(
        "Candidates",
        table(Data((*data.headings[:-1], f"~{data.headings[-1]}"), data.rows)),
        paragraph(_COLUMNS, "note"),
        _notes(findings),
        "" if any(one.chosen for one in tried) else paragraph("None of them was chosen."),
        grid(charts),
        details("How each was made", table(made_table(tried))),
        intro=intro,
    )


def _notes(findings: QuantizationFindings) -> str:
    """What the reader must know; notes name layers, whose names may be longer than a line."""
    notes = [*findings.notes, *(f"{one.name}: {note}" for one in findings.candidates for note in one.notes)]
    return f'<div style="overflow-wrap:anywhere">{bullets(notes, "note")}</div>\n' if notes else ""


def _sensitivities(findings: QuantizationFindings) -> str:
    if not findings.sensitivities:
        return ""
    parts = apart(findings.sensitivities)
    found: list[Chart | None] = [sensitivity_chart(findings), drop_chart(findings)]
    together = sets_table(findings)
    intro = (
        "Only the layers named are quantized, all others stay in float. A low SQNR is much noise: the layers on top "
        "are the first to try in float where too much accuracy is lost; what that costs in speed, a candidate tells."
    )
    return section(
        "Sensitivity",
        grid([figure(chart) for chart in found if chart]),
        grid([figure(chart) for chart in (cumulative_chart(findings, parts.growing),) if chart]),
        *(_folding("Layers together", together, _SETS) if together.rows else ()),
        intro=intro,
    )


def _folding(title: str, data: Data, note: str = "") -> Iterator[str]:
    """A table under a title, to be opened where it is long."""
    told = (paragraph(note, "note"),) if note else ()
    if len(data.rows) > MOST_ROWS:
        yield details(f"{title}: {len(data.rows)}", table(data), *told)
    else:
        yield f'<h3 style="margin:1.25rem 0 .5rem">{escape(title)}</h3>\n{table(data)}{"".join(told)}'


def _layers(findings: QuantizationFindings) -> str:
    if not findings.layers:
        return ""
    ranked = by_noise(findings.layers)
    shown, rest = ranked[:WORST], ranked[WORST:]
    which = f"The {WORST} layers with the lowest SQNR" if rest else "All layers, the lowest SQNR first"
    sketches = "".join(sketch(layer) for layer in rest)
    return section(
        "Weights and inputs",
        *(grid([figure(chart) for chart in histogram_charts(layer)]) for layer in shown),
        details(f"The other layers, as small drawings: {len(rest)}", paragraph(_SKETCHES, "note"), grid([sketches]))
        if sketches
        else "",
        *_folding("All layers", layers_table(findings)),
        intro=f"{which}, in float and as they are after quantization.",
    )


def _kernels(findings: QuantizationFindings) -> str:
    if not findings.kernels:
        return ""
    floats = float_table(findings.kernels)
    return section(
        "Kernels that ran",
        table(kernels_table(findings.kernels)),
        *(_folding("Convolutions and products in float", floats) if floats.rows else ()),
        intro=kernels_words(findings.kernels),
    )


def _recipe(findings: QuantizationFindings) -> str:
    chosen = [one for one in findings.candidates if one.chosen]
    return "".join(
        section(
            "The recipe",
            f'<div class="wide"><pre style="margin:0;padding:1rem;font-size:.8125rem">{escape(to_toml(one.recipe))}'
            "</pre></div>\n",
            intro=f"All that decides how {shortened(one.name)} was quantized, besides the network, the data and the "
            "target.",
        )
        for one in chosen
    )


def _origin(findings: QuantizationFindings) -> str:
    data = findings.data or "data without a name"
    facts = [
        f"Ranges: {many(findings.calibrated, 'sample')} of {data}.",
        f"Accuracy and noise: {many(findings.judged, 'sample')} of {data}.",
        f"Latency: target {findings.target}, batch {findings.batch}.",
        f"Machine: {device(findings.device)}.",
        f"All of it took {duration(findings.seconds)}.",
    ]
    return paragraph(_METHOD) + bullets(facts)
