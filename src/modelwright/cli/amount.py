"""Amounts on the command line: a number with a unit, such as 5ms, 20MB, 1.5M or 0.1J."""

import re

from modelwright.errors import SettingError

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
JOULES = {"J": 1.0, "mJ": 1e-3, "kJ": 1e3}
RATES = {"": 1.0, "/s": 1.0, "k/s": 1e3}


def amount(text: str, units: dict[str, float], option: str) -> float:
    """The number that an amount stands for, in the unit whose factor is 1.

    Raises:
        SettingError: it is no number above zero, or the unit is none of these.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*([^\d\s]*)\s*", text)
    if not found or found[2] not in units or not float(found[1]):
        known = f"Such as {', '.join(f'5{unit}' for unit in units)}."
        raise SettingError("an amount must be a number above zero with a unit", where=option, value=text, way_out=known)
    return float(found[1]) * units[found[2]]
