"""Deep ensembles: what several networks think that were trained alike from other first weights, in other orders.

    p = (1/m) sum_i softmax(f_i(x)),

with entropy and mutual information of the m opinions. Source: Lakshminarayanan, Pritzel, Blundell, 2016, arXiv
1612.01474; m = 5 is theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from modelwright.guard.training.method import Method, Verdict, of_mixture


@final
@dataclass(frozen=True)
class Ensemble(Method):
    """Several classifiers of the familiar classes.

    Attributes:
        size: how many.
    """

    size: int = 5

    @property
    def members(self) -> int:
        """How many networks it trains."""
        return self.size

    def verdict(self, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
        """The opinions' mean with its scores."""
        return of_mixture(torch.stack([network(inputs).softmax(1) for network in networks]))
