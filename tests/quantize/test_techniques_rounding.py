"""Bias correction sets means right; AdaRound rounds for the output and ends on the grid."""

import copy

import msgspec
import pytest
import torch
from torch import fx, nn

from modelwright.errors import SettingError
from modelwright.quantize.graph import capture, layers, node_of, parameter
from modelwright.quantize.numerics import fake_quantize, parameters, ranges
from modelwright.quantize.prepare import calibrate, prepare
from modelwright.quantize.profile import Profile
from modelwright.quantize.techniques.adaround import Rounding, adaround
from modelwright.quantize.techniques.bias_correction import correct_biases
from modelwright.quantize.techniques.channels import rounded, wanted, weight_axis
from modelwright.quantize.techniques.stream import Stream
from modelwright.records import WEIGHTS, Quantization, Scheme


def recipe(bits: int = 3, **more: object) -> Quantization:
    return Quantization(weights=msgspec.structs.replace(WEIGHTS, bits=bits), **more)


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Pictures with some light in them: neighbouring pixels are alike, and the mean is not zero."""
    coarse = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, (12, 12), mode="bilinear") + 0.5


def network(seed: int = 0) -> nn.Sequential:
    """Strided, depthwise, pointwise and transposed convolutions and a matrix, with and without bias."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 1),
        nn.ConvTranspose2d(8, 6, 2, stride=2, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(24, 10, bias=False),
    )  # fmt: skip


BATCHES = [(images(32, seed),) for seed in range(3)]


@pytest.fixture(scope="module")
def graph() -> fx.GraphModule:
    return capture(network(), (images(2),))


def round_all(graph: fx.GraphModule, how: Quantization) -> fx.GraphModule:
    """A copy with the weights of quantized layers rounded to the nearest."""
    made = copy.deepcopy(graph)
    with torch.no_grad():
        for layer in wanted(made, how):
            weight = parameter(made, layer.weight)
            weight.copy_(rounded(weight, node_of(made, layer.node), how.weights))
    return made


def outputs(graph: fx.GraphModule, given: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each layer makes."""
    stream, names, made = Stream(graph, [(given,)]), {layer.node for layer in layers(graph)}, {}
    with torch.no_grad():
        for node in graph.graph.nodes:
            stream.run(node)
            if node.name in names:
                made[node.name] = stream.of(node)[0].clone()
    return made


# --- bias correction --------------------------------------------------------------------------------------------------


def test_means_of_all_output_channels_are_right_after_bias_correction(graph: fx.GraphModule) -> None:
    corrected = copy.deepcopy(graph)
    (note,) = correct_biases(corrected, recipe(), BATCHES)
    assert "5 layers" in note
    given = torch.cat([batch[0] for batch in BATCHES])
    exact, naive, better = (
        outputs(one, given) for one in (graph, round_all(graph, recipe()), round_all(corrected, recipe()))
    )
    for name, made in exact.items():
        axes = [axis for axis in range(made.ndim) if axis != 1]
        spread = made.std()
        assert ((better[name] - made).mean(axes).abs() < 1e-5 * spread).all()
        assert ((naive[name] - made).mean(axes).abs() > 1e-3 * spread).any()


def test_it_brings_the_outputs_nearer_on_new_data_and_leaves_weights_alone(graph: fx.GraphModule) -> None:
    corrected = copy.deepcopy(graph)
    correct_biases(corrected, recipe(), BATCHES)
    for layer in layers(graph):
        assert torch.equal(parameter(corrected, layer.weight), parameter(graph, layer.weight))
    new = images(64, seed=9)
    losses = [(round_all(one, recipe())(new) - graph(new)).square().mean() for one in (corrected, graph)]
    assert losses[0] < 0.8 * losses[1]


def test_a_layer_in_float_keeps_its_bias(graph: fx.GraphModule) -> None:
    corrected = copy.deepcopy(graph)
    correct_biases(corrected, recipe(layers={"5": "fp32"}), BATCHES)
    assert torch.equal(parameter(corrected, "5.bias"), parameter(graph, "5.bias"))
    assert {layer.name for layer in layers(corrected) if layer.bias} == {"0", "3", "5", "6", "10"}


def test_the_captured_graph_can_be_copied_and_run_after_biases_were_added(graph: fx.GraphModule) -> None:
    corrected = copy.deepcopy(graph)
    correct_biases(corrected, recipe(), BATCHES)
    again = copy.deepcopy(corrected)
    assert torch.equal(again(images(5)), corrected(images(5)))
    assert not torch.equal(corrected(images(5)), graph(images(5)))


@pytest.mark.parametrize("technique", [correct_biases, adaround])
def test_no_data_is_an_error_and_no_layer_a_note(graph: fx.GraphModule, technique) -> None:
    with pytest.raises(SettingError, match="needs batches"):
        technique(copy.deepcopy(graph), recipe(), [])
    assert "nothing was changed" in technique(copy.deepcopy(graph), Quantization(kind="float"), [])[0]


# --- AdaRound ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(graph: fx.GraphModule) -> fx.GraphModule:
    made = copy.deepcopy(graph)
    adaround(made, recipe(), BATCHES)
    return made


def test_adaround_beats_rounding_to_nearest_on_new_data(graph: fx.GraphModule, learned: fx.GraphModule) -> None:
    new = images(64, seed=9)
    wanted, near = graph(new), round_all(graph, recipe())(new)
    assert (learned(new) - wanted).square().mean() < 0.6 * (near - wanted).square().mean()


def test_no_weight_moves_by_more_than_one_step_and_some_go_the_other_way(graph, learned) -> None:
    others = 0
    for layer in layers(graph):
        weight, after = parameter(graph, layer.weight).detach(), parameter(learned, layer.weight).detach()
        axis = weight_axis(node_of(graph, layer.node))
        scale, _ = parameters(*ranges(weight, recipe().weights, axis), recipe().weights)
        steps = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
        assert ((after - weight).abs() <= steps * (1 + 1e-4)).all()
        others += int(((after - weight).abs() > steps * 0.501).sum())
    assert others > 0


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_the_weights_are_on_their_grid_so_that_rounding_again_changes_nothing(graph: fx.GraphModule, bits: int) -> None:
    made = copy.deepcopy(graph)
    adaround(made, recipe(bits), BATCHES, rounding=Rounding(iterations=20))
    for layer in layers(made):
        weight, axis = parameter(made, layer.weight).detach(), weight_axis(node_of(made, layer.node))
        before, after = (
            parameters(*ranges(one, recipe(bits).weights, axis), recipe(bits).weights)[0]
            for one in (parameter(graph, layer.weight), weight)
        )
        torch.testing.assert_close(after, before, rtol=1e-6, atol=0)
        again = rounded(weight, node_of(made, layer.node), recipe(bits).weights)
        torch.testing.assert_close(again, weight, rtol=1e-6, atol=1e-9)


def test_what_is_calibrated_and_converted_afterwards_keeps_the_learned_weights(learned: fx.GraphModule) -> None:
    prepared = prepare(learned, recipe(), Profile("any"))
    calibrate(prepared, BATCHES)
    for layer in layers(learned):
        weight = parameter(learned, layer.weight).detach()
        _, simulation = prepared.switches[layer.name]
        torch.testing.assert_close(simulation(weight), weight, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scheme", [Scheme(bits=4), Scheme(bits=4, symmetric=True, granularity="group", group=3)])
def test_other_schemes_end_on_their_grids_too(scheme: Scheme) -> None:
    torch.manual_seed(0)
    made = capture(nn.Sequential(nn.Flatten(), nn.Linear(432, 6)), (images(2),))
    before = parameter(made, "1.weight").detach().clone()
    adaround(made, Quantization(weights=scheme), BATCHES, rounding=Rounding(iterations=100))
    scale, zero = parameters(*ranges(before, scheme), scheme)
    after = parameter(made, "1.weight").detach()
    torch.testing.assert_close(fake_quantize(after, scale, zero, scheme), after, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(fake_quantize(before, scale, zero, scheme), after)


def test_one_seed_gives_the_same_weights_and_another_does_not(graph: fx.GraphModule) -> None:
    made = []
    for seed in (0, 0, 1):
        made.append(copy.deepcopy(graph))
        adaround(made[-1], recipe(), BATCHES, rounding=Rounding(iterations=30, seed=seed))
    first, same, other = (torch.cat([value.flatten() for value in one.parameters()]) for one in made)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_each_layer_is_told_of_and_float_ones_stay(graph: fx.GraphModule) -> None:
    made, told = copy.deepcopy(graph), []
    how = recipe(layers={"0": "fp32", "6": "bf16"})
    adaround(made, how, BATCHES, rounding=Rounding(iterations=5), report=lambda *news: told.append(news))
    assert told == [("3", 1, 3), ("5", 2, 3), ("10", 3, 3)]
    for name in ("0.weight", "6.weight"):
        assert torch.equal(parameter(made, name), parameter(graph, name))


def test_what_cannot_be_bettered_is_rounded_to_the_nearest() -> None:
    """With white inputs and one weight a channel there is nothing to gain over the nearest."""
    torch.manual_seed(0)
    made = capture(nn.Sequential(nn.Conv2d(3, 3, 1, groups=3, bias=False)), (images(2),))
    near = rounded(parameter(made, "0.weight"), node_of(made, layers(made)[0].node), recipe().weights)
    (note,) = adaround(made, recipe(), BATCHES, rounding=Rounding(iterations=5))
    assert torch.equal(parameter(made, "0.weight"), near)
    assert "1.00" in note
