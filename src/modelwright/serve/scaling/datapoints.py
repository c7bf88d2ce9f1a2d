"""Data points of a metric: one statistic a period, counted back from now."""

from collections.abc import Callable, Iterator, Sequence

from modelwright.records.autoscaling import Alarm, Reading, Statistic

SPARE = 2
"""Periods that are looked at beyond an alarm's own, so that a late reading is no missing one."""
_STATISTICS: dict[Statistic, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Minimum": min,
    "Maximum": max,
    "Sum": sum,
    "SampleCount": len,
}


def datapoints(alarm: Alarm, readings: Sequence[Reading], now: float) -> tuple[float | None, ...]:
    """The latest data points of an alarm's metric, the oldest first; None for a period without data.

    There are `SPARE` more than the alarm evaluates. A period holds its end but not its beginning; the last one ends
    now. Readings from the future, as a clock that was set back leaves them, count for nothing.

    Args:
        alarm: metric, period and statistic.
        readings: oldest first.
        now: on the readings' clock, seconds.
    """
    made = _STATISTICS[alarm.statistic]
    found: list[list[float]] = [[] for _ in range(alarm.evaluation_periods + SPARE)]
    for reading in within(readings, now, alarm.period_s * len(found)):
        value = reading.metric(alarm.metric)
        if value is not None:
            found[min(int((now - reading.at) // alarm.period_s), len(found) - 1)].append(value)
    return tuple(made(values) if values else None for values in reversed(found))


def within(readings: Sequence[Reading], now: float, span_s: float) -> Iterator[Reading]:
    """The readings of the last so many seconds, the latest first, none from the future."""
    for reading in reversed(readings):
        if reading.at <= now - span_s:
            return
        if reading.at <= now:
            yield reading
