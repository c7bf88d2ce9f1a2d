"""Parameters and multiply-accumulates are the published ones, to the last printed digit.

Squeeze-and-excitation counts, batch normalisation and activations do not. Counted by torch's own counter on the meta
device, so that no rule of this project checks itself.
"""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture, architecture_names

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architectures.md"

# Name, millions of parameters, billions of multiply-accumulates; the authors' released code at its own resolutions.
EFFICIENTNETS = """
efficientnet-b0         5.29   0.39
efficientnet-b3        12.23   1.83
efficientnet-b7        66.35  37.75
efficientnet-x-b0       7.58   0.92
efficientnet-x-b3      13.29   4.33
efficientnet-x-b7      73.16  91.79
efficientnet-x-b0-tpu   7.58   0.92
efficientnet-x-b3-tpu  15.77   4.21
efficientnet-x-b7-tpu 198.64  85.47
efficientnet-x-b0-gpu   7.58   0.92
efficientnet-x-b3-gpu  16.81   4.26
efficientnet-x-b7-gpu 196.73  84.54
"""

# Parameters to the last one and billions of multiply-accumulates, as torchvision prints them with its weights.
TORCHVISION = """
efficientnet-b1     7794184   0.69
efficientnet-b4    19341616   4.39
efficientnet-b5    30389784  10.27
efficientnet-b6    43040704  19.07
efficientnetv2-s   21458488   8.37
mobilenetv3-large   5483032   0.22
mobilenetv3-small   2542856   0.06
resnet-50          25557032   4.09
regnety-400mf       4344144   0.40
regnety-1.6gf      11202430   1.61
regnety-3.2gf      19436338   3.18
regnety-16gf       83590140  15.91
regnety-32gf      145046770  32.28
vit-b-16           86567656  17.56
vit-l-16          304326632  61.55
"""

# Millions of parameters as timm prints them with its weights, billions of multiply-accumulates from RegNet's table of
# models and from what is commonly reported of DeiT.
OTHERS = """
regnety-200mf  3.16  0.2
regnety-600mf  6.06  0.6
regnety-800mf  6.26  0.8
regnety-4gf   20.65  4.0
regnety-6.4gf 30.58  6.4
regnety-8gf   39.18  8.0
regnety-12gf  51.82 12.1
vit-ti-16      5.72  1.3
vit-s-16      22.05  4.6
"""

GPT2 = {
    "gpt2-small": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


def rows(table: str) -> list[tuple[str, str, str]]:
    return [tuple(line.split()) for line in table.split("\n") if line]


def digits(value: float, like: str) -> str:
    """A value with as many decimals as another one is printed with."""
    return f"{value:.{len(like.partition('.')[2])}f}"


@cache
def network_of(name: str) -> nn.Module:
    with torch.device("meta"):
        return build(architecture(name)).eval()


def parameters_of(name: str) -> int:
    return sum(weight.numel() for weight in network_of(name).parameters())


@cache
def macs_of(name: str) -> int:
    """Multiply-accumulates for one sample."""
    shape = architecture(name).input
    sample = torch.empty(1, *shape, dtype=torch.int64 if len(shape) == 1 else torch.float32, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network_of(name)(sample)
    return counter.get_total_flops() // 2


def activations(name: str) -> int:
    """How many numbers the convolutions put out for one sample, those inside squeeze-and-excitation aside."""
    counts: list[int] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: counts.append(output.numel()))
        for path, layer in network_of(name).named_modules()
        if isinstance(layer, nn.Conv2d) and ".squeeze." not in path
    ]
    with torch.no_grad():
        network_of(name)(torch.empty(1, *architecture(name).input, device="meta"))
    for hook in hooks:
        hook.remove()
    return sum(counts)


@pytest.mark.parametrize(("name", "parameters", "macs"), rows(EFFICIENTNETS + OTHERS))
def test_millions_and_billions_are_the_published_ones(name: str, parameters: str, macs: str) -> None:
    assert digits(parameters_of(name) / 1e6, parameters) == parameters
    assert digits(macs_of(name) / 1e9, macs) == macs


@pytest.mark.parametrize(("name", "parameters", "macs"), rows(TORCHVISION))
def test_counts_are_the_ones_of_the_published_weights(name: str, parameters: str, macs: str) -> None:
    assert parameters_of(name) == int(parameters)
    assert digits(macs_of(name) / 1e9, macs) == macs


@pytest.mark.parametrize(("name", "parameters"), GPT2.items())
def test_gpt2_has_its_published_parameters(name: str, parameters: int) -> None:
    assert parameters_of(name) == parameters


def test_the_billion_parameter_gpt_has_pythias_published_blocks() -> None:
    found = architecture("gpt-1b")
    tables = 2 * found.stem.vocabulary * found.stem.width + found.stem.positions * found.stem.width
    assert parameters_of("gpt-1b") - tables == 805_736_448


def test_resnest_has_its_published_parameters() -> None:
    """Of the paper's 5.39 billion operations, 5.37 are multiply-accumulates of convolutions and the classifier."""
    assert digits(parameters_of("resnest-50") / 1e6, "27.48") == "27.48"
    assert 5.36e9 < macs_of("resnest-50") < 5.39e9


def test_x_does_more_work_on_fewer_activations() -> None:
    assert digits(macs_of("efficientnet-x-b0") / macs_of("efficientnet-b0"), "2.4") == "2.4"
    plain, rebuilt = activations("efficientnet-b0"), activations("efficientnet-x-b0")
    assert digits(plain / 1e6, "6.7") == "6.7"
    assert digits(rebuilt / 1e6, "4.8") == "4.8"
    assert round(100 * (1 - rebuilt / plain)) == 28


@pytest.mark.parametrize("size", ["b0", "b3"])
def test_the_hybrid_variant_is_lighter(size: str) -> None:
    assert parameters_of(f"efficientnet-x-h-{size}") < parameters_of(f"efficientnet-x-{size}")
    assert macs_of(f"efficientnet-x-h-{size}") < macs_of(f"efficientnet-x-{size}")


def test_the_page_lists_every_architecture_with_its_numbers() -> None:
    cells = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if "| `" in line]
    listed = {name.strip(" `"): (parameters.strip(), macs.strip()) for name, _, _, parameters, macs in cells}
    assert tuple(listed) == architecture_names()
    for name, *_ in rows(EFFICIENTNETS + TORCHVISION):
        assert listed[name] == (f"{parameters_of(name) / 1e6:.2f}", f"{macs_of(name) / 1e9:.2f}"), name
