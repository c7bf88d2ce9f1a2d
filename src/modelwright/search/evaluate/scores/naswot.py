"""NASWOT: how differently a network without training sees the images of one batch.

Source: Mellor et al., 2020, arXiv 2006.04647. The paper's final score takes the binary code of an image: which
rectified linear units are active for it. K_ij = N - d_H(c_i, c_j) with N units and d_H the Hamming distance, and the
score is log |det K|. Its first version takes the correlations of the rows of the Jacobian, of the summed outputs by the
image: with their eigenvalues s_i the score is -sum(log(s_i + k) + 1 / (s_i + k)), k = 1e-5.
"""

from collections.abc import Callable

import torch
from torch import nn

from modelwright.search.evaluate.scores.fresh import looked_at

UNITS = (nn.ReLU, nn.SiLU, nn.Hardswish, nn.GELU)
"""What counts as a rectified linear unit: all of these are, or smooth, a line that is cut off below zero."""

SMALLEST = 1e-5
"""k, the paper's: keeps the logarithm and the inverse of an eigenvalue finite."""


def naswot(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """log |det K|; minus infinity where two images have one code.

    A unit is active where what enters it is positive.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def count(part: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        phases = given[0].reshape(-1, len(images), *given[0].shape[1:])  # more than one under space-to-batch
        active = (phases.transpose(0, 1).flatten(1) > 0).double().cpu()
        kernel.add_(active @ active.T).add_((1 - active) @ (1 - active).T)

    with looked_at(network), torch.no_grad():
        _watched(network, count, images)
    return float(torch.linalg.slogdet(kernel).logabsdet)


def jacobian_covariance(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """-sum(log(s + k) + 1 / (s + k)) over the eigenvalues s of the correlations between images' Jacobians."""
    with looked_at(network), torch.enable_grad():
        seen = images.detach().requires_grad_()
        jacobian = torch.autograd.grad(network(seen).sum(), seen)[0]
    correlations = torch.corrcoef(jacobian.flatten(1).double())
    eigenvalues = torch.linalg.eigvalsh(correlations).clamp(min=0) + SMALLEST
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


def _watched(
    network: nn.Module, watch: Callable[[nn.Module, tuple[torch.Tensor, ...]], None], images: torch.Tensor
) -> None:
    """One call in which each unit is watched."""
    hooks = [part.register_forward_pre_hook(watch) for part in network.modules() if isinstance(part, UNITS)]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
