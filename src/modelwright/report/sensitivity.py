"""Which layers suffer from quantization: one at a time, in growing sets, and together."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from modelwright.records import QuantizationFindings, QuantizedCandidate, Sensitivity
from modelwright.report.charts import PLAIN, SHORT, Axis, Card, Series, rows, rows_height
from modelwright.report.decibels import decibels, finite, plain, points, shortened
from modelwright.report.markup import Chart, Data
from modelwright.report.plane import Mark, Marks, plane, scale
from modelwright.report.quantity import many, percent, ratio

MOST_BARS = 30
"""Layers in one figure; the others stand in its table."""
_ROOM = 150


class Parts(NamedTuple):
    """Sensitivities by what was quantized: single layers, sets of which each holds the one before, all others."""

    single: list[Sensitivity]
    growing: list[Sensitivity]
    other: list[Sensitivity]


def reference(candidates: Sequence[QuantizedCandidate]) -> QuantizedCandidate | None:
    """The float network in fp32, against which all others are held; None where it was not tried or failed."""
    return next(
        (
            one
            for one in candidates
            if one.state == "finished" and one.recipe.kind == "float" and one.recipe.floats == "fp32"
        ),
        None,
    )


def apart(found: Sequence[Sensitivity]) -> Parts:
    """Sensitivities told apart; the growing sets are the longest run of two or more that follow one another.

    Where such sets grow from a single layer that was also quantized alone, that one begins them.
    """
    single: dict[tuple[str, ...], Sensitivity] = {one.layers: one for one in reversed(found) if len(one.layers) == 1}
    several = [one for one in found if len(one.layers) > 1]
    runs: list[list[Sensitivity]] = [several[:1]]
    for before, after in pairwise(several):
        if set(before.layers) < set(after.layers):
            runs[-1].append(after)
        else:
            runs.append([after])
    growing = max(runs, key=len)
    growing = growing if len(growing) > 1 else []
    other = [one for one in several if not any(one is member for member in growing)]
    first = [single[growing[0].layers[:1]]] if growing and growing[0].layers[:1] in single else []
    ranked = sorted(single.values(), key=lambda one: one.sqnr_db)
    return Parts(ranked, [*first, *growing], other)


def sensitivity_chart(findings: QuantizationFindings) -> Chart | None:
    """SQNR with one layer quantized at a time, the most sensitive first; None where no layer was quantized alone."""
    found = apart(findings.sensitivities).single
    if not found:
        return None
    shown = found[:MOST_BARS]
    values = tuple(finite(one.sqnr_db) for one in shown)
    words = tuple(decibels(one.sqnr_db) for one in shown)
    cards = tuple(_card(one, findings) for one in shown)
    series = Series("SQNR", "var(--accent)", values, cards, words)
    data = Data(
        ("layer", ">SQNR", ">mean squared difference", ">accuracy", ">drop, points"),
        tuple((one.layers[0], *_numbers(one, findings)) for one in found),
    )
    option = rows(
        [shortened(one.layers[0]) for one in shown], [series], Axis("SQNR of the logits, dB", PLAIN), stacked=False
    )
    return Chart(
        "Noise, one layer at a time", option, data, _height(shown), f"A short bar is much noise.{_rest(found)}"
    )


def drop_chart(findings: QuantizationFindings) -> Chart | None:
    """Accuracy lost with one layer quantized at a time, in the order of their noise; None without accuracies."""
    base = reference(findings.candidates)
    if base is None or finite(base.accuracy) is None:
        return None
    found = [one for one in apart(findings.sensitivities).single if finite(one.accuracy) is not None]
    if not found:
        return None
    shown = found[:MOST_BARS]
    drops = [_drop(one, base) for one in shown]
    values = tuple(None if drop is None else 100 * drop for drop in drops)
    words = tuple(points(drop, one.drop_interval) for one, drop in zip(shown, drops, strict=True))
    series = Series("drop", "var(--memory)", values, tuple(_card(one, findings) for one in shown), words)
    option = rows(
        [shortened(one.layers[0]) for one in shown], [series], Axis("accuracy lost, points", PLAIN), stacked=False
    )
    option["grid"]["right"] = _ROOM
    data = Data(
        ("layer", ">accuracy", ">drop, points"),
        tuple(
            (one.layers[0], percent(one.accuracy or 0.0), points(_drop(one, base), one.drop_interval)) for one in found
        ),
    )
    note = f"In brackets the 95 % interval.{_rest(found)}"
    return Chart("Accuracy lost, one layer at a time", option, data, _height(shown), note)


def cumulative_chart(findings: QuantizationFindings, growing: Sequence[Sensitivity]) -> Chart | None:
    """SQNR against the number of layers quantized; None where no sets grow."""
    drawn = [one for one in growing if finite(one.sqnr_db) is not None]
    if not drawn:
        return None
    marks = tuple(Mark(len(one.layers), one.sqnr_db, _card(one, findings)) for one in drawn)
    option = plane(
        scale([0.0, *(mark.x for mark in marks)], Axis("layers quantized", SHORT), within=(0.0, math.inf), whole=True),
        scale([mark.y for mark in marks], Axis("SQNR of the logits, dB", PLAIN)),
        [Marks("SQNR", "var(--accent)", marks, size=6, line="straight")],
    )
    told = tuple(
        (str(len(after.layers)), _added(before, after), *_numbers(after, findings))
        for before, after in zip([None, *drawn], drawn, strict=False)
    )
    headings = (">layers", "~added", ">SQNR", ">mean squared difference", ">accuracy", ">drop, points")
    return Chart(
        "Noise as more layers are quantized", option, Data(headings, told), 320, "Each set holds the one before."
    )


def sets_table(findings: QuantizationFindings) -> Data:
    """Layers quantized together, most noise first, against what each of them does alone."""
    parts = apart(findings.sensitivities)
    alone = {one.layers[0]: one.mse for one in parts.single}
    found = []
    for one in sorted(parts.other, key=lambda one: one.sqnr_db):
        added = sum(alone[name] for name in one.layers) if all(name in alone for name in one.layers) else 0.0
        known = (plain(added), ratio(one.mse / added)) if added and finite(one.mse / added) is not None else ("", "")
        found.append((_named(one.layers), *_numbers(one, findings), *known))
    headings = ("~layers", ">SQNR", ">mean squared difference", ">accuracy", ">drop, points",
                ">alone, added up", ">together over alone")  # fmt: skip
    return Data(headings, tuple(found))


def _numbers(one: Sensitivity, findings: QuantizationFindings) -> tuple[str, str, str, str]:
    accuracy = "" if one.accuracy is None else percent(one.accuracy)
    drop = points(_drop(one, reference(findings.candidates)), one.drop_interval)
    return decibels(one.sqnr_db), plain(one.mse), accuracy, drop


def _drop(one: Sensitivity, base: QuantizedCandidate | None) -> float | None:
    if base is None or base.accuracy is None or one.accuracy is None:
        return None
    return base.accuracy - one.accuracy


def _card(one: Sensitivity, findings: QuantizationFindings) -> Card:
    names = ("SQNR", "mean squared difference", "accuracy", "drop, points")
    title = one.layers[0] if len(one.layers) == 1 else many(len(one.layers), "layer")
    return (title, *((name, text) for name, text in zip(names, _numbers(one, findings), strict=True) if text))


def _added(before: Sensitivity | None, after: Sensitivity) -> str:
    held = set(before.layers) if before else set()
    return _named([name for name in after.layers if name not in held])


def _named(layers: Sequence[str], most: int = 6) -> str:
    rest = f" and {len(layers) - most} more" if len(layers) > most else ""
    return ", ".join(layers[:most]) + rest


def _height(shown: Sequence[Sensitivity]) -> int:
    return rows_height(len(shown), 24)


def _rest(found: Sequence[Sensitivity]) -> str:
    rest = len(found) - MOST_BARS
    return f" The {many(rest, 'layer')} with less noise stand in the table." if rest > 0 else ""
