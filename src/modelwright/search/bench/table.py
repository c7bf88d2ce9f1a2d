"""A table as a search problem: a row is a candidate, some columns are choices, others what came of them."""

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import RecordError, SettingError
from modelwright.records import Point
from modelwright.search.history import History, Key, key
from modelwright.search.pareto import hypervolume, non_dominated, reference_point
from modelwright.search.space import Listed, listed

Numbers = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Table:
    """Candidates with known outcomes.

    Attributes:
        domain: the candidates. objectives: names of the columns that count, in the order of `losses`. losses:
            (candidates, objectives), each the better the smaller: maximised columns negated, minimised ones as their
            logarithm where `logarithmic`.
        logarithmic: (objectives,).
        free: (objectives,), whether a column costs nothing to know.
    """

    domain: Listed
    objectives: tuple[str, ...]
    losses: Numbers
    logarithmic: tuple[bool, ...]
    free: tuple[bool, ...]

    @cached_property
    def reference(self) -> Numbers:
        """The reference point: the nadir of the true front and a tenth of its extent."""
        return reference_point(self.losses)

    @cached_property
    def front(self) -> NDArray[np.intp]:
        """The places of the candidates on the true front."""
        return non_dominated(self.losses)

    @cached_property
    def _places(self) -> dict[Key, int]:
        return {key(point): place for place, point in enumerate(self.domain.points)}

    @cached_property
    def best(self) -> float:
        """The hypervolume of the true front."""
        return hypervolume(self.losses, self.reference)

    def ratio(self, losses: Numbers) -> float:
        """The share of the true front's hypervolume that these losses reach."""
        return hypervolume(losses, self.reference) / self.best

    def place(self, point: Point) -> int:
        """Which of the candidates a point is.

        Raises:
            RecordError: it is none of them.
        """
        place = self._places.get(key(point))
        return self.domain.place(point) if place is None else place

    def known(self) -> Callable[[Sequence[Point]], Numbers] | None:
        """What a search may look up for nothing; None where everything must be paid for."""
        if not any(self.free):
            return None
        shown = np.where(np.array(self.free), self.losses, np.nan)
        return lambda points: shown[[self.place(point) for point in points]].reshape(-1, len(self.free))

    def history(self, points: Sequence[Point]) -> History:
        """What a search knows after it has evaluated points, in that order."""
        places = [self.place(point) for point in points]
        return History(tuple(points), self.losses[places].reshape(-1, len(self.objectives)), known=self.known())


def read_table(
    path: Path,
    choices: Sequence[str],
    *,
    minimise: Sequence[str] = (),
    maximise: Sequence[str] = (),
    free: Sequence[str] = (),
    linear: Sequence[str] = (),
) -> Table:
    """A table from a CSV file, which may be gzipped.

    Args:
        path: the file; its first line names the columns.
        choices: columns that make up a candidate; a cell may hold several tokens (`space.listed` says which).
        minimise: columns to be made small, on a logarithmic scale where all their numbers are above zero.
        maximise: columns to be made large.
        free: those of the objectives that cost nothing to know.
        linear: those of `minimise` to be taken as they are.

    Raises:
        RecordError: the file is no table, or a cell holds no number where one must be.
        SettingError: there are no objectives, or a name is no column or no objective.
    """
    columns, lines = _columns(path)
    objectives = (*minimise, *maximise)
    _check(path, columns, choices, objectives)
    for option, names in (("--free", free), ("--linear", linear)):
        if strangers := [name for name in names if name not in objectives]:
            rule, way_out = f"{option} names objectives", f"Objectives: {', '.join(objectives)}."
            raise SettingError(rule, where=option, value=strangers[0], way_out=way_out)
    domain = listed({name: columns[name] for name in choices})
    rows = np.array(domain.rows or range(domain.size))
    numbers = {name: _numbers(path, name, columns[name], lines)[rows] for name in objectives}
    logarithmic = tuple(
        name in minimise and name not in linear and bool(numbers[name].min() > 0) for name in objectives
    )
    losses = [
        -numbers[name] if name in maximise else np.log(numbers[name]) if log else numbers[name]
        for name, log in zip(objectives, logarithmic, strict=True)
    ]
    return Table(domain, objectives, np.column_stack(losses), logarithmic, tuple(name in free for name in objectives))


def _columns(path: Path) -> tuple[Mapping[str, list[str]], list[int]]:
    """The cells of each column, and the line on which each row ends; empty lines are no rows."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError) as failure:
        raise RecordError(f"a table must be CSV text, gzipped or not ({failure})", where=str(path)) from failure
    read = csv.reader(text.splitlines(keepends=True))
    names = next(read, [])
    columns: dict[str, list[str]] = {name: [] for name in names}
    lines: list[int] = []
    for cells in filter(None, read):
        lines.append(read.line_num)
        if len(cells) != len(names):
            where, rule = f"{path}, line {read.line_num}", f"a line must have {len(names)} cells, as the first has"
            raise RecordError(rule, where=where, value=len(cells), way_out="Mend the line, or put commas in quotes.")
        for name, cell in zip(names, cells, strict=True):
            columns[name].append(cell)
    if len(columns) < len(names) or not names or not columns[names[0]]:
        rule = "a table must have a first line with a name a column, each once, and at least one row"
        raise RecordError(rule, where=str(path), value=names[:10])
    return columns, lines


def _check(path: Path, columns: Mapping[str, object], choices: Sequence[str], objectives: Sequence[str]) -> None:
    if not choices or not objectives:
        way_out = "Name columns with --choices, and with --minimise or --maximise."
        raise SettingError("a search needs choices and objectives", where=str(path), way_out=way_out)
    for name in (*choices, *objectives):
        if name not in columns:
            known = ", ".join(columns)
            raise SettingError(
                "the table must have that column", where=str(path), value=name, way_out=f"It has {known}."
            )
    named = [*choices, *objectives]
    if twice := sorted(name for name in set(named) if named.count(name) > 1):
        raise SettingError("a column must play one part", where=str(path), value=twice[0], way_out="Name it once.")


def _numbers(path: Path, name: str, cells: Sequence[str], lines: Sequence[int]) -> Numbers:
    found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            found[row] = float(cell)
        except ValueError:
            found[row] = math.nan
        if not math.isfinite(found[row]):
            where = f"{path}, line {lines[row]}, column {name!r}"
            way_out = "Leave such rows out of the file, or the column out of the objectives."
            raise RecordError("an objective must be a finite number", where=where, value=cell, way_out=way_out)
    return found
