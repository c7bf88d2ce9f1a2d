"""How values are spread: counts in buckets of growing width, from which every percentile is told within 1 %.

The bucket of a positive value v is ceil(log v / log g), g being (1 + a) / (1 - a) at an accuracy of a; all that is in a
bucket is told as 2 g^i / (g + 1), which is within a of each. Buckets of several minutes and servers are added up, with
nothing lost. Source: Masson, Rim, Lee, 2019, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees", arXiv 1908.10693.
"""

import bisect
import itertools
import math
import sys
from collections.abc import Mapping

import msgspec

from modelwright.records import Sample

ACCURACY = 0.01
"""Of a percentile, relative."""

Buckets = dict[int, float]
"""Number of a bucket -> how many values are in it."""

_WIDTH = math.log((1.0 + ACCURACY) / (1.0 - ACCURACY))
_MOST = math.log(sys.float_info.max)
_ONE = 40_000
"""Number of the bucket of 1: above 0 for the least positive double, so that numbers are in the order of values."""


def bucket_of(value: float) -> int:
    """The number of a finite value's bucket: higher for higher values, 0 for 0."""
    if value == 0:
        return 0
    number = math.ceil(math.log(abs(value)) / _WIDTH) + _ONE
    return number if value > 0 else -number


def middle_of(bucket: int) -> float:
    """What all values in a bucket are told as."""
    if bucket == 0:
        return 0.0
    power = (abs(bucket) - _ONE) * _WIDTH + math.log(1.0 - ACCURACY)  # 2 / (g + 1) = 1 - a
    return math.copysign(math.exp(min(power, _MOST)), bucket)


def percentile(sample: Sample, share: float) -> float | None:
    """The value that a share of a period's values are at or below; None where not all of them are known.

    Args:
        sample: of the period, with its spread. Where all values are the same it needs none.
        share: from 0 to 1.
    """
    if sample.least == sample.most:
        return sample.least
    known = list(itertools.accumulate(count for _, count in sample.spread))
    if not known or not math.isclose(known[-1], sample.count):  # some came as sums, or before a server was killed
        return None
    place = bisect.bisect_right(known, share * (sample.count - 1.0))
    bucket, _ = sample.spread[min(place, len(known) - 1)]
    return min(max(middle_of(bucket), sample.least), sample.most)


def joined(one: Sample, other: Sample) -> Sample:
    """Both periods together, at the first one's beginning."""
    spread = dict(one.spread)
    add(spread, dict(other.spread))
    least, most = min(one.least, other.least), max(one.most, other.most)
    return Sample(one.at, one.count + other.count, one.total + other.total, least, most, tuple(sorted(spread.items())))


def add(spread: Buckets, other: Mapping[int, float]) -> None:
    """Take another one's counts into a spread."""
    for bucket, count in other.items():
        spread[bucket] = spread.get(bucket, 0) + count


def packed(spread: Mapping[int, float]) -> bytes:
    """As bytes."""
    return msgspec.msgpack.encode(spread) if spread else b""


def unpacked(data: bytes) -> Buckets:
    """What `packed` made."""
    return msgspec.msgpack.decode(data, type=dict[int, float]) if data else {}
