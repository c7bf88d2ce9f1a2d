"""Cross-layer equalization: what a network computes stays, its channels' ranges become equal, rounding loses less."""

import copy

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelwright.errors import SettingError
from modelwright.quantize.graph import capture, layers, parameter
from modelwright.quantize.numerics import fake_quantize, parameters, ranges, sqnr_db
from modelwright.quantize.techniques.channels import grouped
from modelwright.quantize.techniques.equalization import equalize
from modelwright.records import Quantization, Scheme

RECIPE = Quantization()
TENSOR = Scheme(symmetric=True, narrow=True)
ACTIVATIONS = (nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.2), nn.PReLU(4), nn.Identity(), nn.Dropout(0.3))


def images(count: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def spread(network: nn.Module, scale: float, seed: int) -> nn.Module:
    """The network, with each output channel of its layers scaled by up to e^scale."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                axis = 1 if isinstance(part, nn.ConvTranspose2d) else 0
                factors = (scale * torch.randn(part.weight.shape[axis], generator=generator)).exp()
                part.weight.mul_(factors.reshape([-1 if i == axis else 1 for i in range(part.weight.ndim)]))
    return network


def range_of(graph, layer, *, outputs: bool) -> torch.Tensor:
    weight = grouped(graph, layer).detach().abs()
    keep = (0, 1) if outputs else (0, 2)
    return weight.amax([axis for axis in range(weight.ndim) if axis not in keep]).flatten()


def by_name(graph) -> dict:
    return {layer.name: layer for layer in layers(graph)}


@given(
    st.lists(st.sampled_from(ACTIVATIONS), min_size=3, max_size=3),
    st.sampled_from(["dense", "depthwise", "grouped", "transposed"]),
    st.sampled_from([nn.Flatten(), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.MaxPool2d(2)]),
    st.booleans(),
    st.integers(0, 100),
)
@settings(max_examples=25)
def test_outputs_stay_what_they_are(chosen: list, middle: str, end: nn.Module, bias: bool, seed: int) -> None:
    torch.manual_seed(seed)
    between = {
        "dense": nn.Conv2d(4, 4, 3, padding=1, bias=bias),
        "depthwise": nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=bias),
        "grouped": nn.Conv2d(4, 8, 3, padding=1, groups=2, bias=bias),
        "transposed": nn.ConvTranspose2d(4, 8, 2, groups=2, bias=bias),
    }[middle]
    third = copy.deepcopy(chosen[2]) if not isinstance(chosen[2], nn.PReLU) else nn.ReLU()
    parts = [nn.Conv2d(3, 4, 3, bias=bias), chosen[0], between, nn.ReLU(), nn.Conv2d(between.out_channels, 4, 1)]
    network = nn.Sequential(*copy.deepcopy(parts), third, copy.deepcopy(end))
    width = network.eval()(images()).shape
    if len(width) == 2:
        network.append(nn.Linear(width[1], 5))
    graph = capture(spread(network, 1.5, seed), (images(),))
    wanted = graph(images(seed=1)).detach()
    (note,) = equalize(graph, RECIPE, [(images(),)])
    assert f"{3 if len(width) == 2 else 2} pairs" in note
    torch.testing.assert_close(graph(images(seed=1)), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_both_sides_of_each_pair_have_the_same_ranges_and_triples_too() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.Conv2d(8, 6, 1)
    )
    graph = capture(spread(network, 2.0, 0), (images(),))
    equalize(graph, RECIPE, [])
    first, second, third = layers(graph)
    ours = range_of(graph, first, outputs=True)
    torch.testing.assert_close(ours, range_of(graph, second, outputs=False), rtol=5e-3, atol=0)
    torch.testing.assert_close(ours, range_of(graph, second, outputs=True), rtol=5e-3, atol=0)
    torch.testing.assert_close(ours, range_of(graph, third, outputs=False), rtol=5e-3, atol=0)


def test_badly_scaled_batch_normalisation_costs_more_than_15_decibels_and_they_come_back() -> None:
    """As in MobileNets, where per-tensor weights drop to chance and equalization brings them back."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 10, 1),
    )  # fmt: skip
    with torch.no_grad():
        factors = torch.logspace(-1.5, 1.5, 16)
        network[1].weight.mul_(factors)  # one channel a thousand times another
        network[3].weight.div_(factors[:, None, None, None])
        network[4].running_var.fill_(0.3)

    def loss_db(graph) -> float:
        rounded = copy.deepcopy(graph)
        for layer in layers(rounded):
            weight = parameter(rounded, layer.weight)
            weight.data = fake_quantize(weight, *parameters(*ranges(weight, TENSOR), TENSOR), TENSOR)
        return sqnr_db(graph(images(32)), rounded(images(32)))

    graph = capture(network, (images(),))
    before = loss_db(graph)
    equalize(graph, RECIPE, [])
    assert loss_db(graph) > before + 15


class Branching(nn.Module):
    """Every way in which two convolutions may not be equalized."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.first(x)
        if self.way == "tied":
            return self.first(made.relu())
        if self.way == "two users":
            return self.second(made) + made
        between = {
            "silu": nn.functional.silu,
            "sigmoid": torch.sigmoid,
            "shifted": lambda given: given + 1,
            "clip below": lambda given: nn.functional.hardtanh(given),
            "other axis": lambda given: given.transpose(1, 3).reshape(given.shape),
            "mean": lambda given: given.mean(1, keepdim=True).expand_as(given),
            "channels mixed": lambda given: nn.functional.pixel_shuffle(given.repeat(1, 4, 1, 1), 2),
        }
        return self.second(between[self.way](made))


@pytest.mark.parametrize(
    "way", ["tied", "two users", "silu", "sigmoid", "shifted", "clip below", "other axis", "mean", "channels mixed"]
)
def test_what_is_not_homogeneous_channel_by_channel_is_left_alone(way: str) -> None:
    graph = capture(Branching(way), (images(),))
    before = copy.deepcopy(graph.state_dict())
    (note,) = equalize(graph, RECIPE, [(images(),)])
    assert "nothing was changed" in note
    assert all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())


def test_the_recipe_of_the_float_network_changes_nothing() -> None:
    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1)), (images(),))
    assert "nothing" in equalize(graph, msgspec.structs.replace(RECIPE, kind="float"), [])[0]


def test_channels_that_reach_the_clip_of_relu6_stay_and_the_outputs_with_them() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.ReLU6(), nn.Conv2d(8, 4, 1))
    with torch.no_grad():
        network[0].weight.mul_(torch.logspace(-2, 1.2, 8)[:, None, None, None])
    graph = capture(network, (images(),))
    before = network[0].weight.detach().clone()
    seen = network[0](images(32)).amax((0, 2, 3))
    wanted = graph(images(32))
    notes = equalize(graph, RECIPE, [(images(32),)])
    after = parameter(graph, by_name(graph)["0"].weight)
    clipped = seen >= 6
    assert 0 < int(clipped.sum()) < 8
    assert f"{int(clipped.sum())} channels reach the clip" in notes[1]
    assert torch.equal(after[clipped], before[clipped])
    assert not torch.isclose(after[~clipped], before[~clipped]).all()
    torch.testing.assert_close(graph(images(32)), wanted, rtol=1e-4, atol=1e-4)
    now = nn.functional.conv2d(images(32), after).amax((0, 2, 3))[~clipped]
    assert (now <= torch.maximum(seen[~clipped], torch.tensor(6 / 1.25)) + 1e-4).all()


def test_a_clip_needs_data_to_look_at() -> None:
    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6(), nn.Conv2d(4, 4, 1)), (images(),))
    with pytest.raises(SettingError, match="needs batches"):
        equalize(graph, RECIPE, [])


def test_a_dead_channel_is_not_blown_up() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
    with torch.no_grad():
        network[0].weight[1] = 1e-9
        network[0].weight[2] = 0
    graph = capture(network, (images(),))
    before = parameter(graph, "0.bias").detach().clone()
    equalize(graph, RECIPE, [])
    assert torch.equal(parameter(graph, "0.bias")[1:3], before[1:3])
    assert parameter(graph, "0.bias").isfinite().all()
