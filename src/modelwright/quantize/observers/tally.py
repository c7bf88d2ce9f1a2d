"""A tally of the numbers seen: what calibration remembers of gigabytes, in kilobytes.

Numbers that share sign, exponent and the first eight bits of their mantissa share a bin, so a bin is 0.2 to 0.4 % wide
wherever it lies: one stray number of a million costs no resolution near one. Bins stay where they are, so that the
order and the size of batches change nothing. A bin keeps its count and its sum: a number that comes back often, such as
the ceiling of a ReLU6, is remembered as it is.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from modelwright.errors import RecordError

Floats = npt.NDArray[np.float64]

_SHIFT = 23 - 8  # of float32's mantissa, the bits that are forgotten
_HALF = 1 << (31 - _SHIFT)  # the bin of zero; negative numbers lie below it


@final
@dataclass(frozen=True, eq=False)
class Tally:
    """How often numbers were seen.

    Attributes:
        keys: of the bins that hold numbers, in ascending order of the numbers, int64.
        counts: of each.
        sums: of the numbers in each.
        lowest, highest: the least and the greatest number, exactly.
    """

    keys: npt.NDArray[np.int64]
    counts: Floats
    sums: Floats
    lowest: float
    highest: float

    @property
    def total(self) -> float:
        """How many numbers were seen."""
        return float(self.counts.sum())

    @property
    def values(self) -> Floats:
        """The mean of the numbers of each bin, ascending."""
        return self.sums / self.counts

    def join(self, other: "Tally") -> "Tally":
        """Both together."""
        return _merged(
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.counts, other.counts]),
            np.concatenate([self.sums, other.sums]),
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )

    def magnitudes(self) -> "Tally":
        """The same numbers without their signs."""
        ends = sorted((abs(self.lowest), abs(self.highest)))
        keys = np.where(self.keys < _HALF, 2 * _HALF - 1 - self.keys, self.keys)
        lowest = 0.0 if self.lowest < 0 < self.highest else ends[0]
        return _merged(keys, self.counts, np.abs(self.sums), lowest, ends[1])

    def nonzero(self) -> "Tally":
        """The same numbers without the zeros."""
        kept = self.keys != _HALF
        return Tally(self.keys[kept], self.counts[kept], self.sums[kept], self.lowest, self.highest)

    def quantile(self, share: float) -> float:
        """The number that a share of them do not exceed; numbers are taken to lie evenly in a bin."""
        knots, below = self._distribution()
        return float(np.interp(share * self.total, below, knots))

    def histogram(self, edges: Floats) -> Floats:
        """How many lie between each of ascending edges and the next; numbers are taken to lie evenly in a bin."""
        knots, below = self._distribution()
        passed = np.where(edges <= self.lowest, 0.0, np.interp(edges, knots, below))
        return np.diff(passed)

    def _distribution(self) -> tuple[Floats, Floats]:
        """Both ends of each bin, and how many numbers lie below them."""
        negative = self.keys < _HALF
        steps = np.where(negative, _HALF - 1 - self.keys, self.keys - _HALF)
        inner, outer = _magnitude(steps), _magnitude(steps + 1)
        ends = np.stack([np.where(negative, -outer, inner), np.where(negative, -inner, outer)], axis=1)
        passed = np.cumsum(self.counts)
        below = np.stack([passed - self.counts, passed], axis=1)
        return ends.clip(self.lowest, self.highest).ravel(), below.ravel()


def tally(x: Tensor) -> Tally:
    """What a tensor of one number or more adds to a tally.

    Raises:
        RecordError: a number is not finite.
    """
    flat = x.detach().to(torch.float32).flatten()
    lowest, highest = (float(end) for end in torch.aminmax(flat))  # both are NaN where one number is
    if not np.isfinite([lowest, highest]).all():
        way_out = "Look for NaN or infinity in the calibration data, or in what the network makes of it."
        raise RecordError(
            "numbers that ranges are found on must be finite", where="calibration", value=(lowest, highest),
            way_out=way_out,
        )  # fmt: skip
    steps = (flat.view(torch.int32) & 0x7FFFFFFF) >> _SHIFT
    keys = torch.where(flat < 0, _HALF - 1 - steps, _HALF + steps)
    counts = torch.bincount(keys, minlength=2 * _HALF)
    sums = torch.bincount(keys, weights=flat.to(torch.float64), minlength=2 * _HALF)
    held = counts.nonzero().flatten()
    return Tally(_numpy(held), _numpy(counts[held].to(torch.float64)), _numpy(sums[held]), lowest, highest)


def packed(seen: Tally) -> Tensor:
    """A tally as one float64 tensor of shape (3, bins + 1), for a state dictionary."""
    ends = np.array([[seen.lowest], [seen.highest], [0.0]])
    return torch.from_numpy(np.concatenate([ends, np.stack([seen.keys, seen.counts, seen.sums])], axis=1))


def unpacked(state: Tensor) -> Tally:
    """The tally in such a tensor."""
    rows: Floats = state.cpu().numpy()
    keys, counts, sums = (rows[place, 1:] for place in range(3))
    return Tally(keys.astype(np.int64), counts, sums, float(rows[0, 0]), float(rows[1, 0]))


def _merged(keys: npt.NDArray[np.int64], counts: Floats, sums: Floats, lowest: float, highest: float) -> Tally:
    held, place = np.unique(keys, return_inverse=True)
    counts, sums = (np.bincount(place, one).astype(np.float64) for one in (counts, sums))
    return Tally(held, counts, sums, lowest, highest)


def _magnitude(steps: npt.NDArray[np.int64]) -> Floats:
    """The least magnitude of a bin."""
    return (steps.astype(np.int32) << _SHIFT).view(np.float32).astype(np.float64)


def _numpy(x: Tensor) -> Any:
    return x.cpu().numpy()
