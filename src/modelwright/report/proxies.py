"""What stands for latency, held against it: FLOPs by the best proportional line, and the performance model."""

import statistics
from collections.abc import Iterator, Sequence, Set

import msgspec

from modelwright.records.study import Findings, Member
from modelwright.report.agreement import Pair, errors, kendall, proportion
from modelwright.report.candidates import choices, counted, got, judged, lineage
from modelwright.report.charts import SECONDS, SHORT, Axis, Card
from modelwright.report.family import FAMILY, colours
from modelwright.report.markup import Chart, Data
from modelwright.report.plane import Mark, Marks, key, plane, scale
from modelwright.report.quantity import quantity, ratio, significant

CALIBRATED = "trials, calibrated"
_TRIALS = {
    "trials": ("var(--series-8)", "circle"),
    "trials, estimated": ("var(--series-8)", "circle"),
    CALIBRATED: ("var(--series-2)", "triangle"),
}


class Pairing(msgspec.Struct, frozen=True):
    """A network with its latency and what is to stand for it.

    Attributes:
        kind: the group in which it is drawn.
        name: its own.
        proxy: FLOPs, or predicted seconds.
        seconds: that it takes.
        choices: what its trial chose, for its card.
    """

    kind: str
    name: str
    proxy: float
    seconds: float
    choices: tuple[tuple[str, str], ...] = ()


def by_flops(findings: Findings) -> list[Pairing]:
    """FLOPs and latency of every trial and member that has both, as the search counts them."""
    found = [
        Pairing(
            "trials", f"trial {trial.number}", trial.values["flops"], trial.values["latency_s"], choices(trial.point)
        )
        for state in ("finished", "stopped")
        for trial in judged(findings, state)
        if trial.values.get("flops", 0) > 0 and trial.values.get("latency_s", 0) > 0
    ]
    for kind, member in _members(findings):
        flops, seconds = (counted(findings, member, metric) for metric in ("flops", "latency_s"))
        if flops and seconds:
            found.append(Pairing(kind, member.name, flops, seconds))
    return found


def by_model(findings: Findings) -> list[Pairing]:
    """Predicted and measured latency of every network that has both."""
    found = [
        Pairing(CALIBRATED if p.source == "calibrated" else "trials, estimated", p.name, p.predicted_s, p.measured_s)
        for p in findings.predictions
    ]
    for kind, member in _members(findings):
        predicted = member.estimates.get("latency_s")
        if predicted and member.measurement:
            found.append(Pairing(kind, member.name, predicted, member.measurement.median_s))
    return found


def flops_chart(findings: Findings) -> Chart | None:
    """FLOPs against latency with the best proportional line; None with fewer than two networks."""
    pairs = by_flops(findings)
    if len(pairs) < 2:
        return None
    factor = proportion([(pair.proxy, pair.seconds) for pair in pairs])
    wrong = errors([(factor * pair.proxy, pair.seconds) for pair in pairs])
    worst, largest = max(zip(pairs, wrong, strict=True), key=lambda both: both[1])
    across = scale([pair.proxy for pair in pairs], Axis("FLOPs", SHORT), logarithmic=True)
    line = tuple(Mark(end, factor * end) for end in across.ends)
    heights = [*(pair.seconds for pair in pairs), *(mark.y for mark in line)]
    up = scale(heights, Axis(f"latency, {got(findings.plan, 'latency_s')}", SECONDS), logarithmic=True)
    note = (
        f"Were latency proportional to FLOPs, all would lie on the line, {quantity(1 / factor, 'FLOP/s')}. Its error "
        f"is {_percent(statistics.median(wrong))} in the median and {_percent(largest)} at worst: {worst.name} takes "
        f"{quantity(worst.seconds, 's')}, the line says {quantity(factor * worst.proxy, 's')}."
    )
    headings = ("network", "is", ">FLOPs", ">latency", ">FLOP/s")
    rows = tuple(
        (p.name, p.kind, quantity(p.proxy), quantity(p.seconds, "s"), quantity(p.proxy / p.seconds)) for p in pairs
    )
    data = Data(headings, rows)
    groups = [
        Marks("proportional", "var(--muted)", line, line="bare"),
        *_groups(findings, pairs, data, {worst.name}),
    ]
    return Chart("FLOPs against latency", plane(across, up, groups), data, 400, note, key(groups))


def model_chart(findings: Findings) -> Chart | None:
    """Predicted against measured latency with the line on which they are equal; None where nothing was measured."""
    pairs = by_model(findings)
    if not pairs:
        return None
    across, up = (
        scale([value for pair in pairs for value in (pair.proxy, pair.seconds)], Axis(words, SECONDS), logarithmic=True)
        for words in ("latency, predicted", "latency, measured")
    )
    line = tuple(Mark(end, end) for end in across.ends)
    headings = ("network", "is", ">predicted", ">measured", ">measured over predicted")
    rows = tuple(
        (p.name, p.kind, quantity(p.proxy, "s"), quantity(p.seconds, "s"), ratio(p.seconds / p.proxy)) for p in pairs
    )
    data = Data(headings, rows)
    groups = [Marks("equal", "var(--muted)", line, line="bare"), *_groups(findings, pairs, data, set())]
    option, note = plane(across, up, groups), model_words(findings)
    return Chart("Predicted against measured latency", option, data, 400, note, key(groups))


def model_words(findings: Findings) -> str:
    """How well the predictions agree with the measurements, and how well FLOPs would have."""
    pairs = by_model(findings)
    estimated = [(pair.proxy, pair.seconds) for pair in pairs if pair.kind != CALIBRATED]
    calibrated = [(pair.proxy, pair.seconds) for pair in pairs if pair.kind == CALIBRATED]
    parts = []
    if estimated:
        parts.append(_errors("The performance model", estimated) + _flops_rank(findings))
    if len(estimated) > 2:
        factor = proportion(estimated)
        rest = statistics.median(errors([(factor * predicted, true) for predicted, true in estimated]))
        parts.append(
            f"Measured is {ratio(factor)} estimated in the median; that factor taken out, the median error is "
            f"{_percent(rest)}"
        )
    if calibrated:
        parts.append(_errors("Calibrated by a few measurements", calibrated))
    return "".join(f"{part}. " for part in parts).rstrip()


def _errors(whose: str, pairs: Sequence[Pair]) -> str:
    wrong, tau = errors(pairs), kendall(pairs)
    networks = f"{len(pairs)} networks" if len(pairs) > 1 else "1 network"
    text = f"{whose}: {networks}, median error {_percent(statistics.median(wrong))}, largest {_percent(max(wrong))}"
    return text if tau is None else f"{text}, rank correlation (Kendall's tau) {significant(tau)}"


def _flops_rank(findings: Findings) -> str:
    """The rank correlation of FLOPs, over those of the measured networks whose FLOPs are known."""
    pairs = [(p.flops, p.measured_s) for p in findings.predictions if p.flops and p.source == "estimate"]
    for _, member in _members(findings):
        flops = member.estimates.get("flops")
        if flops and member.measurement:
            pairs.append((flops, member.measurement.median_s))
    tau = kendall(pairs)
    return f" (that of FLOPs is {significant(tau)})" if tau is not None else ""


def _members(findings: Findings) -> Iterator[tuple[str, Member]]:
    """References, then the family, each with the group in which it is drawn."""
    yield from ((lineage(member), member) for member in findings.references)
    yield from (("family", member) for member in findings.family)


def _groups(findings: Findings, pairs: Sequence[Pairing], data: Data, named: Set[str]) -> list[Marks]:
    """The pairs as marks whose cards say what their rows say; the family and those in `named` bear their names."""
    marks: dict[str, list[Mark]] = {}
    for pair, row in zip(pairs, data.rows, strict=True):
        facts = zip((heading.removeprefix(">") for heading in data.headings[2:]), row[2:], strict=True)
        card: Card = (pair.name, *facts, *pair.choices)
        text = pair.name if pair.kind == "family" or pair.name in named else ""
        marks.setdefault(pair.kind, []).append(Mark(pair.proxy, pair.seconds, card, text))
    kinds = [(kind, colour, symbol, 6.0) for kind, (colour, symbol) in _TRIALS.items()]
    kinds += [(kind, colour, "diamond", 10.0) for kind, colour in colours(findings.references).items()]
    return [
        Marks(kind, colour, tuple(marks.get(kind, ())), symbol, size, opacity=0.75 if kind in _TRIALS else 1.0)
        for kind, colour, symbol, size in (*kinds, ("family", FAMILY, "circle", 11.0))
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.0f}%"
