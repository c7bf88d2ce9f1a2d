"""A tally of the numbers seen: what calibration remembers of gigabytes, in kilobytes.

Numbers that share sign, exponent and the first eight bits of their mantissa share a bin, so a bin is 0.2 to 0.4 % wide
wherever it lies: one stray number of a million costs no resolution near one. Bins stay where they are, so that the
order and the size of batches change nothing. A bin keeps the count, mean and variance of its numbers: one that comes
back often, such as the ceiling of a ReLU6, is remembered as it is, and many that differ are remembered as differing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

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
        excess: sum, in each, of what the numbers' magnitudes have above the bin's least magnitude.
        squares: sum, in each, of its squares.
        lowest, highest: the least and the greatest number, exactly.
    """

    keys: npt.NDArray[np.int64]
    counts: Floats
    excess: Floats
    squares: Floats
    lowest: float
    highest: float

    @property
    def total(self) -> float:
        """How many numbers were seen."""
        return float(self.counts.sum())

    def points(self) -> tuple[Floats, Floats]:
        """Numbers and weights that stand for all: of each bin two, so that count, mean and variance are its own.

        It is Gauss's rule of two points: a squared error is exact for each bin of which all numbers are rounded alike.
        """
        mean = self.excess / self.counts
        spread = np.sqrt(np.maximum(self.squares / self.counts - mean**2, 0.0))
        negative, steps = self._places()
        magnitudes = np.concatenate([_magnitude(steps) + mean - spread, _magnitude(steps) + mean + spread])
        return np.where(np.tile(negative, 2), -magnitudes, magnitudes), np.tile(self.counts / 2, 2)

    def join(self, other: "Tally") -> "Tally":
        """Both together."""
        both = ((self.keys, other.keys), *zip(self._sums, other._sums, strict=True))
        keys, *sums = (np.concatenate(pair) for pair in both)
        return _merged(keys, sums, min(self.lowest, other.lowest), max(self.highest, other.highest))

    def magnitudes(self) -> "Tally":
        """The same numbers without their signs."""
        ends = sorted((abs(self.lowest), abs(self.highest)))
        keys = np.where(self.keys < _HALF, 2 * _HALF - 1 - self.keys, self.keys)
        lowest = 0.0 if self.lowest < 0 < self.highest else ends[0]
        return _merged(keys, self._sums, lowest, ends[1])

    def nonzero(self) -> "Tally":
        """The same numbers without the zeros."""
        kept = self.keys != _HALF
        return _merged(self.keys[kept], [one[kept] for one in self._sums], self.lowest, self.highest)

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
        negative, steps = self._places()
        inner, outer = _magnitude(steps), _magnitude(steps + 1)
        ends = np.stack([np.where(negative, -outer, inner), np.where(negative, -inner, outer)], axis=1)
        passed = np.cumsum(self.counts)
        below = np.stack([passed - self.counts, passed], axis=1)
        return ends.clip(self.lowest, self.highest).ravel(), below.ravel()

    def _places(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Whether each bin's numbers are negative, and the bin's place among magnitudes."""
        negative = self.keys < _HALF
        return negative, np.where(negative, _HALF - 1 - self.keys, self.keys - _HALF)

    @property
    def _sums(self) -> tuple[Floats, Floats, Floats]:
        return self.counts, self.excess, self.squares


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
    excess = (flat.abs() - (steps << _SHIFT).view(torch.float32)).to(torch.float64)
    counts = torch.bincount(keys, minlength=2 * _HALF)
    held = counts.nonzero().flatten()
    sums = [torch.bincount(keys, weights=one, minlength=2 * _HALF)[held] for one in (excess, excess.square())]
    found = (counts[held].to(torch.float64), *sums)
    return _merged(held.cpu().numpy(), [one.cpu().numpy() for one in found], lowest, highest)


def packed(seen: Tally) -> Tensor:
    """A tally as one float64 tensor of shape (4, bins + 1), for a state dictionary."""
    rows = np.stack([seen.keys, seen.counts, seen.excess, seen.squares])
    ends = np.array([[seen.lowest], [seen.highest], [0.0], [0.0]])
    return torch.from_numpy(np.concatenate([ends, rows], axis=1))


def unpacked(state: Tensor) -> Tally:
    """The tally in such a tensor."""
    rows: Floats = state.cpu().numpy()
    counts, excess, squares = (rows[place, 1:] for place in (1, 2, 3))
    return Tally(rows[0, 1:].astype(np.int64), counts, excess, squares, float(rows[0, 0]), float(rows[1, 0]))


def _merged(keys: npt.NDArray[np.int64], sums: Sequence[Floats], lowest: float, highest: float) -> Tally:
    held, place = np.unique(keys, return_inverse=True)
    counts, excess, squares = (np.bincount(place, one).astype(np.float64) for one in sums)
    return Tally(held, counts, excess, squares, lowest, highest)


def _magnitude(steps: npt.NDArray[np.int64]) -> Floats:
    """The least magnitude of a bin."""
    return (steps.astype(np.int32) << _SHIFT).view(np.float32).astype(np.float64)
