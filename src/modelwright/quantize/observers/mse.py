"""Calibration by mean squared error: the range whose rounding and clipping errors add up to the least.

Source: Choukroun et al., 2019, arXiv 1902.06822; Nagel et al., 2021, arXiv 2106.08295, section 3.1. BRECQ (Li et al.,
2021, arXiv 2102.05426) takes the power 2.4 for 2, which spares the large numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from modelwright.errors import SettingError
from modelwright.quantize.observers.observer import RangeObserver, whole
from modelwright.quantize.observers.percentile import PERCENTILES, percentile_range
from modelwright.quantize.observers.tally import Floats, Tally
from modelwright.records.quantization import Interval

Errors = Callable[[npt.ArrayLike, npt.ArrayLike], Floats]
"""Low and high ends -> the expected error of each range."""

_SHRINKS = 2.0 ** (-np.arange(64) / 8)  # from the whole range down to a 256th of it
_WINDOWS = (0.25, 0.08, 0.025, 0.008)


@final
class MSEObserver(RangeObserver):
    """The range of the least expected error over all numbers seen.

    Args:
        power: of the error; 2 for squares.
        **options: of every `RangeObserver`.

    Raises:
        SettingError: the power is not positive, or as `RangeObserver`.
    """

    def __init__(self, power: float = 2.0, **options: Any) -> None:
        if not power > 0:
            raise SettingError("the power of an error must be positive", where="power", value=power)
        super().__init__(**options)
        self.power = power

    def range(self, seen: Tally) -> Interval:
        """The range of the least error."""
        return least_error(
            lambda lows, highs: self.errors(lows, highs, self.power), starts(seen, self.symmetric), self.symmetric
        )


def starts(seen: Tally, symmetric: bool) -> list[Interval]:
    """Where a search begins: the whole range, and those of the usual percentiles."""
    return [whole(seen), *(percentile_range(seen, percentile, symmetric) for percentile in PERCENTILES)]


def least_error(errors: Errors, first: Sequence[Interval], symmetric: bool) -> Interval:
    """The range of the least error that a search finds; never worse than one of the first.

    It compares these and the whole range shrunk by and by; then it moves one end after the other (symmetric, both at
    once) around the best, in ever smaller windows.
    """
    lows, highs = np.array(first).T
    lows, highs = np.minimum(lows, 0.0), np.maximum(highs, 0.0)
    lows, highs = np.append(lows, lows.min() * _SHRINKS), np.append(highs, highs.max() * _SHRINKS)
    low, high = _best(errors, lows, highs)
    steps = np.append(0.0, np.linspace(-1, 1, 16))  # first of all it stays where it is
    for window in _WINDOWS:
        for low_moves, high_moves in [(1, 1)] if symmetric else [(0, 1), (1, 0)]:
            factors = window * steps
            low, high = _best(errors, low * (1 + low_moves * factors), high * (1 + high_moves * factors))
    return low, high


def _best(errors: Errors, lows: Floats, highs: Floats) -> Interval:
    """The first range of the least error."""
    place = int(np.argmin(errors(lows, highs)))
    return float(lows[place]), float(highs[place])
