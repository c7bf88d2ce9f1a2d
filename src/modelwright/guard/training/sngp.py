"""Spectral-normalized neural Gaussian process: distances are kept on the way in, and a Gaussian process reads them.

Every linear and convolutional weight W of the body becomes W * min(1, bound / s), s its largest singular value (of a
convolution, of its kernel as a matrix), found by power iteration. On features h of the body, normalised to |h|^2 = d,

    phi(h) = sqrt(2 / D) cos(A h + b),    A_ij ~ N(0, 1 / (length^2 d)),    b_i ~ U(0, 2 pi),    logits = phi B,

stands for a Gaussian process with kernel exp(-|h - h'|^2 / (2 length^2 d)). Its posterior covariance is Laplace's,
S^-1 = I + sum_i p_i (1 - p_i) phi_i phi_i', p_i being the probability of the predicted class. An input has variance
v = phi' S phi and logits / sqrt(1 + pi v / 8) (mean field). Scores: 1 - max p, v, and Dempster and Shafer's
k / (k + sum_c exp l_c). Source: Liu et al., 2020, arXiv 2006.10108.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from modelwright.guard.training.method import DEMPSTER, MAXIMUM, VARIANCE, Method, Verdict

_ROWS = 1024


@final
@dataclass(frozen=True)
class Sngp(Method):
    """A classifier that is less sure the farther an input is from those that it was trained on.

    Attributes:
        bound: on the singular values of the body's weights.
        features: D, random ones.
        length: of the kernel, in units of the length of the body's features.
        seed: of the random features.
    """

    bound: float = 0.95
    features: int = 512
    length: float = 0.5
    seed: int = 0

    def network(self, body: nn.Module, width: int, classes: int, groups: int) -> nn.Module:
        """The bounded body and the process."""
        for part in body.modules():
            if isinstance(part, nn.Linear | nn.modules.conv._ConvNd):
                parametrize.register_parametrization(part, "weight", Bounded(part.weight, self.bound))
        return nn.Sequential(body, GaussianProcess(width, classes, self))

    def settle(self, networks: Sequence[nn.Module], inputs: Tensor) -> None:
        """Singular values to more digits, and the posterior covariance of the process."""
        body, process = networks[0].children()
        for part in body.modules():
            if parametrize.is_parametrized(part, "weight"):
                held: Any = part.parametrizations
                held.weight[0].refine(held.weight.original)
        with torch.no_grad():
            process.condition([body(part) for part in torch.split(inputs, _ROWS)])  # type: ignore[operator]  # torch: any attribute

    def verdict(self, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
        """Mean-field probabilities with three scores."""
        body, process = networks[0].children()
        logits, variance = process.posterior(body(inputs))  # type: ignore[operator]  # torch: any attribute
        softened = logits / (1.0 + math.pi / 8.0 * variance).sqrt()[:, None]
        chances = softened.softmax(1)
        doubt = classes / (classes + softened.exp().sum(1))
        return Verdict(chances, {MAXIMUM: 1.0 - chances.amax(1), VARIANCE: variance, DEMPSTER: doubt})


class Bounded(nn.Module):
    """A weight whose largest singular value is at most a bound; a step of power iteration each time it is trained."""

    def __init__(self, weight: Tensor, bound: float) -> None:
        super().__init__()
        self.bound = bound
        self.register_buffer("left", nn.functional.normalize(weight.detach().flatten(1).sum(1), dim=0))
        self.refine(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, scaled down where it stretches too far."""
        matrix = weight.flatten(1)
        if self.training:
            self._turn(matrix.detach())
        left = self.get_buffer("left").clone()
        right = nn.functional.normalize(matrix.detach().T @ left, dim=0)
        largest = left @ matrix @ right
        found: Tensor = weight * (self.bound / largest.clamp(min=1e-12)).clamp(max=1.0)
        return found

    def refine(self, weight: Tensor, turns: int = 100) -> None:
        """Find the largest singular value to more digits."""
        for _ in range(turns):
            self._turn(weight.detach().flatten(1))

    @torch.no_grad()
    def _turn(self, matrix: Tensor) -> None:
        left = self.get_buffer("left")
        right = nn.functional.normalize(matrix.T @ left, dim=0)
        left.copy_(nn.functional.normalize(matrix @ right, dim=0))


class GaussianProcess(nn.Module):
    """Random features of a Gaussian kernel, a linear layer on them, and their posterior covariance."""

    def __init__(self, width: int, classes: int, settings: Sngp) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(settings.seed)
        count = settings.features
        across = torch.randn(count, width, generator=draw) / (settings.length * math.sqrt(width))
        self.register_buffer("across", across)
        self.register_buffer("phase", 2.0 * math.pi * torch.rand(count, generator=draw))
        self.register_buffer("covariance", torch.eye(count, dtype=torch.float64))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.linear = nn.Linear(count, classes, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits (n, k) of the body's features (n, d)."""
        found: Tensor = self.linear(self.features(hidden))
        return found

    def features(self, hidden: Tensor) -> Tensor:
        """The random features (n, D)."""
        across, phase = self.get_buffer("across"), self.get_buffer("phase")
        found: Tensor = math.sqrt(2.0 / len(phase)) * torch.cos(self.norm(hidden) @ across.T + phase)
        return found

    def condition(self, parts: Sequence[Tensor]) -> None:
        """Take the posterior covariance from the body's features of all familiar samples, in parts."""
        covariance = self.get_buffer("covariance")
        precision = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
        for hidden in parts:
            features = self.features(hidden)
            top = self.linear(features).softmax(1).amax(1)
            weighted = (features * (top * (1.0 - top))[:, None]).to(precision)
            precision += weighted.T @ features.to(precision)
        covariance.copy_(torch.cholesky_inverse(torch.linalg.cholesky(precision)))

    def posterior(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, k) and variances (n,) of the body's features."""
        features = self.features(hidden)
        covariance = self.get_buffer("covariance")
        wide = features.to(covariance)
        return self.linear(features), (wide @ covariance * wide).sum(1).to(features)
