"""A Gaussian process over choices: additive and joint effects, one length scale a choice.

The covariance of two points is

    k = s * (w * mean_j (1 - (1 - exp(-t_j)) d_j)  +  (1 - w) * exp(-sum_j t_j d_j)),

with d_j how far they are apart in choice j (0 to 1) and t_j how much that choice matters. The first term adds up
effects of single choices, the second lets all act together: sum and product of one kernel per variable as in CoCaBO
(Ru et al., 2020, arXiv 1906.08878), and the transformed overlap kernel with one length scale a variable of
Casmopolitan (Wan et al., 2021, arXiv 2102.07188). Scales, weight and noise are those of the largest posterior, found
by L-BFGS from exact gradients (Rasmussen and Williams, 2006, section 5.4).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Numbers = NDArray[np.float64]

START = (0.0, 0.0, 0.0, -5.0)
"""Logarithm of every t_j; logit of w; logarithms of s and of the noise, in units of the standardised targets."""
CENTRES, WIDTHS = (0.0, 0.0, 0.0, -7.0), (1.5, 2.0, 2.0, 2.0)
"""Normal priors on these: wide, so that a handful of points cannot rule a choice out or call noise a signal."""
BOUNDS = ((-6.0, 4.0), (-6.0, 6.0), (-4.0, 4.0), (-14.0, 0.0))
JITTER = 1e-8


@final
@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process.

    Attributes:
        parameters: as they were optimised, (choices + 3,); a good start for the next fit.
        mean, deviation: of the targets.
        factor: lower Cholesky factor of the covariance of the points, (points, points).
        weights: the covariance's inverse times the standardised targets, (points,).
    """

    parameters: Numbers
    mean: float
    deviation: float
    factor: Numbers
    weights: Numbers

    @staticmethod
    def fit(apart: Numbers, targets: Numbers, start: Numbers | None = None, steps: int = 40) -> "GaussianProcess":
        """The process that explains the targets best.

        Args:
            apart: `distances` of the points among themselves, (points, points, choices).
            targets: (points,).
            start: parameters to begin from.
            steps: of the optimiser at most; with 0, `start` is kept.
        """
        mean, deviation = float(targets.mean()), float(targets.std()) or 1.0
        standard = (targets - mean) / deviation
        choices = apart.shape[2]
        begin = _spread(START, choices) if start is None else start
        flat = apart.reshape(-1, choices)
        found = begin
        if steps:
            fitted = minimize(
                _objective,
                begin,
                args=(flat, standard),
                jac=True,
                method="L-BFGS-B",
                bounds=[BOUNDS[min(max(place - choices + 1, 0), 3)] for place in range(choices + 3)],
                options={"maxiter": steps},
            )
            found = fitted.x
        factor = cholesky(_covariance(apart, found) + _noise(found) * np.eye(len(targets)), lower=True)
        return GaussianProcess(found, mean, deviation, factor, cho_solve((factor, True), standard))

    def predict(self, apart: Numbers) -> tuple[Numbers, Numbers]:
        """Mean and standard deviation at other points, (others,) each, without the noise.

        Args:
            apart: `distances` of the others from the points, (others, points, choices).
        """
        cross = _covariance(apart, self.parameters)
        solved = solve_triangular(self.factor, cross.T, lower=True)
        left = np.exp(self.parameters[-2]) - (solved**2).sum(axis=0)
        spread = np.sqrt(np.maximum(left, 1e-12))
        return cross @ self.weights * self.deviation + self.mean, spread * self.deviation


def _spread(four: tuple[float, ...], choices: int) -> Numbers:
    """One number for every t_j, and the three others."""
    return np.array([four[0]] * choices + list(four[1:]))


def _noise(parameters: Numbers) -> float:
    return float(np.exp(parameters[-1])) + JITTER


def _terms(apart: Numbers, parameters: Numbers) -> tuple[Numbers, Numbers]:
    """The additive and the joint term for all pairs."""
    scales = np.exp(parameters[:-3])
    additive = 1.0 - apart @ (-np.expm1(-scales)) / len(scales)
    return additive, np.exp(-(apart @ scales))


def _weight(parameters: Numbers) -> float:
    return float(1.0 / (1.0 + np.exp(-parameters[-3])))


def _covariance(apart: Numbers, parameters: Numbers) -> Numbers:
    additive, joint = _terms(apart, parameters)
    weight = _weight(parameters)
    found: Numbers = np.exp(parameters[-2]) * (weight * additive + (1.0 - weight) * joint)
    return found


def _objective(parameters: Numbers, flat: Numbers, targets: Numbers) -> tuple[float, Numbers]:
    """The negative logarithm of the posterior, up to a constant, and its gradient."""
    points, choices = len(targets), flat.shape[1]
    scales, weight, size = np.exp(parameters[:-3]), _weight(parameters), float(np.exp(parameters[-2]))
    additive, joint = (term.reshape(points, points) for term in _terms(flat, parameters))
    shape = weight * additive + (1.0 - weight) * joint
    off = parameters - _spread(CENTRES, choices)
    widths = _spread(WIDTHS, choices)
    try:
        factor = cholesky(size * shape + _noise(parameters) * np.eye(points), lower=True)
    except np.linalg.LinAlgError:
        return 1e12, np.zeros_like(parameters)
    solved = cho_solve((factor, True), targets)
    value = 0.5 * targets @ solved + np.log(np.diag(factor)).sum() + 0.5 * ((off / widths) ** 2).sum()
    outer = 0.5 * size * (cho_solve((factor, True), np.eye(points)) - np.outer(solved, solved))
    slope = np.empty_like(parameters)
    by_choice = (1.0 - weight) * flat.T @ (outer * joint).ravel()
    by_choice += weight / choices * np.exp(-scales) * (flat.T @ outer.ravel())
    slope[:-3] = -scales * by_choice
    slope[-3] = weight * (1.0 - weight) * (outer * (additive - joint)).sum()
    slope[-2] = (outer * shape).sum()
    slope[-1] = np.trace(outer) / size * np.exp(parameters[-1])
    return float(value), slope + off / widths**2
