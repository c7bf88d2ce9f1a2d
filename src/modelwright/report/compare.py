"""The page of two searches side by side: what was asked differently, the two fronts, and the two families."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from modelwright.errors import SettingError
from modelwright.records.study import Findings, Plan, Trial
from modelwright.report.candidates import (
    burden,
    cost_metric,
    got,
    judged,
    metric_name,
    metric_unit,
    value_words,
    written,
)
from modelwright.report.charts import PERCENT, PLAIN, SHORT, Axis, Card
from modelwright.report.family import Line, columns_words, members_table, plane_of_lines, reference_lines
from modelwright.report.markup import Chart, Data, details, figure, grid, paragraph, section, table
from modelwright.report.origin import search_origin
from modelwright.report.page import page
from modelwright.report.pareto import Pair, box, covered, dominated, front
from modelwright.report.plane import Mark, Marks, key, plane, scale
from modelwright.report.quantity import duration, share, significant
from modelwright.report.search import result
from modelwright.report.trials import comparable, trial_card

_COLOURS = ("var(--accent)", "var(--low)")
_DEPENDS = ("data", "batch", "precision", "execution", "platform")


class Side(msgspec.Struct, frozen=True):
    """One of the two searches.

    Attributes:
        name: what to call it.
        colour: as CSS.
        findings: what it found.
        trials: its finished ones.
        points: (cost, accuracy) of each, less cost being better.
    """

    name: str
    colour: str
    findings: Findings
    trials: tuple[Trial, ...]
    points: tuple[Pair, ...]

    @property
    def metric(self) -> str:
        """Its cost."""
        return cost_metric(self.findings.plan)

    @property
    def front(self) -> list[int]:
        """Positions of the trials on its front, cheapest first."""
        return front(self.points)


def compare_page(
    first: Findings, second: Findings, *, names: tuple[str, str] = ("first", "second"), made_by: str = ""
) -> str:
    """One HTML file that holds two searches against each other.

    Args:
        first: a search that has ended.
        second: another.
        names: what to call them.
        made_by: the program and the command line, for the foot of the page.

    Raises:
        SettingError: the two have one name.
    """
    if names[0] == names[1]:
        raise SettingError("two searches need two names", where="names", value=names[0])
    sides = (_side(names[0], _COLOURS[0], first), _side(names[1], _COLOURS[1], second))
    return page(
        f"{names[0]} and {names[1]}",
        " ".join(f"{side.name}: {result(side.findings)}" for side in sides),
        [
            section("What was asked", table(differences(first.plan, second.plan, names)), intro=caution(first, second)),
            _fronts(sides),
            _families(sides),
        ],
        "".join(details(f"{side.name}: how it was got", search_origin(side.findings, None)) for side in sides),
        made_by=made_by,
    )


def differences(first: Plan, second: Plan, names: tuple[str, str]) -> Data:
    """One row a key of the two plans that differs."""
    one, other = (dict(_leaves(msgspec.to_builtins(plan))) for plan in (first, second))
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return Data(("key", *(f"~{name}" for name in names)), tuple((k, one.get(k, ""), other.get(k, "")) for k in keys))


def caution(first: Findings, second: Findings) -> str:
    """What keeps the two from being compared number by number, in a sentence."""
    one, other = first.plan, second.plan
    parted = [key for key in _DEPENDS if getattr(one, key) != getattr(other, key)]
    costs = [f"{got(plan, cost_metric(plan))} {metric_name(cost_metric(plan))}" for plan in (one, other)]
    if costs[0] != costs[1]:
        parted.append(f"cost ({costs[0]} and {costs[1]})")
    if one.evidence != other.evidence or one.recipe != other.recipe:
        parted.append("way of judging candidates")
    if not parted:
        return "Both have the same data, setting, cost and way of judging candidates, so their numbers can be compared."
    return f"The two differ in {', '.join(parted)}: hold their numbers against each other with care."


def _side(name: str, colour: str, findings: Findings) -> Side:
    trials, metric = tuple(judged(findings)), cost_metric(findings.plan)
    points = tuple((burden(metric, trial.values[metric]), trial.values["accuracy"]) for trial in trials)
    return Side(name, colour, findings, trials, points)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of nested dictionaries and lists by its path; choices and objectives by their names."""
    if isinstance(value, Mapping):
        for key_, held in value.items():
            yield from _leaves(held, f"{path}.{key_}" if path else str(key_))
    elif isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
        for entry in value:
            title = "metric" if "metric" in entry else "name"
            yield from _leaves({k: v for k, v in entry.items() if k != title}, f"{path}.{entry[title]}")
    elif isinstance(value, list | tuple):
        yield path, ", ".join(map(value_words, value))
    elif value is not None:
        yield path, value_words(value)


def _fronts(sides: tuple[Side, Side]) -> str:
    if sides[0].metric != sides[1].metric or not all(side.trials for side in sides):
        one = "They weigh different costs" if sides[0].metric != sides[1].metric else "One has no finished trial"
        return section("The two fronts", paragraph(f"{one}, so there are no two fronts in one plane."))
    intro = (
        "Hypervolume is the share of the box around all finished trials of both that a front dominates; the box's far "
        "corner, the dearest cost and the least accuracy, is the common reference."
    )
    figures = grid([figure(_plane(sides)), figure(_growth(sides))])
    return section("The two fronts", table(_standing(sides)), figures, intro=intro)


def _standing(sides: tuple[Side, Side]) -> Data:
    """How the two fronts stand to each other, a row a search."""
    corners = box([side.points for side in sides])
    rows = []
    for side, other in zip(sides, reversed(sides), strict=True):
        own, theirs = ([held.points[place] for place in held.front] for held in (side, other))
        numbers = (significant(dominated(own, corners)), share(covered(own, theirs), 1.0))
        rows.append((side.name, str(len(side.trials)), str(len(own)), duration(side.findings.seconds), *numbers))
    counts = (">finished trials", ">on its front", ">took")
    return Data(("search", *counts, ">hypervolume", ">dominated by the other's front"), tuple(rows))


def _plane(sides: tuple[Side, Side]) -> Chart:
    metric, groups, rows = sides[0].metric, [], []
    for side in reversed(sides):
        marks = [_mark(side, trial) for trial in side.trials]
        rest = tuple(mark for place, mark in enumerate(marks) if place not in side.front)
        groups.append(Marks("", side.colour, rest, size=6, opacity=0.4))
        groups.append(Marks(side.name, side.colour, tuple(marks[p] for p in side.front), size=8, line="step"))
    for side in sides:
        best = [side.trials[place] for place in side.front]
        told = [[written(held, trial.values[held]) for held in ("accuracy", metric)] for trial in best]
        rows += [(side.name, str(trial.number), *words) for trial, words in zip(best, told, strict=True)]
    drawn = [mark for group in groups for mark in group.marks]
    alike = all(comparable(side.trials) for side in sides)
    across = Axis(metric_name(metric), {"$text": "short", "unit": metric_unit(metric)})
    up = Axis("accuracy by the evidence of the search", PERCENT if alike else PLAIN)
    option = plane(
        scale([mark.x for mark in drawn], across, logarithmic=True),
        scale([mark.y for mark in drawn], up, within=(0.0, 1.0) if alike else (-math.inf, math.inf)),
        groups,
    )
    title, note = f"Accuracy against {metric_name(metric)}", "Paler: trials behind the fronts."
    data = Data(("search", ">trial", ">accuracy", f">{metric_name(metric)}"), tuple(rows))
    return Chart(title, option, data, 400, note, key(groups))


def _mark(side: Side, trial: Trial) -> Mark:
    heading, *facts = trial_card(trial, side.findings.plan)
    card: Card = (f"{side.name}, {heading}", *facts)
    return Mark(trial.values[side.metric], trial.values["accuracy"], card)


def _growth(sides: tuple[Side, Side]) -> Chart:
    corners = box([side.points for side in sides])
    groups, rows = [], []
    for side in reversed(sides):
        grown = [dominated(side.points[:number], corners) for number in range(1, len(side.points) + 1)]
        cards = [f"{side.name} after {number} trials" for number, _ in enumerate(grown, 1)]
        marks = tuple(
            Mark(number, value, (heading, ("hypervolume", significant(value))))
            for number, (value, heading) in enumerate(zip(grown, cards, strict=True), 1)
        )
        groups.append(Marks(side.name, side.colour, marks, size=4, line="step"))
        rows += [(side.name, str(number), significant(value)) for number, value in enumerate(grown, 1)]
    most = max(len(side.points) for side in sides)
    option = plane(
        scale([0.0, most], Axis("finished trials", SHORT), within=(0.0, math.inf), whole=True),
        scale([0.0, *(mark.y for group in groups for mark in group.marks)], Axis("hypervolume", PLAIN), within=(0, 1)),
        groups,
    )
    data = Data(("search", ">finished trials", ">hypervolume"), tuple(rows))
    return Chart("How the fronts grew", option, data, 400, "Both against the same box.", key(groups))


def _families(sides: tuple[Side, Side]) -> str:
    one, other = sides
    lines = reference_lines(one.findings.references)
    if one.findings.references != other.findings.references:
        lines = [
            *reference_lines(other.findings.references, f", {other.name}", "triangle"),
            *reference_lines(one.findings.references, f", {one.name}"),
        ]
    lines += [Line(f"family, {side.name}", side.colour, side.findings.family) for side in reversed(sides)]
    chart = plane_of_lines(lines)
    tables = [(side.name, members_table(side.findings)) for side in sides]
    everyone = [member for side in sides for member in (*side.findings.family, *side.findings.references)]
    rows = tuple((name, *row) for name, data in tables for row in data.rows)
    return section(
        "The two families",
        table(Data(("search", *tables[0][1].headings), rows)) if rows else paragraph("No network was trained in full."),
        paragraph(columns_words(everyone), "note") if rows else "",
        grid([figure(chart)]) if chart else "",
    )
