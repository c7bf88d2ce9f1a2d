"""SynFlow: how much flows through a network along all its paths, without any data.

Source: Tanaka et al., 2020, arXiv 2006.05467: with all weights replaced by their absolute values and an image of ones,
R is the sum of the outputs; the synaptic saliency of a weight is w dR/dw. The score is its sum over the weights of
convolutions and linear layers, as in Abdelfattah et al., 2021, arXiv 2101.08134. In a network of L linear layers alone
each layer's sum is R (the paper's conservation law), and the score is L R.
"""

from copy import deepcopy

import torch
from torch import nn

from modelwright.search.evaluate.scores.fresh import weights


def synflow(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The sum of w dR/dw over all weights.

    In double precision, for R grows with every layer. Batch normalisation evaluates, with the statistics it was born
    with, so that it is the identity; what the images show is not looked at.
    """
    linear = deepcopy(network).double().eval()
    with torch.no_grad():
        for value in linear.parameters():
            value.abs_()
    found = weights(linear)
    with torch.enable_grad():
        total = linear(torch.ones_like(images[:1], dtype=torch.float64)).sum()
        gradients = torch.autograd.grad(total, found)
    return sum(float((weight.detach() * gradient).sum()) for weight, gradient in zip(found, gradients, strict=True))
