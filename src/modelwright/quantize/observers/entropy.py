"""Calibration by entropy: the range that keeps the most of the distribution's information.

Source: Migacz, 2017, 8-bit Inference with TensorRT (GTC); Wu et al., 2020, arXiv 2004.09602, section 5.2. A histogram
of 2048 bins is cut at every candidate; P is what is inside, with what was cut off added to the last bin; Q is what is
left of it when its bins are merged into as many levels as there are whole numbers. The cut of the least divergence
KL(P || Q) = sum P log(P / Q) wins. As in TensorRT, exact zeros, of which a ReLU makes half of all numbers, do not
count: every scale represents them exactly. Where numbers have both signs and the scheme is affine, both ends are cut
at the same magnitude.
"""

import math
from typing import final

import numpy as np

from modelwright.quantize.observers.observer import RangeObserver, whole
from modelwright.quantize.observers.tally import Floats, Tally
from modelwright.records.quantization import Interval

_BINS = 2048
_CANDIDATES = 128
_WIDEST_LEVEL = 16  # bins that a level is made of when nothing is cut, as Migacz has it


@final
class EntropyObserver(RangeObserver):
    """The range of the least divergence of the distribution from the quantized one."""

    def range(self, seen: Tally) -> Interval:
        """The range that keeps the most information."""
        return entropy_range(seen, self.quant_max - self.quant_min + 1, self.symmetric)


def entropy_range(seen: Tally, levels: int, symmetric: bool) -> Interval:
    """The range of the least divergence.

    Args:
        seen: the numbers.
        levels: how many whole numbers there are.
        symmetric: the magnitudes are cut, and half of the levels are theirs.
    """
    low, high = whole(seen)
    if symmetric:
        seen, levels, low, high = seen.magnitudes(), (levels + 1) // 2, 0.0, max(-low, high)
    reach = max(-low, high)
    if not reach:
        return low, high
    bins = max(_BINS, _WIDEST_LEVEL * levels)
    counts = seen.nonzero().histogram(np.linspace(-reach, reach, 2 * bins + 1))
    below, above = (math.ceil(max(0.0, end) / reach * bins) for end in (-low, high))
    cuts = np.linspace(bins, levels, _CANDIDATES).astype(int)  # the widest first: it wins where all are alike
    found = [_divergence(counts, bins - min(cut, below), bins + min(cut, above), levels) for cut in cuts]
    cut = reach * float(cuts[int(np.argmin(found))]) / bins
    return (-cut, cut) if symmetric else (max(low, -cut), min(high, cut))


def _divergence(counts: Floats, start: int, end: int, levels: int) -> float:
    """KL(P || Q) where bins `start` to `end` are kept; infinite where Q has none of what P has."""
    kept = counts[start:end]
    original = kept.copy()
    original[0] += counts[:start].sum()
    original[-1] += counts[end:].sum()
    held = original > 0
    level = np.arange(len(kept)) * levels // len(kept)
    merged, among = np.bincount(level, kept), np.bincount(level, held)
    spread = (merged / np.maximum(among, 1))[level]
    p, q = original[held] / original.sum(), spread[held]
    if not (q > 0).all():
        return math.inf
    return float((p * np.log(p / (q / q.sum()))).sum())
