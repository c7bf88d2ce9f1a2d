"""Monte Carlo dropout: what networks think of which a random part of the features is left out.

    p = (1/m) sum_i softmax(f(x; mask i)),

with entropy and mutual information of the m opinions. Source: Gal, Ghahramani, 2015, arXiv 1506.02142.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from modelwright.guard.training.method import Method, Verdict, of_mixture


@final
@dataclass(frozen=True)
class McDropout(Method):
    """A classifier that drops features while it is trained, and while it is asked.

    Attributes:
        rate: of features that are dropped in front of the last layer; what the body drops counts as well.
        draws: opinions.
        seed: of the masks, so that the same input is always judged alike.
    """

    rate: float = 0.2
    draws: int = 20
    seed: int = 0

    def network(self, body: nn.Module, width: int, classes: int, groups: int) -> nn.Module:
        """The body, dropout, and a linear layer."""
        return nn.Sequential(body, nn.Dropout(self.rate), nn.Linear(width, classes))

    def verdict(self, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
        """The opinions' mean with its scores; a row's masks do not depend on how many rows come with it."""
        network: Any = networks[0]
        if not _dropping(network[0]):  # what drops nothing says the same each time: it is asked once
            network, inputs = network[1:], network[0](inputs)
        dropping = _dropping(network)
        opinions = torch.stack([self._opinion(network, dropping, inputs, draw) for draw in range(self.draws)])
        return of_mixture(opinions)

    def _opinion(self, network: nn.Module, dropping: Sequence[nn.Dropout], inputs: Tensor, draw: int) -> Tensor:
        hooks = [
            part.register_forward_hook(Mask(draw * 1009 + place + self.seed)) for place, part in enumerate(dropping)
        ]
        try:
            found: Tensor = network(inputs).softmax(1)
        finally:
            for hook in hooks:
                hook.remove()
        return found


def _dropping(network: nn.Module) -> list[nn.Dropout]:
    return [part for part in network.modules() if isinstance(part, nn.Dropout) and part.p > 0]


class Mask:
    """Puts one mask, the same for every row, in place of a dropout's own; a hook that follows it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, part: nn.Dropout, given: tuple[Tensor, ...], _: Tensor) -> Tensor:
        """What dropout takes, with the mask's part of it dropped and the rest scaled up."""
        features, rate = given[0], part.p
        generator = torch.Generator().manual_seed(self.seed)
        kept = torch.rand(features.shape[1:], generator=generator).to(features.device) >= rate
        return features * kept / (1.0 - rate)
