"""Where quantization is put so that a runtime's kernels stay in whole numbers."""

from pathlib import Path

import pytest
import torch
from torch import nn

from modelwright.quantize.graph import capture
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.targets.onnxruntime import OnnxRuntime
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.quantize.targets.target import Target
from modelwright.records import Kernel, Quantization


class Patches(nn.Module):
    """A convolution and matrices of as many outputs, as transformers of images have them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 4, 4)
        self.norm = nn.LayerNorm(16)
        self.wide, self.narrow = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.embed(image).flatten(2).transpose(1, 2)
        made: torch.Tensor = (x + self.narrow(nn.functional.gelu(self.wide(self.norm(x))))).mean(1)
        return made


class Residual(nn.Module):
    """A stem that is pooled, and a sum that is clipped, as residual networks have them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.next = (nn.Conv2d(c, 16, 3, 1, 1) for c in (3, 16, 16))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.stem(image)), 2)
        made: torch.Tensor = self.next(torch.relu(x + self.inner(x)))
        return made


def kernels(module: nn.Module, target: Target, folder: Path) -> tuple[Kernel, ...]:
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    graph = capture(module.eval().requires_grad_(False), (images,))
    profile = target.profile
    recipe = Quantization(calibration="minmax", weights=profile.weights, activations=profile.activations)
    prepared = prepare(graph, recipe, profile)
    calibrate(prepared, [(images,)])
    target.write(convert(prepared), (images,), folder)
    return target.load(folder, batch=1).kernels()


@pytest.mark.parametrize("target", [OpenVino(), OnnxRuntime()], ids=lambda target: target.profile.name)
def test_weights_of_one_number_of_channels_all_meet_integer_kernels(target: Target, tmp_path: Path) -> None:
    weighted = [one for one in kernels(Patches(), target, tmp_path) if one.weighted]
    assert len(weighted) == 3
    assert all(one.integer for one in weighted)


def test_maxima_and_clipped_sums_are_taken_in_whole_numbers(tmp_path: Path) -> None:
    found = kernels(Residual(), OpenVino(), tmp_path)
    assert [one.numbers for one in found if one.operator == "Pooling"] == ["u8"]
    assert [one.numbers for one in found if one.operator == "Convolution"] == ["u8"] * 3
    assert all(one.integer for one in found if one.operator == "Eltwise")
