"""The protocol itself: how many calls a repetition takes, and whose turn it is. No clock is read here."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelwright.errors import MeasurementError
from modelwright.networks.measuring.setting import Protocol

Run = Callable[[int], float]
"""Makes that many calls, one after another, and returns the seconds they took together."""

MOST_CALLS = 1 << 20
"""More calls than this in one repetition would time the loop around them."""


@dataclass(frozen=True)
class Timing:
    """Seconds a call, one entry a repetition in the order taken, and how many calls each is the mean of."""

    seconds: tuple[float, ...]
    inner: int

    @property
    def median_s(self) -> float:
        """The median over the repetitions, seconds a call."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The interquartile range over the median; 0 for a single repetition."""
        if len(self.seconds) < 2:
            return 0.0
        lower, _, upper = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (upper - lower) / self.median_s


def calls_needed(run: Run, minimum_s: float) -> int:
    """How many calls a repetition must make to last `minimum_s` seconds.

    Tries with 1, 2, 4 ... calls until they last a quarter of that, twice in a row, so that one hiccup decides nothing.

    Raises:
        MeasurementError: a time is negative or not finite.
    """
    calls = 1
    while True:
        taken = _trusted(run(calls))
        if taken >= minimum_s / 4:
            taken = min(taken, _trusted(run(calls)))
        if taken >= minimum_s / 4:
            return max(1, min(MOST_CALLS, math.ceil(minimum_s * calls / taken - 1e-9)))
        if calls >= MOST_CALLS:
            return MOST_CALLS
        calls *= 2


def interleave(
    runs: Sequence[Run], protocol: Protocol, report: Callable[[str], None] | None = None
) -> tuple[Timing, ...]:
    """Take all repetitions of all runs, round after round: A B C, A B C, ...

    Args:
        runs: what to time.
        protocol: how often, how long.
        report: is told each round.

    Raises:
        MeasurementError: a repetition's time is not finite or not positive.
    """
    inner = [calls_needed(run, protocol.minimum_s) for run in runs]
    taken: list[list[float]] = [[] for _ in runs]
    for turn in range(protocol.warmup + protocol.repetitions):
        if report:
            warming = turn < protocol.warmup
            number, total = (turn, protocol.warmup) if warming else (turn - protocol.warmup, protocol.repetitions)
            report(f"{'warm-up' if warming else 'repetition'} {number + 1} of {total}")
        for run, calls, kept in zip(runs, inner, taken, strict=True):
            if protocol.settle:
                run(protocol.settle)
            seconds = _trusted(run(calls))
            if not seconds:
                raise _untrusted(seconds)
            if turn >= protocol.warmup:
                kept.append(seconds / calls)
    return tuple(Timing(tuple(kept), calls) for kept, calls in zip(taken, inner, strict=True))


def _trusted(seconds: float) -> float:
    if not math.isfinite(seconds) or seconds < 0:
        raise _untrusted(seconds)
    return seconds


def _untrusted(seconds: float) -> MeasurementError:
    return MeasurementError(
        "a repetition must take a positive, finite time",
        value=seconds,
        way_out="The clock or the device does not count; measure again, or on another device.",
    )
