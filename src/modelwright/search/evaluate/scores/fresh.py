"""A freshly drawn network as scores look at it: batch statistics, no dropout, no gradients left from before."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from modelwright.training.average import NORMS


@contextmanager
def looked_at(network: nn.Module) -> Iterator[None]:
    """Batch normalisation by the batch, as at the first step of training, all else as in evaluation.

    A network that has seen no image has no statistics yet. Modes and statistics are put back, gradients are dropped.
    """
    modes = {part: part.training for part in network.modules()}
    kept = {name: value.clone() for name, value in network.named_buffers()}
    network.eval()
    for part in network.modules():
        if isinstance(part, NORMS):
            part.train()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
        for name, value in network.named_buffers():
            value.copy_(kept[name])
        network.zero_grad(set_to_none=True)


def weights(network: nn.Module) -> list[torch.Tensor]:
    """The weights of convolutions and linear layers, which is where scores by gradients look."""
    return [part.weight for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
