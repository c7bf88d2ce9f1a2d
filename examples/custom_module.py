"""Cost your own module on three accelerators, and see what bounds it where."""

import torch

import modelwright as mw


class Gated(torch.nn.Module):
    """A convolution, a gate computed from its mean, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.gate = torch.nn.Linear(64, 64)
        self.classifier = torch.nn.Linear(64, 1000)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, 1000) of images (N, 3, H, W)."""
        features = torch.nn.functional.silu(self.convolution(image))
        weights = torch.sigmoid(self.gate(features.mean((2, 3))))
        return self.classifier((features * weights[:, :, None, None]).mean((2, 3)))


with torch.device("meta"):  # shapes without data: nothing is allocated, however large the module
    module = Gated()
work = mw.trace(module, torch.empty(1, 3, 224, 224, device="meta"), name="gated")
print(f"{work.parameters:,} parameters, {work.macs:,} multiply-accumulates an image")
for name in ("tpu-v4i", "a100", "x86"):
    cost = mw.estimate(work, mw.platform(name), batch=64, execution="compiled")
    slowest = max(cost.kernels, key=lambda kernel: kernel.latency_s)
    print(
        f"{name:8} {cost.precision}: most time under {cost.bound}; the slowest kernel is {slowest.layer or 'the top'}'s"
    )
