"""What turns inputs into the features that a method's head reads."""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

Body = Callable[[], nn.Module]
"""Makes a module from inputs (n, ...) to features (n, d), with new weights each time."""


def perceptron(inputs: Tensor, hidden: int = 256, depth: int = 1, dropout: float = 0.0) -> Body:
    """Makers of residual perceptrons.

    Args:
        inputs: (n, d) that mean and deviation are taken from.
        hidden: width of its layers.
        depth: of the residual layers.
        dropout: behind each.
    """
    mean, deviation = inputs.mean(0), inputs.std(0, correction=0)
    return lambda: Perceptron(mean, deviation, hidden, depth, dropout)


@final
class Perceptron(nn.Sequential):
    """Features (n, d) standardised, one linear layer, h + relu(A h) `depth` times: (n, hidden)."""

    def __init__(self, mean: Tensor, deviation: Tensor, hidden: int, depth: int, dropout: float) -> None:
        layers: list[nn.Module] = [Standardized(mean, deviation), nn.Linear(len(mean), hidden)]
        super().__init__(*layers, *(Residual(hidden, dropout) for _ in range(depth)))
        self.width, self.hidden, self.depth, self.dropout = len(mean), hidden, depth, dropout


class Standardized(nn.Module):
    """(x - mean) / deviation; where there is no deviation, x - mean."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (n, d), each feature of mean 0 and deviation 1."""
        found: Tensor = (inputs - self.get_buffer("mean")) / self.get_buffer("deviation")
        return found


class Residual(nn.Module):
    """h + relu(A h): what is apart stays apart, as long as A stretches nothing by more than 1."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Features (n, width) of features (n, width)."""
        found: Tensor = hidden + self.dropout(torch.relu(self.linear(hidden)))
        return found


def width_of(body: nn.Module, inputs: Tensor) -> int:
    """How many features a body makes of an input."""
    was = body.training
    body.eval()
    with torch.no_grad():
        found = int(body(inputs[:1]).shape[1])
    body.train(was)
    return found
