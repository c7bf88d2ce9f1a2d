"""The optimiser that a recipe names, with weight decay where it belongs."""

from typing import Any

import torch
from torch import nn

from modelwright.records import Recipe


def optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of a network's weights, at the recipe's peak rate.

    SGD with Nesterov momentum (0.9), AdamW (2017, arXiv 1711.05101), or RMSprop as in MnasNet (2018, arXiv 1807.11626).
    Decay is added to the gradient, but AdamW applies it to the weights.
    """
    groups = decay_groups(network, recipe.weight_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True, foreach=True)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.RMSprop(groups, lr=recipe.learning_rate, alpha=0.9, momentum=0.9, eps=1e-3, foreach=True)


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The network's parameters in two groups: matrices and kernels, which decay, and all else, which does not.

    A matrix or a kernel is a parameter called `weight` of two axes or more; norms, biases, learned positions and class
    tokens are not.
    """
    trained = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    decays = [name.rpartition(".")[2] == "weight" and value.ndim >= 2 for name, value in trained]
    parted = [
        [value for (_, value), decay in zip(trained, decays, strict=True) if decay is wanted]
        for wanted in (True, False)
    ]
    return [
        {"params": values, "weight_decay": decay}
        for values, decay in zip(parted, (weight_decay, 0.0), strict=True)
        if values
    ]
