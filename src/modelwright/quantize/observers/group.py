"""A scale for each group of neighbouring weights.

Source: Yao et al., 2022, ZeroQuant, arXiv 2206.01861; Dettmers and Zettlemoyer, 2022, arXiv 2212.09720, who find small
groups to be what 4-bit weights need.
"""

from typing import Any, final

import torch
from torch import Tensor
from torchao.quantization.pt2e import AffineQuantizedObserverBase, MappingType, PerGroup, get_block_size

from modelwright.errors import SettingError
from modelwright.quantize.numerics import EPS, parameters, ranges
from modelwright.records import Scheme


@final
class GroupObserver(AffineQuantizedObserverBase):  # type: ignore[misc]  # torchao ships no types
    """The least and the greatest number of each group of neighbours along the last axis.

    Args:
        scheme: of granularity "group".
        eps: the least scale.
        **_: what torchao says of the tensor, which the scheme says, too.

    Raises:
        SettingError: the scheme is of another granularity.
    """

    def __init__(self, scheme: Scheme, eps: float = EPS, **_: Any) -> None:
        if scheme.granularity != "group":
            raise SettingError("the observer gives one scale a group", where="scheme", value=scheme.granularity)
        super().__init__(
            mapping_type=MappingType.SYMMETRIC if scheme.symmetric else MappingType.ASYMMETRIC,
            target_dtype=torch.int8 if scheme.signed else torch.uint8,
            granularity=PerGroup(scheme.group),
            quant_min=scheme.lowest,
            quant_max=scheme.highest,
            eps=eps,
        )
        self.scheme = scheme
        self.ends: tuple[Tensor, Tensor] | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Note the ends of each group, and hand the weights on as they are.

        Raises:
            RecordError: a number is not finite.
            SettingError: the last axis cannot be cut into groups.
        """
        low, high = ranges(input, self.scheme)
        if self.ends is not None:
            low, high = torch.minimum(low, self.ends[0]), torch.maximum(high, self.ends[1])
        self.ends = low, high
        self.block_size = get_block_size(input.shape, self.granularity)
        self.original_dtype = input.dtype
        return input

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scales and zero points, of shape (..., last axis / group).

        Raises:
            SettingError: nothing was seen.
        """
        if self.ends is None:
            rule, way_out = "an observer must see numbers before it gives a range", "Calibrate first."
            raise SettingError(rule, where=type(self).__name__, way_out=way_out)
        return parameters(*self.ends, self.scheme, self.eps)
