"""What the observers of this room share: a tally of the numbers seen, and how well a range would serve them."""

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchao.quantization.pt2e import UniformQuantizationObserverBase

from modelwright.errors import SettingError
from modelwright.quantize.numerics import EPS
from modelwright.quantize.observers.tally import Floats, Tally, packed, tally, unpacked
from modelwright.records.quantization import Interval


class RangeObserver(UniformQuantizationObserverBase):  # type: ignore[misc]  # torchao ships no types
    """An observer of one scale a tensor, which tallies all numbers it sees and finds their range when it is asked.

    Args:
        dtype: of the whole numbers, torch.int8 or torch.uint8.
        qscheme: torch.per_tensor_affine or torch.per_tensor_symmetric.
        quant_min, quant_max: the least and the greatest whole number; None for the type's.
        eps: the least scale.
        is_dynamic: must be false: ranges that are found as the network runs are found without it.

    Raises:
        SettingError: one of them is another.
    """

    def __init__(
        self,
        dtype: torch.dtype = torch.uint8,
        qscheme: torch.qscheme = torch.per_tensor_affine,
        quant_min: int | None = None,
        quant_max: int | None = None,
        eps: float = EPS,
        is_dynamic: bool = False,
    ) -> None:
        where = type(self).__name__
        if qscheme not in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            raise SettingError("the observer gives one scale a tensor", where=where, value=qscheme)
        if is_dynamic:
            way_out = "Calibrate with 'moving-average', or quantize statically."
            raise SettingError("the observer finds ranges before the network runs", where=where, way_out=way_out)
        if dtype not in (torch.int8, torch.uint8):
            raise SettingError("whole numbers must be torch.int8 or torch.uint8", where=where, value=dtype)
        held = torch.iinfo(dtype)
        least = held.min if quant_min is None else quant_min
        greatest = held.max if quant_max is None else quant_max
        if not held.min <= least <= 0 < greatest <= held.max:
            rule = f"the whole numbers must hold 0 and fit {dtype}"
            raise SettingError(rule, where=where, value=(quant_min, quant_max))
        super().__init__(dtype=dtype, qscheme=qscheme, quant_min=quant_min, quant_max=quant_max, eps=eps)
        self.seen: Tally | None = None

    @property
    def symmetric(self) -> bool:
        """Whether zero is in the middle of the range."""
        return bool(self.qscheme == torch.per_tensor_symmetric)

    @property
    def min_val(self) -> Tensor:
        """The least number seen, infinite before the first, as torchao's observers have it."""
        return torch.tensor(self.seen.lowest if self.seen else float("inf"))

    @property
    def max_val(self) -> Tensor:
        """The greatest number seen, minus infinity before the first."""
        return torch.tensor(self.seen.highest if self.seen else float("-inf"))

    def forward(self, x: Tensor) -> Tensor:
        """Tally the numbers, and hand them on as they are.

        Raises:
            RecordError: one is not finite.
        """
        if x.numel():
            self.seen = self.seen.join(tally(x)) if self.seen else tally(x)
        return x

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point, each of shape (1,), for the range of what was seen.

        Raises:
            SettingError: nothing was seen.
        """
        low, high = self.range(self._tally())
        scale, zero_point = self._scales([low], [high])
        return scale, zero_point

    @abstractmethod
    def range(self, seen: Tally) -> Interval:
        """The low and the high end that serve these numbers best."""

    def errors(self, lows: npt.ArrayLike, highs: npt.ArrayLike, power: float = 2.0) -> Floats:
        """For each range, the expected power of the difference that quantization makes to what was seen.

        Raises:
            SettingError: nothing was seen.
        """
        seen = self._tally()
        scale, zero_point = (one.cpu().numpy().astype(np.float64)[:, None] for one in self._scales(lows, highs))
        values, weights = seen.points()
        back = np.rint(values / scale)
        np.clip(back, self.quant_min - zero_point, self.quant_max - zero_point, out=back)
        back *= scale
        back -= values
        lost = back * back if power == 2 else np.abs(back) ** power
        found: Floats = lost @ (weights / seen.total)
        return found

    def reset_min_max_vals(self) -> None:
        """Forget what was seen."""
        self.seen = None

    def extra_repr(self) -> str:
        """Its setting, as a module prints it."""
        return f"{self.quant_min} to {self.quant_max}, {self.qscheme}, seen {self.min_val} to {self.max_val}"

    def get_extra_state(self) -> Tensor:
        """What was seen, as a tensor: a part of the state dictionary."""
        return packed(self.seen) if self.seen else torch.empty(0, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """See again what was seen."""
        self.seen = unpacked(state) if state.numel() else None

    def _scales(self, lows: npt.ArrayLike, highs: npt.ArrayLike) -> tuple[Tensor, Tensor]:
        ends = [torch.as_tensor(np.asarray(end, dtype=np.float32), device=self.eps.device) for end in (lows, highs)]
        found: tuple[Tensor, Tensor] = self._calculate_qparams(*ends)
        return found

    def _tally(self) -> Tally:
        if self.seen is None:
            rule, way_out = "an observer must see numbers before it gives a range", "Calibrate first."
            raise SettingError(rule, where=type(self).__name__, way_out=way_out)
        return self.seen


def whole(seen: Tally) -> Interval:
    """The whole range of what was seen."""
    return seen.lowest, seen.highest
