"""One way to write a quantity: three significant digits and a decimal prefix, as in 8.93 ms or 140 TFLOP/s."""

import math

_LARGE = ("", "k", "M", "G", "T", "P", "E", "Z")
_SMALL = ("", "m", "µ", "n", "p", "f", "a")


def quantity(value: float, unit: str = "") -> str:
    """A number with its unit: `quantity(0.00893, "s")` is "8.93 ms", `quantity(5.3e6)` is "5.30 M"."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or (not unit and abs(value) < 1000 and value == int(value)):
        return f"{value:g} {unit}".rstrip()
    step = math.floor(_exponent(value) / 3)
    if not unit:
        step = max(step, 0)
    step = min(max(step, 1 - len(_SMALL)), len(_LARGE) - 1)
    prefix = _LARGE[step] if step >= 0 else _SMALL[-step]
    return f"{significant(value / 1000.0**step)} {prefix}{unit}".rstrip()


def significant(value: float, digits: int = 3) -> str:
    """A plain number to so many significant digits, without an exponent: 0.0893, 8.93, 893, 8930."""
    if value == 0:
        return "0"
    return f"{float(f'{value:.{digits - 1}e}'):.{max(0, digits - 1 - _exponent(value, digits))}f}"


def ratio(value: float) -> str:
    """A factor: "1.25x"."""
    return f"{significant(value)}x"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent: "53%"; "<1%" for what is there but rounds away."""
    percent = 100.0 * part / whole if whole else 0.0
    return "<1%" if 0 < percent < 0.5 else f"{percent:.0f}%"


def percent(value: float) -> str:
    """An accuracy, from 0 to 1, in per cent to a tenth: "91.2%"."""
    return f"{100.0 * value:.1f}%"


def many(count: int, noun: str) -> str:
    """How many there are of something: "1 trial", "2 trials"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """How long something took, in the two largest units that fit: "3 h 12 min", "12 min 5 s", "8.93 s"."""
    whole = round(seconds)
    if whole < 60:
        return quantity(seconds, "s")
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def _exponent(value: float, digits: int = 3) -> int:
    """The decimal exponent after rounding, so that 999.9 counts as 1.00e3."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])
