"""Calibration by whatever serves a tensor best: each candidate's range is tried on the numbers that were seen.

Source: Wu et al., 2020, arXiv 2004.09602, section 5.2, who try the calibrations on a whole network; here each tensor
has its own.
"""

from typing import Any, final

import numpy as np

from modelwright.quantize.observers.entropy import entropy_range
from modelwright.quantize.observers.mse import least_error, starts
from modelwright.quantize.observers.observer import RangeObserver
from modelwright.quantize.observers.percentile import PERCENTILES
from modelwright.quantize.observers.tally import Tally
from modelwright.records.quantization import Interval

CANDIDATES = ("minmax", *(f"percentile {percentile}" for percentile in PERCENTILES), "entropy", "mse")
"""The simple before the searched: where errors are alike, the first wins."""


@final
class AutoObserver(RangeObserver):
    """The candidate's range of the least expected squared error over all numbers seen.

    Attributes:
        picked: which of `CANDIDATES` it was, "" before a range was asked for.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.picked = ""

    def range(self, seen: Tally) -> Interval:
        """The best candidate's range; notes which it is."""
        first = starts(seen, self.symmetric)
        ranges = [
            *first,
            entropy_range(seen, self.quant_max - self.quant_min + 1, self.symmetric),
            least_error(self.errors, first, self.symmetric),
        ]
        lows, highs = np.array(ranges).T
        best = int(np.argmin(self.errors(lows, highs)))
        self.picked = CANDIDATES[best]
        return ranges[best]
