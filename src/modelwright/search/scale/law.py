"""The law of accuracy: how the error of a base falls as depth, width and resolution grow.

    error(d, w, r) = floor + (a d^-q + b w^-q + c r^-q)^p

A constant elasticity of substitution (Arrow, Chenery, Minhas and Solow, Review of Economics and Statistics 43 (3),
1961) within a power law. Why this one: each coefficient alone has diminishing returns and ends at what the other two
leave to be done, as EfficientNet's authors observed (2019, arXiv 1905.11946, section 3.2); and for p < 1 the three help
one another, which their Table 7 shows: at four times the FLOPs, depth, width or resolution alone gain 1.6 to 1.8
points, all three together 3.8. Six numbers. With p = 1 it is a sum of power laws, as is usual for language models
(2022, arXiv 2203.15556); with q -> 0 it goes to a product of powers.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, final

import msgspec
import numpy as np
from scipy.optimize import least_squares

from modelwright.errors import SettingError
from modelwright.records.costs import Numbers
from modelwright.records.scaling import Coefficients, Law, Observation, Powers

FEWEST = 6
"""Observations: as many as the law has numbers."""

_NAMES = ("floor", "outer", "inner", "depth", "width", "resolution")
_MOST = (0.0, 2.0, 12.0, 1.0, 1.0, 1.0)
_STARTS = tuple(itertools.product((0.5, 0.9), (0.4, 1.0), (0.5, 3.0)))
_STEPS = (0.1, 0.3, 1.0, 0.05, 0.05, 0.05)
_ROUNDS = 200
_TINY = 1e-30
_SIMPLER = 1e-4


class Accuracy(Protocol):
    """Accuracy, from 0 to 1, of arrays of real coefficients, element by element; more of any never has less."""

    def __call__(self, depth: Numbers, width: Numbers, resolution: Numbers) -> Numbers:
        """One accuracy an element."""
        ...


@final
@dataclass(frozen=True)
class FittedLaw:
    """The law with its numbers; called with coefficients, it tells accuracy.

    Attributes:
        law: the record.
    """

    law: Law

    def __call__(self, depth: Numbers, width: Numbers, resolution: Numbers) -> Numbers:
        """Accuracy, from 0 to 1, of coefficients over the base's, element by element."""
        return _accuracy(self.law.powers, depth, width, resolution)

    def deviation(self, depth: float, width: float, resolution: float) -> float:
        """Standard deviation of one prediction by the jackknife (Efron and Stein, Annals of Statistics 9 (3), 1981)."""
        return _jackknife(self._left(Coefficients(depth, width, resolution)))

    def gain(self, one: Coefficients, other: Coefficients) -> tuple[float, float]:
        """How much more accurate one scale is than another, and the standard deviation of that difference."""
        whole = self(*np.array([msgspec.structs.astuple(one), msgspec.structs.astuple(other)]).T)
        return float(whole[0] - whole[1]), _jackknife(self._left(one) - self._left(other))

    def _left(self, scale: Coefficients) -> Numbers:
        """Accuracy by each fit that leaves out an observation."""
        where = [np.array(value) for value in msgspec.structs.astuple(scale)]
        return np.array([float(_accuracy(powers, *where)) for powers in self.law.without])

    def beyond(self, depth: float, width: float, resolution: float) -> bool:
        """Whether a coefficient lies beyond all that was observed."""
        asked = {"depth": depth, "width": width, "resolution": resolution}
        for name, value in asked.items():
            seen = [getattr(observation, name) for observation in self.law.observations]
            if not min(seen) * (1 - 1e-9) <= value <= max(seen) * (1 + 1e-9):
                return True
        return False


@final
@dataclass(frozen=True)
class ScalingLaw:
    """The law before it is fitted.

    Attributes:
        prior: weight of a pull towards the middle of what is usual, for numbers that the observations leave open.
    """

    prior: float = _SIMPLER

    def fit(self, observations: Sequence[Observation]) -> FittedLaw:
        """The law of some observations, and of all but one of them, one after the other. Nothing is drawn at random.

        Args:
            observations: with real coefficients, as `base.real` makes them.

        Raises:
            SettingError: fewer observations than numbers, or a coefficient that never changes.
        """
        if len(observations) < FEWEST:
            rule, way_out = f"a law needs at least {FEWEST} observations", "Train the base at more scales."
            raise SettingError(rule, where="observations", value=len(observations), way_out=way_out)
        for name in ("depth", "width", "resolution"):
            if len({getattr(observation, name) for observation in observations}) < 2:
                rule = f"a law needs observations at more than one {name}"
                raise SettingError(rule, where="observations", way_out=f"Train the base at another {name}.")
        data = np.array([(one.depth, one.width, one.resolution, 1.0 - one.accuracy) for one in observations])
        found = [self._fit(data, start) for start in _starts(data)]
        _, best = min(found, key=lambda pair: pair[0])
        without = tuple(_powers(self._fit(np.delete(data, i, axis=0), best)[1]) for i in range(len(data)))
        residual = float(np.sqrt(np.mean(_differences(best, data) ** 2)))
        return FittedLaw(Law(_powers(best), without, tuple(observations), residual))

    def _fit(self, data: Numbers, start: Numbers) -> tuple[float, Numbers]:
        """Cost and numbers of the nearest best fit from one start."""
        most = np.array([max(0.98 * data[:, 3].min(), 1e-5), *_MOST[1:]])
        least = np.array([0.0, 0.05, 0.05, 0.0, 0.0, 0.0])
        pull = np.sqrt(self.prior)

        def misses(numbers: Numbers) -> Numbers:
            usual = np.log(numbers[1:3])
            return np.append(100.0 * _differences(numbers, data), pull * usual)

        found = least_squares(
            misses,
            np.clip(start, least + 1e-6, most - 1e-6),
            bounds=(least, most),
            x_scale=_STEPS,
            max_nfev=_ROUNDS,
        )
        return float(found.cost), cast(Numbers, found.x)


def _jackknife(left: Numbers) -> float:
    return float(np.sqrt((len(left) - 1) * np.mean((left - left.mean()) ** 2)))


def _starts(data: Numbers) -> list[Numbers]:
    """Numbers to begin with: a floor, outer and inner powers, and equal parts that meet the largest error."""
    worst, best = data[:, 3].max(), data[:, 3].min()
    return [
        np.array([floor * best, outer, inner, *[(worst - floor * best) ** (1 / outer) / 3] * 3])
        for floor, outer, inner in _STARTS
    ]


def _differences(numbers: Numbers, data: Numbers) -> Numbers:
    return _error(numbers, *data[:, :3].T) - data[:, 3]


def _error(numbers: Numbers, depth: Numbers, width: Numbers, resolution: Numbers) -> Numbers:
    floor, outer, inner, *parts = numbers
    left = parts[0] * depth**-inner + parts[1] * width**-inner + parts[2] * resolution**-inner
    return cast(Numbers, floor + np.maximum(left, _TINY) ** outer)


def _accuracy(powers: Powers, depth: Numbers, width: Numbers, resolution: Numbers) -> Numbers:
    return 1.0 - _error(np.array([getattr(powers, name) for name in _NAMES]), depth, width, resolution)


def _powers(numbers: Numbers) -> Powers:
    return msgspec.convert(dict(zip(_NAMES, map(float, numbers), strict=True)), Powers)
