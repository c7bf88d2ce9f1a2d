"""Averages that run along with training: of weights (EMA), and of batch normalisation's statistics.

Both warm up: with decay d wanted, the t-th update (from 0) uses min(d, (1 + t) / (10 + t)), as TensorFlow's
ExponentialMovingAverage does with num_updates, so that a short run is not dominated by where it began.
"""

from copy import deepcopy
from typing import Any, final

import torch
from torch import nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def warmed(decay: float, update: int) -> float:
    """The decay of an update, counted from 0."""
    return min(decay, (1 + update) / (10 + update))


@final
class Average:
    """A second network whose weights and buffers follow another's: a <- d a + (1 - d) w; whole numbers are copied.

    The tensors of both are looked up once: torch's AveragedModel walks all modules at each update, which takes as long
    as a step of a small network.

    Args:
        followed: begins as a copy of this one; its tensors must stay the same objects.
        decay: d, once warm.
    """

    def __init__(self, followed: nn.Module, decay: float) -> None:
        self.network = deepcopy(followed)
        self.decay = decay
        self.updates = 0
        pairs = list(zip(_tensors(self.network), _tensors(followed), strict=True))
        self._numbers = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    def update(self) -> None:
        """Follow the other network by one step."""
        averages, values = ([pair[side] for pair in self._numbers] for side in (0, 1))
        torch._foreach_lerp_(averages, values, 1.0 - warmed(self.decay, self.updates))
        for counter, value in self._counters:
            counter.copy_(value)
        self.updates += 1

    def state(self) -> dict[str, Any]:
        """Everything, as tensors and numbers."""
        return {"network": self.network.state_dict(), "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Become what `state` told."""
        self.network.load_state_dict(state["network"])
        self.updates = state["updates"]


def momenta(network: nn.Module) -> dict[nn.Module, float]:
    """Each batch normalisation and its share of the new batch; those that average everything equally are left out."""
    return {part: part.momentum for part in network.modules() if isinstance(part, NORMS) and part.momentum is not None}


def warm_up(own: dict[nn.Module, float], update: int) -> None:
    """Set the share of the new batch for an update, counted from 0, from each normalisation's own."""
    for part, share in own.items():
        part.momentum = 1.0 - warmed(1.0 - share, update)  # type: ignore[assignment]  # modules take any attribute


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [value.detach() for value in (*network.parameters(), *network.buffers())]
