"""A family beside the networks it is held against: the table, accuracy against latency, and what each is made of."""

from collections.abc import Sequence

import msgspec

from modelwright.records import Architecture
from modelwright.records.architecture import Stage
from modelwright.records.study import Findings, Member
from modelwright.report.candidates import Basis, basis, choices, counted, lineage, predicted, short_names
from modelwright.report.charts import PERCENT, SECONDS, Axis, Card
from modelwright.report.markup import Chart, Data
from modelwright.report.plane import Mark, Marks, key, plane, scale
from modelwright.report.quantity import percent, quantity, ratio

FAMILY = "var(--accent)"
REFERENCES = tuple(f"var(--series-{number})" for number in (3, 4, 5, 6, 7))
_COLUMNS = (
    "Latency is that of a whole batch: the median of all repetitions, and their interquartile range over it. Ratio is "
    "measured over predicted."
)


class Line(msgspec.Struct, frozen=True):
    """Networks that are joined by a line: a family, or references that are sisters.

    Attributes:
        name: in the key.
        colour: as CSS.
        members: in any order.
        symbol: of the points, as `Marks` has it.
        size: of the points, in pixels.
        sisters: their names are shortened, as those of networks that the line's name tells of.
    """

    name: str
    colour: str
    members: Sequence[Member]
    symbol: str = "circle"
    size: float = 11.0
    sisters: bool = False


def members_table(findings: Findings) -> Data:
    """One row a member, smallest first, then one a reference."""
    numbers = ("precision",) if any(member.precision for member in findings.family) else ()
    headings = ("network", "role", *numbers, ">test accuracy", ">validation", ">latency, measured", ">spread",
                ">predicted", ">ratio", ">params", ">FLOPs", ">trial")  # fmt: skip
    return Data(
        headings,
        (
            *(_row(findings, member, "member") for member in findings.family),
            *(_row(findings, member, "reference") for member in findings.references),
        ),
    )


def columns_words(members: Sequence[Member]) -> str:
    """What the table's columns mean, and whether its rows were got alike."""
    recipes = {(member.learning.data, msgspec.structs.replace(member.learning.recipe, seed=0)) for member in members}
    machines = {member.measurement.device.name for member in members if member.measurement}
    trained = "All were trained by one recipe" if len(recipes) == 1 else "They were not all trained by one recipe"
    measured = f", and measured on {'one machine' if len(machines) == 1 else 'more than one machine'}"
    return f"{_COLUMNS} {trained}{measured if machines else ''}."


def plane_of_lines(lines: Sequence[Line]) -> Chart | None:
    """Families and references by accuracy and latency, the last on top; None where nothing can be drawn."""
    everyone = [member for line in lines for member in line.members]
    on = basis(everyone)
    groups = [
        Marks(line.name, line.colour, _placed(line, on), line.symbol, line.size, line="straight") for line in lines
    ]
    points = [mark for group in reversed(groups) for mark in group.marks]
    if not points:
        return None
    option = plane(
        scale([mark.x for mark in points], Axis(f"latency of a batch, {on.timing}", SECONDS), logarithmic=True),
        scale([mark.y for mark in points], Axis(f"{on.split} accuracy", PERCENT), within=(0.0, 1.0)),
        groups,
    )
    data = Data(
        ("network", f">{on.split} accuracy", f">latency, {on.timing}"),
        tuple((str(mark.card[0]), percent(mark.y), quantity(mark.x, "s")) for mark in points),
    )
    left_out = len(everyone) - len(points)
    note = f"Left out: {left_out} of which no latency is known." if left_out else "Up and to the left is better."
    return Chart("Accuracy against latency", option, data, 420, note, key(groups))


def reference_lines(references: Sequence[Member], suffix: str = "", symbol: str = "diamond") -> list[Line]:
    """References in lines of those whose names begin alike.

    Args:
        references: in any order.
        suffix: of the lines' names.
        symbol: of their points.
    """
    return [
        Line(f"{name}{suffix}", colour, [one for one in references if lineage(one) == name], symbol, 10.0, True)
        for name, colour in colours(references).items()
    ]


def member_card(member: Member, on: Basis) -> Card:
    """What is shown of a trained network."""
    seconds = on.latency(member)
    return (
        member.name,
        (f"{on.split} accuracy", percent(on.accuracy(member))),
        *(((f"latency, {on.timing}", quantity(seconds, "s")),) if seconds else ()),
        *((name, quantity(member.estimates[name])) for name in ("flops", "params") if name in member.estimates),
        *((("precision", member.precision),) if member.precision else ()),
        *((("trial", str(member.trial)),) if member.trial is not None else ()),
    )


def stages_table(members: Sequence[Member]) -> Data:
    """What networks are made of: a row a stage, a column a network."""
    made = [[*_ends(member.architecture)] for member in members]
    depth = max((len(rows) - 2 for rows in made), default=0)
    names = ["stem", *(f"stage {number}" for number in range(1, depth + 1)), "head"]
    columns = [[rows[0], *rows[1:-1], *[""] * (depth + 2 - len(rows)), rows[-1]] for rows in made]
    return Data(("", *(f"~{member.name}" for member in members)), tuple(zip(names, *columns, strict=True)))


def colours(references: Sequence[Member]) -> dict[str, str]:
    """A colour a line of references, the same in every figure."""
    lines = dict.fromkeys(lineage(reference) for reference in references)
    return {name: REFERENCES[number % len(REFERENCES)] for number, name in enumerate(lines)}


def _placed(line: Line, on: Basis) -> tuple[Mark, ...]:
    found = [(seconds, member) for member in line.members if (seconds := on.latency(member))]
    found.sort(key=lambda pair: pair[0])
    names = short_names(line.members) if line.sisters else {}
    return tuple(
        Mark(seconds, on.accuracy(member), member_card(member, on), names.get(member.name, member.name))
        for seconds, member in found
    )


def _row(findings: Findings, member: Member, role: str) -> tuple[str, ...]:
    taken, expected = member.measurement, predicted(findings.plan, member)
    tested = member.test_accuracy
    chosen = any(one.precision for one in findings.family)
    sizes = [counted(findings, member, metric) for metric in ("params", "flops")]
    return (
        *(member.name, role if member.learning.complete else f"{role}, training cut short"),
        *((member.precision or findings.plan.precision,) if chosen else ()),
        *("" if tested is None else percent(tested), percent(member.accuracy)),
        *((quantity(taken.median_s, "s"), f"{100 * taken.spread:.1f}%") if taken else ("", "")),
        "" if expected is None else quantity(expected, "s"),
        ratio(taken.median_s / expected) if taken and expected else "",
        *("" if size is None else quantity(size) for size in sizes),
        "" if member.trial is None else str(member.trial),
    )


def _ends(found: Architecture) -> list[str]:
    return [_told(found.stem), *(_stage(stage) for stage in found.stages), _told(found.head)]


def _stage(found: Stage) -> str:
    return f"{found.repeats} x {_told(found.block)}" if found.repeats > 1 else _told(found.block)


def _told(part: msgspec.Struct) -> str:
    """A block, stem or head by its kind and by all that is not as usual."""
    usual = dict(zip(reversed(part.__struct_fields__), reversed(part.__struct_defaults__), strict=False))
    held = {name: getattr(part, name) for name in part.__struct_fields__}
    unusual = {name: value for name, value in held.items() if name not in usual or value != usual[name]}
    kind = str(part.__struct_config__.tag)
    ends = "".join(f" {unusual.pop(name)} ->" for name in ("in_channels",) if name in unusual)
    ends += "".join(f" {unusual.pop(name)}" for name in ("out_channels",) if name in unusual)
    rest = choices({name: value if isinstance(value, bool | int | float | str) else "-".join(map(str, value))
                    for name, value in unusual.items()})  # fmt: skip
    return ", ".join([f"{kind}{ends}", *(text for _, text in rest)])
