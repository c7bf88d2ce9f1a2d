"""The columns of a table as choices: numbers, yes and no, words, or several of these in one cell."""

import math
import re
from collections.abc import Mapping, Sequence

from modelwright.errors import RecordError
from modelwright.records import Choice, Point, Value
from modelwright.search.space.encoding import encode
from modelwright.search.space.listed import Listed

Cells = Sequence[str]

_SEPARATORS = re.compile(r"[\s|+,;]+")
_JOINTS = re.compile(r"[~_-]")
_BRACKETS = "[](){}"
_MANY = 50
"""A column of more distinct words than this is tried as words put together from parts."""


def listed(columns: Mapping[str, Cells]) -> Listed:
    """The rows of a table as the only candidates.

    What a column holds is found out. Numbers are ordered; yes and no ("True", "false") and words are not. A column
    whose cells hold several tokens, parted by spaces, "|", "+", "," or ";", becomes one choice a position: NAME.1,
    NAME.2, ...; a shorter cell has no value at the last of them, and an empty cell none at all. A suffix such as "~0"
    that is the same in all rows is left out, as is a position that is; where it differs, it is a position of its own.
    Words of more than 50 kinds that all have equally many parts between "~", "_" or "-" are taken apart likewise.

    Rows whose choices are those of an earlier row are dropped; `Listed.dropped` tells how many.

    Args:
        columns: name -> cells, as they stand in the file; all of one length.

    Raises:
        RecordError: there is no column, columns differ in length, or a column is empty.
    """
    lengths = {name: len(cells) for name, cells in columns.items()}
    if not lengths or not min(lengths.values()) or len(set(lengths.values())) > 1:
        rule = "a table must have columns of one length, with at least one row"
        raise RecordError(rule, value=lengths, way_out="Name columns that the file has.")
    choices: list[Choice] = []
    filled: list[list[Value | None]] = []
    for name, cells in columns.items():
        for part, tokens in _parts(name, [cell.strip() for cell in cells]).items():
            choice, values = _choice(part, tokens)
            choices.append(choice)
            filled.append(values)
    names = [choice.name for choice in choices]
    if len(set(names)) < len(names):
        rule, way_out = "each choice must have a name of its own", "Rename a column."
        raise RecordError(rule, value=sorted(name for name in names if names.count(name) > 1)[0], way_out=way_out)
    points = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*filled, strict=True)
    ]
    return _distinct(tuple(choices), points)


def _distinct(choices: tuple[Choice, ...], points: Sequence[Point]) -> Listed:
    first: dict[bytes, int] = {}
    for row, numbers in enumerate(encode(choices, points).numbers):
        first.setdefault(numbers.tobytes(), row)
    rows = tuple(first.values())
    return Listed(choices, tuple(points[row] for row in rows), rows, len(points) - len(rows))


def _parts(name: str, cells: Cells) -> dict[str, list[str]]:
    """The column, or what its cells are made of, position by position; "" where a cell has none."""
    if not any(cells):
        raise RecordError("a column must have a cell that is not empty", where=name, way_out="Leave the column out.")
    if all(_number(cell) is not None for cell in cells if cell):
        return {name: list(cells)}
    rows = [[token for token in _SEPARATORS.split(cell.strip(_BRACKETS)) if token] for cell in cells]
    if max(map(len, rows)) > 1:
        positions = [_suffixed([row[at] if at < len(row) else "" for row in rows]) for at in range(max(map(len, rows)))]
        return _numbered(name, [part for position in positions for part in position])
    if len(set(cells)) > _MANY:
        taken = [_JOINTS.split(cell) for cell in cells]
        parts = [list(part) for part in zip(*taken, strict=False)]
        if len({len(row) for row in taken}) == 1 < len(parts) and max(len(set(part)) for part in parts) <= _MANY:
            return _numbered(name, parts)
    return {name: list(cells)}


def _suffixed(tokens: list[str]) -> list[list[str]]:
    """A position's tokens, and what follows a "~" in them, if anything does."""
    if not any("~" in token for token in tokens):
        return [tokens]
    heads, tails = zip(*(token.partition("~")[::2] for token in tokens), strict=True)
    return [list(heads), list(tails)]


def _numbered(name: str, parts: Sequence[list[str]]) -> dict[str, list[str]]:
    """NAME.1, NAME.2, ... for the parts that are not the same in all rows."""
    telling = [part for part in parts if len(set(part)) > 1] or list(parts[:1])
    return {f"{name}.{position}": part for position, part in enumerate(telling, start=1)}


def _choice(name: str, tokens: Cells) -> tuple[Choice, list[Value | None]]:
    """The choice of a column of single tokens, and its value in each row, None where a token is empty."""
    words = {token for token in tokens if token}
    kind = next(kind for kind in (_whole, _number, _truth, str) if all(kind(word) is not None for word in words))
    values: list[Value | None] = [kind(token) if token else None for token in tokens]
    known = sorted({value for value in values if value is not None})
    return Choice(name, tuple(known)), values


def _whole(word: str) -> int | None:
    return int(word) if re.fullmatch(r"[+-]?\d+", word) else None


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _truth(word: str) -> bool | None:
    return {"true": True, "false": False}.get(word.lower())
