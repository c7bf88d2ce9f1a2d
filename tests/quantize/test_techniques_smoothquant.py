"""SmoothQuant: outliers of activations move into weights, and the network stays what it is."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelwright.quantize.graph import capture, layers, parameter
from modelwright.quantize.numerics import fake_quantize, parameters, ranges, sqnr_db
from modelwright.quantize.techniques.smoothquant import smooth
from modelwright.records import ACTIVATIONS, WEIGHTS, Quantization

RECIPE = Quantization()


def tokens(count: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 5, 16, generator=torch.Generator().manual_seed(seed))


def outliers(norm: nn.Module, seed: int = 0) -> None:
    """Some channels of a normalisation's output fifty times the others, as in language models."""
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(seed))
        norm.weight[3] *= 50
        norm.weight[11] *= -30


class Block(nn.Module):
    """A transformer's block: queries, keys and values read one normalisation, the first matrix another."""

    def __init__(self, *, bias: bool = True, rms: bool = False) -> None:
        super().__init__()
        self.first = nn.RMSNorm(16) if rms else nn.LayerNorm(16, bias=bias)
        self.second = nn.RMSNorm(16) if rms else nn.LayerNorm(16, bias=bias)
        self.query, self.key, self.value = (nn.Linear(16, 16, bias=bias) for _ in range(3))
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.first(x)
        split = given.transpose(0, 1).transpose(0, 1)
        x = x + nn.functional.scaled_dot_product_attention(self.query(split), self.key(given), self.value(given))
        return x + self.down(nn.functional.gelu(self.up(self.second(x))))


@given(st.booleans(), st.booleans(), st.integers(0, 100))
@settings(max_examples=12)
def test_outputs_stay_what_they_are(bias: bool, rms: bool, seed: int) -> None:
    torch.manual_seed(seed)
    block = Block(bias=bias, rms=rms)
    outliers(block.first, seed)
    outliers(block.second, seed)
    graph = capture(block, (tokens(),))
    wanted = graph(tokens(seed=seed + 1)).detach()
    before = copy.deepcopy(graph.state_dict())
    (note,) = smooth(graph, RECIPE, [(tokens(),), (tokens(2, seed=7),)])
    assert "2 normalisations" in note
    assert "4 linear" in note
    torch.testing.assert_close(graph(tokens(seed=seed + 1)), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    changed = {name for name, value in graph.state_dict().items() if not torch.equal(value, before[name])}
    assert {"query.weight", "key.weight", "value.weight", "up.weight"} <= changed
    assert "down.weight" not in changed


def test_activations_and_weights_share_the_difficulty_by_halves() -> None:
    """With alpha = 1/2 both peaks of channel j become sqrt(max|X_j| max|W_j|)."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 8))
    outliers(network[0])
    graph = capture(network, (tokens(),))
    peak, heaviest = network[0](tokens()).abs().amax((0, 1)), network[1].weight.abs().amax(0)
    smooth(graph, RECIPE, [(tokens(),)])
    shared = (peak * heaviest).sqrt().detach()
    norm = nn.LayerNorm(16)
    norm.load_state_dict({"weight": parameter(graph, "0.weight"), "bias": parameter(graph, "0.bias")})
    torch.testing.assert_close(norm(tokens()).abs().amax((0, 1)).detach(), shared)
    torch.testing.assert_close(parameter(graph, "1.weight").abs().amax(0).detach(), shared)


def test_quantization_loses_less_after_it() -> None:
    """Eight bits for both, one scale for the activations: the outliers no longer take all the steps."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 8, bias=False))
    outliers(network[0])
    with torch.no_grad():
        network[1].weight[:, [3, 11]] *= 0.1
    graph = capture(network, (tokens(64),))

    def loss_db(graph) -> float:
        (layer,) = layers(graph)
        weight = parameter(graph, layer.weight).detach()
        given = nn.functional.layer_norm(tokens(64), (16,), parameter(graph, "0.weight"), parameter(graph, "0.bias"))
        coarse = fake_quantize(weight, *parameters(*ranges(weight, WEIGHTS), WEIGHTS), WEIGHTS)
        seen = fake_quantize(given, *parameters(*ranges(given, ACTIVATIONS), ACTIVATIONS), ACTIVATIONS)
        return sqnr_db(given @ weight.T, seen @ coarse.T)

    before = loss_db(graph)
    smooth(graph, RECIPE, [(tokens(64),)])
    assert loss_db(graph) > before + 6


class Odd(nn.Module):
    """Every reason for which a normalisation cannot give its outliers away."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        shape = (5, 16) if way == "more than the last axis" else 16
        self.norm = nn.LayerNorm(shape, elementwise_affine=way != "no weight to change")
        self.line = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.norm(x)
        if self.way == "something else":
            return self.line(given) + given
        if self.way == "shares its weight":
            return self.line(given) + self.line(self.norm(x.flip(1)))
        return self.line(given)


@pytest.mark.parametrize("way", ["something else", "no weight to change", "more than the last axis"])
def test_what_cannot_be_smoothed_says_why_and_stays(way: str) -> None:
    graph = capture(Odd(way), (tokens(),))
    before = copy.deepcopy(graph.state_dict())
    notes = smooth(graph, RECIPE, [(tokens(),)])
    assert way in notes[0]
    assert all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())


def test_tied_layers_stay_as_they_are() -> None:
    graph = capture(Odd("shares its weight"), (tokens(),))
    wanted = graph(tokens(seed=1))
    assert "could be changed" in smooth(graph, RECIPE, [(tokens(),)])[-1]
    assert torch.equal(graph(tokens(seed=1)), wanted)


def test_a_normalisation_whose_readers_stay_in_float_is_left_alone() -> None:
    network = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 8))
    graph = capture(network, (tokens(),))
    before = copy.deepcopy(graph.state_dict())
    smooth(graph, Quantization(layers={"1": "fp32"}), [(tokens(),)])
    assert all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())
