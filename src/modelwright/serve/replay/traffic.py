"""When requests arrive: as a trace tells, or as a process makes them."""

import csv
import dataclasses
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.errors import RecordError
from modelwright.serve.replay.latency import Times, time_of

DAY_S = 86400.0
ARRIVAL, DURATION, SIZE = "arrival", "duration", "size"
COLUMNS = (ARRIVAL, DURATION, SIZE)


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Requests in the order of their arrival.

    Attributes:
        name: where they are from, in words.
        arrivals: seconds from the beginning, rising; shape (n,).
        duration_s: of the traffic, at least until the last arrival.
        durations: how long each runs, in seconds, shape (n,); None where a distribution tells.
        sizes: of each, shape (n,), to which its time is in proportion; None where they do not matter.
    """

    name: str
    arrivals: Times
    duration_s: float
    durations: Times | None = None
    sizes: Times | None = None

    @property
    def busiest(self) -> int:
        """Most requests within one of its minutes."""
        return int(np.bincount((self.arrivals // 60).astype(np.int64)).max()) if len(self.arrivals) else 0


def poisson(rate: float, duration_s: float, random: np.random.Generator) -> Traffic:
    """Requests that know nothing of one another, so many a second on average."""
    arrivals = np.sort(random.uniform(0.0, duration_s, random.poisson(rate * duration_s)))
    return Traffic(f"Poisson, {rate:.3g}/s", arrivals, duration_s)


def bursts(rate: float, size: int, every_s: float, duration_s: float, random: np.random.Generator) -> Traffic:
    """A Poisson stream, and besides so many requests at once, half a period after the beginning and every period."""
    steady = poisson(rate, duration_s, random).arrivals
    at_once = np.repeat(np.arange(every_s / 2, duration_s, every_s), size)
    arrivals = np.sort(np.concatenate((steady, at_once)))
    return Traffic(f"Poisson, {rate:.3g}/s, and {size} at once every {every_s:g} s", arrivals, duration_s)


def diurnal(rate: float, swing: float, duration_s: float, random: np.random.Generator) -> Traffic:
    """A Poisson stream whose rate goes up and down once a day: rate (1 - swing cos(2 pi t / day)).

    Made by thinning (Lewis and Shedler, 1979): of a stream at the greatest rate each request stays with the probability
    that the rate at its time is of the greatest.

    Args:
        rate: mean over a day, requests a second.
        swing: from 0, steady, to 1, nothing at midnight.
        duration_s: of the traffic; it begins at midnight.
        random: draws.
    """
    peak = rate * (1 + swing)
    times = np.sort(random.uniform(0.0, duration_s, random.poisson(peak * duration_s)))
    kept = random.uniform(0.0, 1 + swing, len(times)) <= 1 - swing * np.cos(2 * math.pi * times / DAY_S)
    return Traffic(f"Poisson, {rate:.3g}/s, rising and falling by {swing:.0%} a day", times[kept], duration_s)


def read_trace(path: Path) -> Traffic:
    """The requests of a CSV file.

    Columns by their headings: "arrival" (seconds from any beginning, or times as ISO 8601 has them), and if they are
    there "duration" (seconds) and "size" (to which a request's time is in proportion). A file without headings holds
    arrivals, and durations if it has a second column. Rows may be in any order.

    Raises:
        RecordError: a cell is no time, or there is no arrival; the error names file and line.
        OSError: the file cannot be read.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(cell.strip() for cell in row)]
    if not rows:
        raise RecordError("a trace must hold one arrival at least", where=str(path))
    names = [cell.strip().lower() for cell in rows[0][1]]
    if ARRIVAL in names:
        rows = rows[1:]
    elif any(name in COLUMNS or name.isalpha() for name in names):
        way_out = f"Name the columns {', '.join(COLUMNS)}, or leave out the headings."
        raise RecordError(
            "a trace must have a column 'arrival'", where=str(path), value=", ".join(names), way_out=way_out
        )
    else:
        names = [ARRIVAL, DURATION][: len(names)]
    if not rows:
        raise RecordError("a trace must hold one arrival at least", where=str(path))
    read: dict[str, Callable[[str, str], float]] = {ARRIVAL: _moment, DURATION: time_of, SIZE: time_of}
    columns: dict[str, Any] = {
        name: np.fromiter(_column(rows, names.index(name), read[name], path), np.float64, len(rows))
        for name in COLUMNS
        if name in names
    }
    order = np.argsort(columns[ARRIVAL], kind="stable")
    arrivals = columns[ARRIVAL][order] - columns[ARRIVAL].min()
    rest = {name: columns[name][order] for name in (DURATION, SIZE) if name in columns}
    return Traffic(path.name, arrivals, float(arrivals[-1]), rest.get(DURATION), rest.get(SIZE))


def _column(
    rows: list[tuple[int, list[str]]], place: int, read: Callable[[str, str], float], path: Path
) -> Iterator[float]:
    for number, row in rows:
        yield read(row[place].strip() if place < len(row) else "", f"{path}, line {number}")


def _moment(word: str, where: str) -> float:
    """Seconds from some beginning: the number itself, or a date and time, in UTC where it names no zone."""
    try:
        value = float(word)
    except ValueError:
        try:
            moment = datetime.fromisoformat(word)
        except ValueError:
            rule = "an arrival must be in seconds, or a date and time in ISO 8601"
            raise RecordError(rule, where=where, value=word) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(value):
        raise RecordError("an arrival must be a finite number of seconds", where=where, value=word)
    return value
