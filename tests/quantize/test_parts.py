"""A module that cannot be captured whole tells what stands in the way, and the rest of it runs in whole numbers."""

import pytest
import torch
from torch import nn

from modelwright.errors import SettingError, TraceError
from modelwright.quantize.numerics import sqnr_db
from modelwright.quantize.parts import capture_parts, quantize_parts
from modelwright.quantize.targets.openvino import PROFILE
from modelwright.records import Quantization


class Fickle(nn.Module):
    """What it does depends on the numbers that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(4, 4, 1)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.inner(given) if given.sum().item() > 1e9 else self.inner(given) * 2.0


def network(middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(first, middle, nn.Flatten(), nn.Linear(4 * 36, 5)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_obstacle_is_named_and_what_is_around_and_inside_is_captured(images: torch.Tensor) -> None:
    given = network(Fickle())
    parts = capture_parts(given, (images[:2],))
    assert [one.name for one in parts.obstacles] == ["", "1"]
    assert parts.obstacles[-1].kind == "Fickle"
    assert all(one.why for one in parts.obstacles)
    assert parts.captured == ("0", "1.inner", "3")
    with torch.no_grad():
        torch.testing.assert_close(parts.module(images), given(images))


def test_the_rest_is_quantized_by_running_the_whole(images: torch.Tensor) -> None:
    given = network(Fickle())
    parts = capture_parts(given, (images[:2],))
    made = quantize_parts(parts, Quantization(calibration="minmax"), PROFILE, [(images,)])
    assert (
        sum(
            "quantize_per_tensor" in str(node.target)
            for name in parts.captured
            for node in made.get_submodule(name).graph.nodes
        )
        >= 3
    )
    with torch.no_grad():
        assert 25 < sqnr_db(given(images), made(images)) < 80


def test_what_can_be_captured_whole_is(images: torch.Tensor) -> None:
    given = network(nn.ReLU())
    parts = capture_parts(given, (images[:2],))
    assert (parts.captured, parts.obstacles) == (("",), ())
    made = quantize_parts(parts, Quantization(calibration="minmax"), PROFILE, [(images,)])
    with torch.no_grad():
        assert sqnr_db(given(images), made(images)) > 25


def test_a_module_without_a_part_that_can_be_captured_tells_what_stands_in_the_way(images: torch.Tensor) -> None:
    class Alone(nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return given if given.sum().item() > 0 else -given

    with pytest.raises(TraceError, match="Alone"):
        capture_parts(Alone(), (images[:2],))


def test_parts_want_samples_and_one_recipe(images: torch.Tensor) -> None:
    parts = capture_parts(network(Fickle()), (images[:2],))
    with pytest.raises(SettingError, match="needs samples"):
        quantize_parts(parts, Quantization(calibration="minmax"), PROFILE, [])
    with pytest.raises(SettingError, match="one recipe"):
        quantize_parts(parts, Quantization(layers={"conv": "fp32"}), PROFILE, [(images,)])
