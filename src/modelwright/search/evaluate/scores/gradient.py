"""Scores by the first gradient: its norm, and SNIP.

Source: Abdelfattah et al., 2021, arXiv 2101.08134: grad_norm is the sum, over the weights of convolutions and linear
layers, of the Euclidean norm of the loss's gradient on one batch; snip (Lee et al., 2018, arXiv 1810.02340) is the sum
of |gradient x weight| over the same weights.
"""

import torch
from torch import nn
from torch.nn import functional

from modelwright.search.evaluate.scores.fresh import looked_at, weights


def grad_norm(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The sum of each layer's ||dL/dw||, L the mean cross entropy of the batch."""
    return sum(float(gradient.norm()) for _, gradient in _gradients(network, images, labels))


def snip(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The sum of |w dL/dw| over all weights, L the mean cross entropy of the batch."""
    pairs = _gradients(network, images, labels)
    return sum(float((weight * gradient).abs().sum()) for weight, gradient in pairs)


def _gradients(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each weight with the gradient of the loss."""
    found = weights(network)
    with looked_at(network), torch.enable_grad():
        loss = functional.cross_entropy(network(images), labels)
        gradients = torch.autograd.grad(loss, found)
    return [(weight.detach(), gradient) for weight, gradient in zip(found, gradients, strict=True)]
