"""Simulation, calibration, conversion: what is simulated is what is computed, and only what the recipe names."""

import copy

import msgspec
import pytest
import torch
from torch import fx, nn

from modelwright.errors import SettingError, UnknownNameError
from modelwright.quantize.graph import capture, layers, parameter
from modelwright.quantize.judging import decibels
from modelwright.quantize.prepare import (
    Prepared,
    calibrate,
    convert,
    prepare,
    quantized_layers,
    restrict,
    switch,
)
from modelwright.quantize.profile import Profile
from modelwright.quantize.targets.onnxruntime import PROFILE as ONNXRUNTIME
from modelwright.quantize.targets.openvino import PROFILE as OPENVINO
from modelwright.records import Quantization, Scheme

PIXELS = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
RECIPE = Quantization(calibration="minmax")
PROFILES = [Profile("inputs"), OPENVINO, ONNXRUNTIME]
each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


class Attention(nn.Module):
    """Three layers that read one tensor, and products of activations."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.squeeze(1)
        weights = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2), -1)
        return (weights @ self.value(x)).mean(1)


@pytest.fixture(scope="module")
def graph(learned: nn.Module) -> fx.GraphModule:
    return capture(learned, (PIXELS[:2],))


def ready(graph: fx.GraphModule, recipe: Quantization, profile: Profile, *, share: bool = True) -> Prepared:
    made = prepare(graph, recipe, profile, share=share)
    assert calibrate(made, [(part,) for part in PIXELS.split(16)]) == 40
    return made


@each_profile
def test_the_simulation_rounds_as_the_converted_graph_does(graph: fx.GraphModule, profile: Profile) -> None:
    prepared = ready(graph, RECIPE, profile)
    assert decibels(prepared.graph(PIXELS), convert(prepared)(PIXELS)) > 60
    assert 15 < decibels(graph(PIXELS), prepared.graph(PIXELS)) < 60


@each_profile
def test_preparing_and_converting_leave_what_they_are_given_as_it_is(graph: fx.GraphModule, profile: Profile) -> None:
    before, said = copy.deepcopy(graph.state_dict()), graph(PIXELS)
    prepared = ready(graph, RECIPE, profile)
    simulated = prepared.graph(PIXELS)
    convert(prepared)
    assert torch.equal(prepared.graph(PIXELS), simulated)
    assert torch.equal(graph(PIXELS), said)
    assert all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())


@each_profile
def test_with_all_switched_off_the_graph_is_the_float_one(graph: fx.GraphModule, profile: Profile) -> None:
    prepared = ready(graph, RECIPE, profile)
    switch(prepared, [])
    assert torch.equal(prepared.graph(PIXELS), graph(PIXELS))
    switch(prepared, None)
    assert not torch.equal(prepared.graph(PIXELS), graph(PIXELS))


@each_profile
@pytest.mark.parametrize("share", [True, False])
def test_every_layer_can_be_switched_where_layers_read_one_tensor(profile: Profile, share: bool) -> None:
    attention = capture(Attention().eval(), (PIXELS[:2],))
    prepared = ready(attention, RECIPE, profile, share=share)
    wanted = {"query", "key", "value"} | ({"matmul", "matmul_1"} if "product" in profile.kinds else set())
    assert {layer.name.partition(":")[0] for layer in prepared.layers} == wanted
    assert all(len(parts) == 2 for parts in prepared.switches.values())
    inputs = {id(prepared.switches[name][0]) for name in ("query", "key", "value")}
    assert len(inputs) == (1 if share else 3)
    assert decibels(prepared.graph(PIXELS), convert(prepared)(PIXELS)) > 60


@each_profile
def test_a_mix_of_ranges_found_before_is_what_preparing_and_calibrating_it_gives(
    graph: fx.GraphModule, profile: Profile
) -> None:
    prepared = ready(graph, RECIPE, profile)
    mix = msgspec.structs.replace(RECIPE, layers={"inner": "fp32"})
    restricted, anew = restrict(prepared, graph, mix, profile), ready(graph, mix, profile)
    assert [layer.name for layer in restricted.layers] == ["stem", "head"]
    assert torch.equal(restricted.graph(PIXELS), anew.graph(PIXELS))
    assert torch.equal(convert(restricted)(PIXELS), convert(anew)(PIXELS))


def test_what_was_not_calibrated_cannot_be_restricted_to(graph: fx.GraphModule) -> None:
    some = ready(graph, msgspec.structs.replace(RECIPE, layers={"head": "fp32"}), OPENVINO)
    with pytest.raises(SettingError, match="the range of a tensor must have been found"):
        restrict(some, graph, RECIPE, OPENVINO)


def test_weights_lie_on_their_grid_and_ranges_hold_all_that_was_seen(graph: fx.GraphModule) -> None:
    prepared = ready(graph, RECIPE, OPENVINO)
    for layer in prepared.layers:
        given, weights = prepared.switches[layer.name]
        weight = parameter(graph, layer.weight)
        steps = weights(weight) / weights.scale.reshape(-1, *[1] * (weight.ndim - 1))
        assert torch.allclose(steps, steps.round(), atol=1e-3)
        assert float((weights(weight) - weight).abs().max()) <= float(weights.scale.max()) / 2 * 1.001
        assert given.scale.numel() == 1
    low, high = (
        (end - prepared.switches["stem"][0].zero_point) * prepared.switches["stem"][0].scale for end in (0, 255)
    )
    step = float(prepared.switches["stem"][0].scale)
    assert float(low) - step <= float(PIXELS.min())
    assert float(PIXELS.max()) <= float(high) + step


def test_a_misspelt_layer_is_told_with_the_nearest_name(graph: fx.GraphModule) -> None:
    with pytest.raises(UnknownNameError, match="'inner'"):
        quantized_layers(graph, msgspec.structs.replace(RECIPE, layers={"iner": "fp32"}), OPENVINO)


def test_numbers_that_a_layer_cannot_compute_in_are_refused() -> None:
    attention = capture(Attention().eval(), (PIXELS[:2],))
    product = next(layer.name for layer in layers(attention) if layer.kind == "product")
    for numbers, words in (("int8", "openvino must have integer kernels"), ("bf16", "Write 'fp32'")):
        recipe = msgspec.structs.replace(RECIPE, layers={product: numbers})
        with pytest.raises(SettingError, match=words):
            quantized_layers(attention, recipe, OPENVINO)
    assert quantized_layers(attention, Quantization(kind="float"), OPENVINO) == ()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Quantization(weights=Scheme(symmetric=True, granularity="group")), "weights with granularity 'group'"),
        (Quantization(activations=Scheme(signed=True)), "activations with signed True"),
        (Quantization(weights=Scheme(granularity="channel")), "weights with symmetric False"),
    ],
)
def test_schemes_without_kernels_are_refused(graph: fx.GraphModule, recipe: Quantization, words: str) -> None:
    with pytest.raises(SettingError, match=f"openvino has no integer kernels for {words}"):
        prepare(graph, recipe, OPENVINO)


def test_calibration_needs_samples_and_finite_numbers(graph: fx.GraphModule) -> None:
    prepared = prepare(graph, RECIPE, OPENVINO)
    with pytest.raises(SettingError, match="ranges must be found on data"):
        convert(prepared)
    with pytest.raises(SettingError, match="calibration needs samples"):
        calibrate(prepared, [])
    broken = PIXELS.clone()
    broken[20, 0, 3, 3] = torch.nan
    with pytest.raises(SettingError, match=r"calibration, sample 16 on: .*NaN"):
        calibrate(prepared, [(part,) for part in broken.split(16)])
