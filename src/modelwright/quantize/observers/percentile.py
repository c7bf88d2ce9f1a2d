"""Calibration by percentile: the rarest and largest numbers are clipped, so that steps are finer for all others.

Source: McKinstry et al., 2018, arXiv 1809.04191; Wu et al., 2020, arXiv 2004.09602, section 5.2, who compare 99.9 %,
99.99 % and 99.999 % of the magnitudes.
"""

from typing import Any, final

from modelwright.errors import SettingError
from modelwright.quantize.observers.observer import RangeObserver
from modelwright.quantize.observers.tally import Tally
from modelwright.records.quantization import Interval

PERCENTILES = (99.9, 99.99, 99.999)
"""Those that Wu et al. compare."""


@final
class PercentileObserver(RangeObserver):
    """The range that holds a percentage of the numbers seen.

    Args:
        percentile: above 50, at most 100 (the whole range).
        **options: of every `RangeObserver`.

    Raises:
        SettingError: the percentile is another, or as `RangeObserver`.
    """

    def __init__(self, percentile: float = 99.99, **options: Any) -> None:
        if not 50 < percentile <= 100:
            raise SettingError("a percentile must be above 50 and at most 100", where="percentile", value=percentile)
        super().__init__(**options)
        self.percentile = percentile

    def range(self, seen: Tally) -> Interval:
        """The range of so many per cent."""
        return percentile_range(seen, self.percentile, self.symmetric)


def percentile_range(seen: Tally, percentile: float, symmetric: bool) -> Interval:
    """The range that holds so many per cent of the numbers.

    Symmetric, it is that of their magnitudes. Affine, half of the rest lies beyond either end; where all numbers have
    one sign, all of it lies beyond the far end, and the near one is zero.
    """
    share = percentile / 100
    if symmetric:
        reach = seen.magnitudes().quantile(share)
        return -reach, reach
    if seen.lowest >= 0:
        return 0.0, seen.quantile(share)
    if seen.highest <= 0:
        return seen.quantile(1 - share), 0.0
    return seen.quantile((1 - share) / 2), seen.quantile((1 + share) / 2)
