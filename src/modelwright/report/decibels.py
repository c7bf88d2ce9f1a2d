"""One way to write noise and accuracy lost, and names that are too long for a figure."""

import math

from modelwright.records.quantization import Interval
from modelwright.report.quantity import significant

Number = float | None
_LONGEST = 40


def finite(value: Number) -> Number:
    """The number, if it is one that can be drawn; otherwise None."""
    return value if value is not None and math.isfinite(value) else None


def decibels(value: Number) -> str:
    """A ratio of signal to noise: "31.4 dB"; "exact" without any noise, "" where it is not known."""
    if value is None or math.isnan(value):
        return ""
    return "exact" if value == math.inf else f"{value:.1f} dB"


def points(drop: Number, interval: Interval | None = None) -> str:
    """Accuracy lost, from 0 to 1, in points with its interval: "0.42 (-0.10 to 0.94)"; "" where it is not known."""
    if drop is None:
        return ""
    return _hundredths(drop) + (f" ({_hundredths(interval[0])} to {_hundredths(interval[1])})" if interval else "")


def plain(value: Number, digits: int = 3) -> str:
    """A number without a unit, to so many significant digits; "" where it is not known or no number."""
    known = finite(value)
    return "" if known is None else significant(known, digits)


def shortened(name: str, longest: int = _LONGEST) -> str:
    """A name for a figure: the end of a long one, as that tells layers apart."""
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


def _hundredths(value: float) -> str:
    return f"{round(100 * value, 2) + 0.0:.2f}"
