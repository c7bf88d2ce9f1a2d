"""Averages that run along with training: of weights (EMA), and of batch normalisation's statistics.

Both warm up: with decay d wanted, the t-th update (from 0) uses min(d, (1 + t) / (10 + t)), as TensorFlow's
ExponentialMovingAverage does with num_updates, so that a short run is not dominated by where it began.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def warmed(decay: float, update: int) -> float:
    """The decay of an update, counted from 0."""
    return min(decay, (1 + update) / (10 + update))


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """A second network, whose weights and buffers follow: a <- d a + (1 - d) w at each `update_parameters`.

    The first update takes the weights as they are. Counters (whole numbers) are copied.
    """

    def follow(averages: Sequence[Any], values: Sequence[Any], updates: Any) -> None:
        if averages[0].is_floating_point():
            torch._foreach_lerp_(list(averages), list(values), 1.0 - warmed(decay, int(updates)))
        else:
            torch._foreach_copy_(list(averages), list(values))

    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True)


def momenta(network: nn.Module) -> dict[nn.Module, float]:
    """Each batch normalisation and its share of the new batch; those that average everything equally are left out."""
    return {part: part.momentum for part in network.modules() if isinstance(part, NORMS) and part.momentum is not None}


def warm_up(own: dict[nn.Module, float], update: int) -> None:
    """Set the share of the new batch for an update, counted from 0, from each normalisation's own."""
    for part, share in own.items():
        part.momentum = 1.0 - warmed(1.0 - share, update)  # type: ignore[assignment]  # modules take any attribute
