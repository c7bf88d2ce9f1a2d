"""The page of `modelwright scale`: what a base grows into, by which coefficients, and what other rules make of it."""

from collections.abc import Sequence

from modelwright.records import Platform
from modelwright.records.scaling import Family, Law, Reference, ScaledMember
from modelwright.report.charts import PERCENT, PLAIN, SECONDS, Axis, Card
from modelwright.report.markup import Chart, Data, bullets, details, figure, grid, paragraph, section, table
from modelwright.report.page import page
from modelwright.report.plane import Mark, Marks, key, plane, scale
from modelwright.report.provenance import METHOD, sources
from modelwright.report.quantity import many, percent, quantity, significant

_OURS = "var(--accent)"
_OTHERS = tuple(f"var(--series-{number})" for number in (3, 4, 5, 6))
_SHAPES = ("diamond", "triangle", "rect", "diamond")
_COEFFICIENTS = ("depth", "width", "resolution")
_HEADINGS = ("member", ">depth", ">width", ">image", ">accuracy", ">latency", ">target", ">params", ">FLOPs")
_REAL = (
    "Depth and width are the multipliers that the network is made by, the smallest that lead to it. Depth rounds the "
    "blocks of each stage up, so that 1.01 adds one to every stage; the figures show what is really there: blocks, "
    "mean width and side of the image, over the base's."
)
_ACCURACY = (
    "Accuracy is predicted by the law, not trained; behind ± stands the standard deviation by which the prediction "
    "varies when one observation at a time is left out."
)


def scale_page(family: Family, platform: Platform, *, made_by: str = "") -> str:
    """A whole page of one family.

    Args:
        family: what was found.
        platform: that its latencies are of.
        made_by: the program and the command line that wrote it.
    """
    measured = " Its latencies were measured." if family.device else ""
    charts = [coefficients(family, name) for name in _COEFFICIENTS]
    return page(
        f"{family.base}, scaled for {platform.title}",
        f"{many(len(family.members), 'network')}, sought for accuracy and latency together, batch {family.batch}, "
        f"{family.precision}, {family.execution}.{measured}",
        [
            section(
                "Family",
                table(members(family)),
                paragraph(f"{_REAL} {_ACCURACY}", "note"),
                bullets(family.notes, "note"),
            ),
            section("Accuracy against latency", figure(accuracy(family)), intro=_compared(family)),
            section("What grows", grid([figure(chart) for chart in charts]), intro=growth_in_words(family)),
            section("Other rules", *(details(_title(other), table(_of(other.members)), paragraph(other.source, "note"))
                                     for other in family.references)),
        ],
        _origin(family, platform),
        made_by=made_by,
    )  # fmt: skip


def members(family: Family) -> Data:
    """One row a network, the base first."""
    return _of([family.start, *family.members])


def notes(family: Family) -> list[str]:
    """What the reader must know, a sentence each."""
    return [*family.notes, *([growth_in_words(family)] if family.growth else [])]


def growth_in_words(family: Family) -> str:
    """Which coefficient grows fastest, in one sentence; "" where nothing grows."""
    if not family.growth:
        return ""
    ranked = sorted(family.growth.items(), key=lambda pair: -pair[1])
    told = ", ".join(f"{name} by {2**exponent - 1:.0%} ({exponent:.2f})" for name, exponent in ranked)
    return f"When latency doubles, after rounding: {told}; in brackets the exponent of latency."


def accuracy(family: Family) -> Chart:
    """Predicted accuracy against latency, of the family and of what other rules make of the base."""
    groups = [_marks(f"searched for {family.platform}", _OURS, [family.start, *family.members], "circle")]
    for other, colour, shape in zip(family.references, _OTHERS, _SHAPES, strict=False):
        groups.append(_marks(_title(other), colour, other.members, shape))
    marks = [mark for group in groups for mark in group.marks]
    kind = "measured or estimated" if family.device else "estimated"
    option = plane(
        scale([mark.x for mark in marks], Axis(f"latency of a batch, {kind}", SECONDS), logarithmic=True),
        scale([mark.y for mark in marks], Axis("predicted accuracy", PERCENT), within=(0.0, 1.0)),
        groups[::-1],
    )
    rows = tuple(
        (group.name, str(mark.card[0]), quantity(mark.x, "s"), percent(mark.y))
        for group in groups
        for mark in group.marks
    )
    note = "Up and to the left is better. All accuracies are of one law, which knows nothing of the platform."
    data = Data(("rule", "network", ">latency", ">accuracy"), rows)
    return Chart("Accuracy against latency", option, data, 420, note, key(groups[::-1]))


def coefficients(family: Family, name: str) -> Chart:
    """One real coefficient against latency, of the family and of other rules."""
    lines: list[tuple[str, str, str, Sequence[ScaledMember]]] = [
        (f"searched for {family.platform}", _OURS, "circle", [family.start, *family.members])
    ]
    for other, colour, shape in zip(family.references, _OTHERS, _SHAPES, strict=False):
        lines.append((_title(other), colour, shape, other.members))
    groups = [
        Marks(title, colour, tuple(
            Mark(one.latency_s, getattr(one.real, name), _card(one)) for one in sorted(found, key=_latency)
        ), shape, 8.0, line="straight")
        for title, colour, shape, found in lines
    ]  # fmt: skip
    marks = [mark for group in groups for mark in group.marks]
    option = plane(
        scale([mark.x for mark in marks], Axis("latency of a batch", SECONDS), logarithmic=True),
        scale([mark.y for mark in marks], Axis(f"{name} over the base's", PLAIN), logarithmic=True),
        groups[::-1],
    )
    rows = tuple(
        (group.name, str(mark.card[0]), quantity(mark.x, "s"), significant(mark.y))
        for group in groups
        for mark in group.marks
    )
    data = Data(("rule", "network", ">latency", f">{name}"), rows)
    return Chart(name.capitalize(), option, data, 320, key=key(groups[::-1]))


def _of(found: Sequence[ScaledMember]) -> Data:
    rows = tuple(
        (
            one.name,
            *(f"{value:.2f}" for value in (one.asked.depth, one.asked.width)),
            str(one.architecture.input[1]),
            percent(one.accuracy) + ("" if one.deviation is None else f" ± {100 * one.deviation:.1f}"),
            quantity(one.latency_s, "s"),
            "" if one.target_s is None else quantity(one.target_s, "s"),
            *(quantity(one.params), quantity(one.flops)),
        )
        for one in found
    )
    return Data(_HEADINGS, rows)


def _marks(name: str, colour: str, found: Sequence[ScaledMember], shape: str) -> Marks:
    marks = tuple(Mark(one.latency_s, one.accuracy, _card(one)) for one in sorted(found, key=_latency))
    return Marks(name, colour, marks, shape, 9.0, line="straight")


def _title(rule: Reference) -> str:
    """A rule as it is; the authors' own members as published."""
    return rule.name if rule.name.endswith("rule") else f"published, {rule.name}"


def _latency(one: ScaledMember) -> float:
    return one.latency_s


def _card(one: ScaledMember) -> Card:
    return (
        one.name,
        ("accuracy", percent(one.accuracy)),
        ("latency", quantity(one.latency_s, "s")),
        ("blocks", f"{one.architecture.depth} ({one.real.depth:.2f}x)"),
        ("width", f"{one.real.width:.2f}x"),
        ("image", f"{one.architecture.input[1]} px"),
        ("FLOPs", quantity(one.flops)),
    )


def _compared(family: Family) -> str:
    """How much more accurate the family is than the first rule at equal latency, where both have members."""
    gains = [found for found in (_gain(one, family.references) for one in family.members) if found is not None]
    if not gains:
        return ""
    rule, low, high = family.references[0].name, min(gains), max(gains)
    return (
        f"Against {rule}, within the same latency, members gain {100 * low:.2f} to {100 * high:.2f} points of accuracy "
        "by the law."
    )


def _gain(one: ScaledMember, others: Sequence[Reference]) -> float | None:
    within = [other.accuracy for other in (others[0].members if others else ()) if other.latency_s <= one.latency_s]
    return one.accuracy - max(within) if within else None


def _origin(family: Family, platform: Platform) -> str:
    machine = family.device
    facts = [
        f"{family.platform}: batch {family.batch}, precision {family.precision}, execution {family.execution}.",
        *([f"Measured on {machine.name}, {machine.threads} threads."] if machine else []),
    ]
    return "".join(
        [
            paragraph("Latencies are estimates of Modelwright's performance model, not measurements, but for those of "
                      "members where the page says so. " + METHOD),
            bullets(facts),
            law_details(family.law) if family.law else "",
            sources(platform),
        ]
    )  # fmt: skip


def law_details(law: Law) -> str:
    """The law of accuracy with its numbers and observations, as HTML to open."""
    powers = law.powers
    parts = " + ".join(f"{getattr(powers, name):.4g} {name}^-{powers.inner:.3g}" for name in _COEFFICIENTS)
    rows = tuple(
        (*(f"{getattr(one, name):.3f}" for name in _COEFFICIENTS), percent(one.accuracy), one.source)
        for one in law.observations
    )
    return details(
        f"The law of accuracy, from {many(len(law.observations), 'observation')}",
        paragraph(f"error = {powers.floor:.4g} + ({parts})^{powers.outer:.3g}"),
        paragraph(f"It misses the observations by {100 * law.residual:.2f} points, root mean square.", "note"),
        table(Data((*(f">{name}" for name in _COEFFICIENTS), ">accuracy", "source"), rows)),
    )
