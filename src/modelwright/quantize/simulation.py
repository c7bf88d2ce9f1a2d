"""Fake quantization that can be switched on and off, and that looks for a range only when it is asked for one."""

from typing import final

import torch
from torchao.quantization.pt2e import FakeQuantize


@final
class Simulation(FakeQuantize):  # type: ignore[misc]  # torchao ships no types
    """Rounds a tensor to the whole numbers it would have, as floats; watches it while its observer is on.

    torchao's own computes scale and zero point after every batch that it sees, which searching observers make dear.
    """

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """The tensor, watched or quantized and back, or as it is."""
        if self.observer_enabled[0] == 1:
            self.activation_post_process(given.detach())
        if self.fake_quant_enabled[0] != 1:
            return given
        low, high = self.activation_post_process.quant_min, self.activation_post_process.quant_max
        if self.is_per_channel:
            return torch.fake_quantize_per_channel_affine(given, self.scale, self.zero_point, self.ch_axis, low, high)
        return torch.fake_quantize_per_tensor_affine(given, self.scale, self.zero_point, low, high)

    def settle(self) -> None:
        """Take scale and zero point from what was seen."""
        scale, zero_point = self.calculate_qparams()
        with torch.no_grad():
            self.scale.resize_(scale.shape).copy_(scale)
            self.zero_point.resize_(zero_point.shape).copy_(zero_point)
