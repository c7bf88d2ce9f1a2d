"""Times drawn from a distribution, or from what was measured."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modelwright.errors import RecordError
from modelwright.records.capacity import Latency

Times = npt.NDArray[np.float64]


def draw(latency: Latency, count: int, random: np.random.Generator) -> Times:
    """So many independent times, in seconds; shape (count,).

    A lognormal time with mean m and variation v is exp(N(ln m - s^2 / 2, s^2)) with s^2 = ln(1 + v^2).
    """
    return _DRAWS[latency.kind](latency, count, random)


def _lognormal(latency: Latency, count: int, random: np.random.Generator) -> Times:
    variance = math.log1p(latency.variation**2)
    return latency.mean_s * np.exp(random.standard_normal(count) * math.sqrt(variance) - variance / 2)


_DRAWS: dict[str, Callable[[Latency, int, np.random.Generator], Times]] = {
    "constant": lambda latency, count, random: np.full(count, latency.mean_s),
    "exponential": lambda latency, count, random: random.exponential(latency.mean_s, count),
    "lognormal": _lognormal,
    "sample": lambda latency, count, random: random.choice(np.array(latency.sample), count),
}


def measured(path: Path) -> Latency:
    """The times in a text file, in seconds, one a line; a first line of words and empty lines are passed over.

    Raises:
        RecordError: a line is no time, or there is none.
        OSError: the file cannot be read.
    """
    found: list[float] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        word = line.strip().rstrip(",")
        if not word or (number == 1 and any(letter.isalpha() for letter in word.replace("e", ""))):
            continue
        found.append(time_of(word, f"{path}, line {number}"))
    if not found:
        raise RecordError("the file must hold one time a line, in seconds", where=str(path))
    return Latency("sample", math.fsum(found) / len(found), sample=tuple(found))


def time_of(word: str, where: str) -> float:
    """The seconds, or other number of zero or more, that a word says.

    Raises:
        RecordError: it is none.
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise RecordError("there must be a number of zero or more", where=where, value=word)
    return value
