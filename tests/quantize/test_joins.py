"""What is joined shares one scale, so that a runtime joins whole numbers as they are."""

from pathlib import Path

import pytest
import torch
from torch import nn

from modelwright.errors import SettingError
from modelwright.quantize.graph import capture
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.numerics import sqnr_db
from modelwright.quantize.prepare import calibrate, convert, prepare, restrict
from modelwright.quantize.sensitivity import one_at_a_time
from modelwright.quantize.targets.onnxruntime import OnnxRuntime
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.quantize.targets.target import Target
from modelwright.records import Quantization


class Dense(nn.Module):
    """What a layer reads is joined with what comes of it, as in DenseNet (2016, arXiv 1608.06993); of another range."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.inner = nn.Conv2d(16, 16, 3, padding=1)
        self.end = nn.Conv2d(32, 8, 3)
        with torch.no_grad():
            self.inner.weight.mul_(4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        first = torch.relu(self.stem(pixels))
        joined = torch.cat([first, torch.relu(self.inner(first))], 1)
        return self.end(joined).mean((2, 3))


@pytest.fixture
def samples() -> torch.Tensor:
    return torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def graph(samples: torch.Tensor) -> torch.fx.GraphModule:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return capture(Dense().eval(), (samples[:2],))


@pytest.mark.parametrize("target", [OpenVino(), OnnxRuntime()], ids=lambda one: one.profile.name)
def test_nothing_is_quantized_anew_between_the_kernels(
    target: Target, graph: torch.fx.GraphModule, samples: torch.Tensor, tmp_path: Path
) -> None:
    """The input is quantized, and nothing else: each further conversion would be a kernel of its own in floats."""
    try:
        target.check()
    except SettingError as failure:
        pytest.skip(str(failure))
    prepared = prepare(graph, Quantization(), target.profile)
    calibrate(prepared, [(samples,)])
    made = convert(prepared)
    target.write(made, (samples[:2],), tmp_path)
    program = target.load(tmp_path, batch=8)
    kernels = program.kernels()
    assert sqnr_db(made(samples), program(samples)) > 40
    assert [kernel.integer for kernel in kernels if kernel.weighted] == [True] * 3
    place, join = next((place, one) for place, one in enumerate(kernels) if "Concat" in one.operator)
    assert (join.operator, join.numbers) in (("Concatenation", "u8"), ("QLinearConcat", "u8"))
    made_anew = [one for one in kernels[:place] if one.operator in ("Subgraph", "QuantizeLinear", "DequantizeLinear")]
    assert len(made_anew) == 1


def test_all_that_is_joined_and_the_whole_have_one_scale(graph: torch.fx.GraphModule, samples: torch.Tensor) -> None:
    made = convert_of(graph, samples, Quantization())
    scales = {}
    for node in made.graph.nodes:
        if "quantize_per_tensor" in str(node.target) and "dequantize" not in str(node.target):
            scales[str(node.args[0])] = float(node.args[1])
    assert scales["relu"] == scales["relu_1"] == scales["cat"] != scales["pixels"]


def test_layers_around_a_join_can_be_left_in_float_and_asked_one_by_one(
    graph: torch.fx.GraphModule, samples: torch.Tensor
) -> None:
    whole = prepare(graph, Quantization(), OpenVino().profile)
    calibrate(whole, [(samples,)])
    for name in ("stem", "inner", "end"):
        part = restrict(whole, graph, Quantization(layers={name: "fp32"}), OpenVino().profile)
        assert sqnr_db(graph(samples), convert(part)(samples)) > 25
    alone = prepare(graph, Quantization(), OpenVino().profile, share=False)
    calibrate(alone, [(samples,)])
    told = one_at_a_time(alone, Judge.of(graph, Samples(samples)))
    assert [one.layers for one in told] == [("stem",), ("inner",), ("end",)]
    assert all(one.sqnr_db > 25 for one in told)


def convert_of(graph: torch.fx.GraphModule, samples: torch.Tensor, recipe: Quantization) -> torch.fx.GraphModule:
    prepared = prepare(graph, recipe, OpenVino().profile)
    calibrate(prepared, [(samples,)])
    return convert(prepared)
