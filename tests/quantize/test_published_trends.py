"""What is known of quantizing depthwise networks shows on small ones, too.

Krishnamoorthi, 2018, arXiv 1806.08342: one scale a tensor ruins weights whose channels differ in range,
and one a channel does not; four bits are too few to be found by calibration, and enough to be trained with.
"""

import copy
from typing import Literal

import msgspec
import pytest
import torch
from torch import nn

from modelwright.clock import ManualClock
from modelwright.quantize.graph import capture
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.prepare import Prepared, calibrate, prepare
from modelwright.quantize.profile import Profile
from modelwright.quantize.qat import prepare_training, tune
from modelwright.quantize.techniques.equalization import equalize
from modelwright.records import ACTIVATIONS, WEIGHTS, Quantization, Recipe
from modelwright.training import Data, Preprocess, Run
from modelwright.training.epoch import run_epoch
from modelwright.training.progress import begin

FLOAT = Recipe(epochs=10, batch=64, learning_rate=2e-2, crop=0.0, smoothing=0.0)
TUNING = msgspec.structs.replace(FLOAT, epochs=3, learning_rate=2e-3, warmup=0.0)
FACTOR = 64.0
Granularity = Literal["tensor", "channel"]


def separable(given: int, made: int, stride: int = 1) -> list[nn.Module]:
    """A depthwise convolution and one of 1x1, as in MobileNet."""
    return [
        nn.Conv2d(given, given, 3, stride, 1, groups=given, bias=False), nn.BatchNorm2d(given), nn.ReLU(),
        nn.Conv2d(given, made, 1, bias=False), nn.BatchNorm2d(made), nn.ReLU(),
    ]  # fmt: skip


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 10, 3, padding=1, bias=False), nn.BatchNorm2d(10), nn.ReLU(),
        *separable(10, 10), *separable(10, 20, 2), *separable(20, 20),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 10),
    )  # fmt: skip


@torch.no_grad()
def rescaled(module: nn.Sequential) -> nn.Sequential:
    """The same function; before each depthwise convolution, one channel is out of proportion by a factor."""
    made = copy.deepcopy(module)
    for place, part in enumerate(made):
        if isinstance(part, nn.Conv2d) and part.groups > 1:
            norm = made[place - 2]
            least = int((norm.weight.abs() + norm.bias.clamp(min=0)).argmin())
            norm.weight[least] /= FACTOR
            norm.bias[least] /= FACTOR
            part.weight[least] *= FACTOR
    return made


@pytest.fixture(scope="module")
def see(digits: Data) -> Preprocess:
    return Preprocess((8, 8), 10, digits.mean, digits.std)


@pytest.fixture(scope="module")
def trained(digits: Data, see: Preprocess) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        progress = begin(network(), FLOAT, torch.device("cpu"))
        for number in range(FLOAT.epochs):
            run_epoch(progress, digits.train, see, FLOAT)
            progress.epochs += (number,)
    return progress.network.eval()


@pytest.fixture(scope="module")
def samples(digits: Data, see: Preprocess) -> Samples:
    [(images, labels)] = list(digits.test.batches([torch.arange(len(digits.test))]))
    return Samples(see(images), labels)


@pytest.fixture(scope="module")
def ranges(digits: Data, see: Preprocess) -> list[tuple[torch.Tensor]]:
    return [(see(images),) for images, _ in digits.train.batches(torch.arange(256).split(64))]


def recipe(granularity: Granularity, bits: int, kind: Literal["static", "qat"] = "static") -> Quantization:
    weights = msgspec.structs.replace(WEIGHTS, granularity=granularity, bits=bits)
    activations = msgspec.structs.replace(ACTIVATIONS, bits=bits)
    return Quantization(kind=kind, weights=weights, activations=activations, calibration="mse", tuning=TUNING)


def profile(how: Quantization) -> Profile:
    return Profile("any", weights=how.weights, activations=how.activations)


def calibrated(graph: torch.fx.GraphModule, how: Quantization, ranges: list) -> Prepared:
    made = prepare(graph, how, profile(how))
    calibrate(made, ranges)
    return made


def test_one_scale_a_tensor_ruins_channels_of_unlike_range_and_one_a_channel_saves_them(
    trained: nn.Sequential, samples: Samples, ranges: list
) -> None:
    plain, scaled = (capture(one, ranges[0]) for one in (trained, rescaled(trained)))
    judge = Judge.of(plain, samples)
    fp32 = judge(scaled)
    assert fp32.sqnr_db > 60
    assert fp32.accuracy > 0.9
    one = {name: judge(calibrated(scaled, recipe(name, 8), ranges).graph) for name in ("tensor", "channel")}
    assert judge(calibrated(plain, recipe("tensor", 8), ranges).graph).drop < 0.03
    assert one["tensor"].drop > 0.4
    assert one["channel"].drop < 0.06
    equalize(scaled, recipe("tensor", 8), ranges)
    assert judge(calibrated(scaled, recipe("tensor", 8), ranges).graph).drop < 0.06


def test_four_bits_lose_much_by_calibration_and_little_by_training(
    trained: nn.Sequential, samples: Samples, ranges: list, digits: Data, see: Preprocess
) -> None:
    graph, how = capture(trained, ranges[0], fold=False), recipe("tensor", 4, "qat")
    judge = Judge.of(graph, samples)
    graph.requires_grad_(True)
    prepared = prepare_training(graph, how, profile(how))
    calibrate(prepared, ranges)
    before = judge(prepared.graph)
    learned, _ = tune(prepared, how, digits, see, Run(threads=1, clock=ManualClock()))
    after = judge(learned.graph)
    assert before.drop > 0.15
    assert after.drop < 0.07
    assert after.drop_interval[1] < before.drop_interval[0]
