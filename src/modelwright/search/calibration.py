"""The performance model as a prior, corrected by a few measurements.

The logarithm of the latency is taken to be a line in the logarithm of the estimate and in a few more features,

    log m = a + b log e + sum_j c_j f_j,    b ~ N(1, .2),  c_j ~ N(0, .1),  noise ~ N(0, .07), a free,

so that with few measurements the model is only scaled, and with many its lean towards deep, large or wide networks is
learned as well. This is ridge regression around the model (Bishop, 2006, section 3.3.1). Features: logarithms of the
number of blocks, of the parameters and of the image's side, each less its mean over the sample.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.records import Architecture

Numbers = NDArray[np.float64]

_PRIOR = (1.0, 0.0, 0.0, 0.0)
_WIDTHS = (0.2, 0.1, 0.1, 0.1)
_NOISE = 0.07


class Calibration(msgspec.Struct, frozen=True):
    """A fitted correction of estimated latencies.

    Attributes:
        mean: of the sample: the logarithm of its measured latencies.
        centre: (features,), their means over the sample.
        slopes: (features,), of the estimate's logarithm first.
        error: median of |predicted / measured - 1| over the sample, each member predicted from all others.
        names: of the sample's networks.
        estimated_s: what the model said of each.
        measured_s: what each took.
    """

    mean: float
    centre: tuple[float, ...]
    slopes: tuple[float, ...]
    error: float
    names: tuple[str, ...]
    estimated_s: tuple[float, ...]
    measured_s: tuple[float, ...]

    @staticmethod
    def fit(
        architectures: Sequence[Architecture], estimates: Sequence[Mapping[str, float]], measured_s: Sequence[float]
    ) -> "Calibration":
        """The correction that a sample of measured networks speaks for.

        Args:
            architectures: of the sample.
            estimates: of each, the model's `latency_s` and `params`.
            measured_s: of each.

        Raises:
            SettingError: fewer than two were measured.
        """
        if len(architectures) < 2:
            rule = "a calibration needs two measured networks at least"
            raise SettingError(rule, value=len(architectures), way_out="Measure more.")
        rows, target = _features(architectures, estimates), np.log(np.array(measured_s, dtype=np.float64))
        mean, centre, slopes = _solve(rows, target)
        others = [np.arange(len(target)) != place for place in range(len(target))]
        left_out = [_predict(rows[~some], *_solve(rows[some], target[some]))[0] for some in others]
        error = float(np.median(np.abs(np.exp(np.array(left_out) - target) - 1.0)))
        return Calibration(
            mean,
            tuple(centre.tolist()),
            tuple(slopes.tolist()),
            error,
            tuple(found.name for found in architectures),
            tuple(float(row["latency_s"]) for row in estimates),
            tuple(float(seconds) for seconds in measured_s),
        )

    def latency_s(self, architectures: Sequence[Architecture], estimates: Sequence[Mapping[str, float]]) -> Numbers:
        """Corrected seconds of networks for which the model said `estimates`, (networks,)."""
        rows = _features(architectures, estimates)
        return np.exp(_predict(rows, self.mean, np.array(self.centre), np.array(self.slopes)))


def _features(architectures: Sequence[Architecture], estimates: Sequence[Mapping[str, float]]) -> Numbers:
    rows = [
        (row["latency_s"], found.depth, max(row["params"], 1.0), found.input[-1])
        for found, row in zip(architectures, estimates, strict=True)
    ]
    return np.log(np.array(rows, dtype=np.float64))


def _solve(rows: Numbers, target: Numbers) -> tuple[float, Numbers, Numbers]:
    """Mean of the target, means of the features, and slopes of largest posterior."""
    mean, centre = float(target.mean()), rows.mean(axis=0)
    prior, width = np.array(_PRIOR), np.array(_WIDTHS)
    off, flat = target - mean, rows - centre
    precision = flat.T @ flat / _NOISE**2 + np.diag(width**-2)
    slopes = np.linalg.solve(precision, flat.T @ off / _NOISE**2 + prior / width**2)
    return mean, centre, slopes


def _predict(rows: Numbers, mean: float, centre: Numbers, slopes: Numbers) -> Numbers:
    found: Numbers = mean + (rows - centre) @ slopes
    return found
