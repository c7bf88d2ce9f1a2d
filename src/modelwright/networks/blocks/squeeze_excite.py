"""Squeeze-and-excitation: channels weighed by what the whole image holds (Hu et al., 2017, arXiv 1709.01507)."""

from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import ACTIVATIONS, GATES
from modelwright.networks.blocks.initialise import fan_out
from modelwright.records.architecture import Activation, Gate


@final
class SqueezeExcite(nn.Module):
    """x times gate(expand(activation(reduce(mean of x)))); keeps the shape (N, C, H, W).

    Args:
        channels: of x.
        reduced: inner width.
        activation, gate: the two nonlinearities.
        phases: how many phases of one image lie behind one another in the batch; they share one mean.
    """

    def __init__(
        self, channels: int, reduced: int, activation: Activation = "swish", gate: Gate = "sigmoid", phases: int = 1
    ) -> None:
        super().__init__()
        self.reduce = fan_out(nn.Conv2d(channels, reduced, 1))
        self.activation = ACTIVATIONS[activation]()
        self.expand = fan_out(nn.Conv2d(reduced, channels, 1))
        self.gate = GATES[gate]()
        self.phases = phases

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weigh the channels of x."""
        mean = x.mean((2, 3), keepdim=True)
        if self.phases > 1:
            mean = torch.unflatten(mean, 0, (self.phases, -1)).mean(0)
        weight: torch.Tensor = self.gate(self.expand(self.activation(self.reduce(mean))))
        if self.phases > 1:
            weight = weight.repeat(self.phases, 1, 1, 1)
        return x * weight
