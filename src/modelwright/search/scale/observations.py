"""Observed accuracies: those that ship, and those of users' own training runs."""

import csv
from importlib import resources
from pathlib import Path

from modelwright.errors import RecordError
from modelwright.records.codec import convert
from modelwright.records.scaling import Observation

COLUMNS = ("depth", "width", "resolution", "accuracy")


def published() -> tuple[Observation, ...]:
    """EfficientNet's, as published: B0-B7, and B0 scaled in one coefficient alone (2019, arXiv 1905.11946v5)."""
    text = resources.files("modelwright.search.scale").joinpath("observations.csv").read_text(encoding="utf-8")
    return _parsed(text, "observations.csv")


def read(path: Path) -> tuple[Observation, ...]:
    """The observations of a CSV file with the columns depth, width, resolution (multipliers) and accuracy (0 to 1).

    Raises:
        RecordError: the file cannot be read, lacks a column, or breaks a rule; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        rule = f"observations must be readable text ({failure})"
        raise RecordError(rule, where=str(path), way_out="Check its path.") from failure
    return _parsed(text, str(path))


def _parsed(text: str, where: str) -> tuple[Observation, ...]:
    table = csv.DictReader(text.splitlines())
    missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
    if missing:
        rule = f"observations must have the columns {', '.join(COLUMNS)}"
        way_out = f"Add {' and '.join(missing)}."
        raise RecordError(rule, where=where, value=",".join(table.fieldnames or ()), way_out=way_out)
    return tuple(_observation(row, f"{where}, line {number}") for number, row in enumerate(table, 2))


def _observation(row: dict[str, str], where: str) -> Observation:
    found: dict[str, float | str] = {"source": row.get("source") or ""}
    for name in COLUMNS:
        try:
            found[name] = float(row[name])
        except (TypeError, ValueError) as failure:
            rule, way_out = f"{name} must be a number", "Correct that cell."
            raise RecordError(rule, where=where, value=row[name], way_out=way_out) from failure
    return convert(found, Observation, where=where)
