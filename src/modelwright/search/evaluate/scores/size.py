"""The trivial scores: how large a network is. Any other score must beat them to be worth its seconds."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from modelwright.search.evaluate.scores.fresh import looked_at


def params(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Trainable numbers."""
    return float(sum(value.numel() for value in network.parameters()))


def flops(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """2 x multiply-accumulates of convolutions and matrix products, for each image of the batch."""
    with looked_at(network), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    return float(counter.get_total_flops()) / len(images)
