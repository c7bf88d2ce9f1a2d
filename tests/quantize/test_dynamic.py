"""Ranges found as the network runs, and weights in few bits: near to float, smaller, and refused where no kernel is."""

import itertools
import math

import msgspec
import pytest
import torch
from torch import nn

from modelwright.errors import SettingError, UnknownNameError
from modelwright.quantize.dynamic import dynamic_linears, dynamic_recurrent
from modelwright.quantize.graph import capture, layers, parameter
from modelwright.quantize.numerics import sqnr_db
from modelwright.quantize.weight_only import pack, round_weights
from modelwright.records import WEIGHTS, Quantization, Scheme

replace = msgspec.structs.replace
DYNAMIC = Quantization(kind="dynamic")
WEIGHT_ONLY = Quantization(kind="weight-only")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lines() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16)).eval()


class Reader(nn.Module):
    """A recurrent network that reads a sequence, then a cell and a matrix."""

    def __init__(self, recurrent: type[nn.Module], cell: type[nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.recurrent, self.cell, self.head = recurrent(16, 32, batch_first=True), cell(32, 24), nn.Linear(24, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.cell(self.recurrent(x)[0][:, -1])
        return self.head(made[0] if isinstance(made, tuple) else made)


# --- dynamic ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recurrent", "cell"), [(nn.LSTM, nn.LSTMCell), (nn.GRU, nn.GRUCell), (nn.LSTM, nn.RNNCell)])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_recurrent_layers_stay_close_to_float(recurrent, cell, granularity: str) -> None:
    reader = Reader(recurrent, cell).eval()
    recipe = replace(DYNAMIC, weights=replace(WEIGHTS, granularity=granularity))
    made = dynamic_recurrent(reader, recipe)
    given = noise(8, 12, 16)
    assert 25 < sqnr_db(reader(given), made(given)) < 80
    assert isinstance(reader.recurrent, recurrent)
    assert all("quantized.dynamic" in type(part).__module__ for part in (made.recurrent, made.cell, made.head))


def test_a_recurrent_layer_named_in_the_recipe_stays_in_float() -> None:
    reader = Reader(nn.LSTM, nn.LSTMCell)
    made = dynamic_recurrent(reader, replace(DYNAMIC, layers={"cell": "fp32", "head": "fp32"}))
    assert type(made.cell) is nn.LSTMCell
    assert type(made.head) is nn.Linear
    assert type(made.recurrent) is not nn.LSTM


def test_linear_layers_find_their_ranges_as_they_run() -> None:
    """A thousand times the inputs that any calibration saw lose no more than these."""
    network = lines()
    made = dynamic_linears(capture(network, (noise(4, 64),)), DYNAMIC, (noise(4, 64),))
    for factor in (1.0, 1000.0):
        assert sqnr_db(network(factor * noise(32, 64)), made(factor * noise(32, 64))) > 35


def test_each_tensor_has_one_range_at_each_run() -> None:
    """With a sample a thousand times another in the same batch, the small one is rounded away; alone it is not."""
    network = nn.Sequential(nn.Linear(64, 16, bias=False))
    made = dynamic_linears(capture(network, (noise(4, 64),)), DYNAMIC, (noise(4, 64),))
    small, large = noise(2, 64), 1000 * noise(2, 64, seed=1)
    together = made(torch.cat([small, large]))[:2]
    assert sqnr_db(network(small), together) < 5
    assert sqnr_db(network(small), made(small)) > 35


def test_only_linear_layers_are_dynamic_and_those_named_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 8))
    graph = capture(network, (noise(2, 3, 6, 6),))
    made = dynamic_linears(graph, replace(DYNAMIC, layers={"3": "fp32"}), (noise(2, 3, 6, 6),))
    chooses = [node for node in made.graph.nodes if "choose_qparams" in str(node.target)]
    assert len(chooses) == 1
    assert parameter(made, "3.weight").dtype == torch.float32


@pytest.mark.parametrize(
    ("recipe", "match"),
    [
        (replace(DYNAMIC, activations=Scheme(granularity="channel")), "one scale a tensor"),
        (replace(DYNAMIC, weights=replace(WEIGHTS, granularity="group")), "one a tensor or a channel"),
        (replace(DYNAMIC, layers={"0": "fp32", "2": "fp32"}), "needs a linear layer"),
    ],
)
def test_dynamic_graphs_that_no_operator_serves_are_refused(recipe: Quantization, match: str) -> None:
    with pytest.raises(SettingError, match=match):
        dynamic_linears(capture(lines(), (noise(2, 64),)), recipe, (noise(2, 64),))


def test_recurrent_layers_of_other_than_eight_bits_are_refused() -> None:
    with pytest.raises(SettingError, match="8 bits"):
        dynamic_recurrent(Reader(nn.GRU, nn.GRUCell), replace(DYNAMIC, weights=replace(WEIGHTS, bits=4)))
    with pytest.raises(SettingError, match="recurrent or a linear"):
        dynamic_recurrent(nn.Conv2d(3, 3, 1), DYNAMIC)


def test_torch_without_integer_kernels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["none"])
    with pytest.raises(SettingError, match="integer kernels"):
        dynamic_recurrent(Reader(nn.GRU, nn.GRUCell), DYNAMIC)


@pytest.mark.parametrize("way", [dynamic_recurrent, pack, lambda module, recipe: round_weights(_graph(module), recipe)])
def test_a_misspelt_layer_is_an_error(way) -> None:
    with pytest.raises(UnknownNameError, match="'00'"):
        way(lines(), replace(WEIGHT_ONLY, layers={"00": "fp32"}))


def _graph(module: nn.Module) -> torch.fx.GraphModule:
    return capture(module, (noise(2, 64),))


# --- weights only -----------------------------------------------------------------------------------------------------


def test_six_decibels_are_lost_with_each_bit() -> None:
    """20 log10(2) = 6.02 dB a bit, the law of uniform quantization."""
    before = parameter(_graph(nn.Sequential(nn.Linear(64, 512))), "0.weight").detach()
    lost = []
    for bits in (8, 7, 6, 5):
        graph = _graph(nn.Sequential(nn.Linear(64, 512)))
        parameter(graph, "0.weight").data = before.clone()
        round_weights(graph, replace(WEIGHT_ONLY, weights=replace(WEIGHTS, bits=bits)))
        lost.append(sqnr_db(before, parameter(graph, "0.weight")))
    assert all(high - low == pytest.approx(6.02, abs=0.4) for high, low in itertools.pairwise(lost))


def test_groups_lose_less_and_take_more() -> None:
    found = {}
    for granularity in ("tensor", "channel", "group"):
        graph = _graph(lines())
        scheme = Scheme(bits=4, symmetric=True, narrow=True, granularity=granularity, group=16)
        wanted = graph(noise(16, 64))
        made = round_weights(graph, replace(WEIGHT_ONLY, weights=scheme))
        found[granularity] = (sqnr_db(wanted, graph(noise(16, 64))), made.size_bytes)
    assert found["tensor"][0] < found["group"][0]
    assert found["channel"][0] < found["group"][0]
    assert found["tensor"][1] < found["channel"][1] < found["group"][1]


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_size_is_that_of_packed_weights_scales_and_all_else(bits: int, symmetric: bool) -> None:
    graph = _graph(lines())
    scheme = Scheme(bits=bits, symmetric=symmetric, granularity="channel")
    made = round_weights(graph, replace(WEIGHT_ONLY, weights=scheme))
    weights, outputs = (64 * 32, 32 * 16), (32, 16)
    packed = sum(math.ceil(count * bits / 8) for count in weights)
    assert made.size_bytes == packed + sum(outputs) * (4 if symmetric else 5) + sum(outputs) * 4
    assert made.float_bytes == 4 * (sum(weights) + sum(outputs))
    assert made.layers == ("0", "2")
    for layer in layers(graph):
        assert all(len(row.unique()) <= 2**bits for row in parameter(graph, layer.weight))


def test_convolutions_are_grouped_by_rows_and_rows_that_do_not_divide_stay() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ConvTranspose2d(8, 6, 2), nn.Conv2d(6, 2, 1))
    graph = capture(network, (noise(2, 4, 6, 6),))
    before = parameter(graph, "2.weight").detach().clone()
    scheme = Scheme(bits=2, symmetric=True, narrow=True, granularity="group", group=4)
    made = round_weights(graph, replace(WEIGHT_ONLY, weights=scheme))
    assert made.layers == ("0", "1")
    assert "groups of 4" in made.notes[0]
    assert torch.equal(parameter(graph, "2.weight"), before)
    for path, axis in (("0.weight", 0), ("1.weight", 1)):
        rows = parameter(graph, path).detach().movedim(axis, 0).flatten(1)
        for group in rows.reshape(-1, 4):
            values = group.abs().unique()
            assert len(values[values > 0]) <= 1


def test_tied_weights_are_rounded_and_counted_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(8, 8, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.line(self.line(x))

    made = round_weights(capture(Twice(), (noise(2, 8),)), WEIGHT_ONLY)
    assert made.size_bytes == 64 + 8 * 4
    assert len(made.layers) == 2


@pytest.mark.parametrize(
    ("recipe", "least"),
    [
        (WEIGHT_ONLY, 40),
        (replace(WEIGHT_ONLY, weights=replace(WEIGHTS, bits=4)), 15),
        (replace(WEIGHT_ONLY, weights=Scheme(bits=4, granularity="group", group=16)), 20),
        (DYNAMIC, 35),
    ],
)
def test_packed_modules_stay_close_and_hold_packed_tensors(recipe: Quantization, least: float) -> None:
    network = lines()
    made = pack(network, replace(recipe, layers={"2": "fp32"}))
    assert sqnr_db(network(noise(32, 64)), made(noise(32, 64))) > least
    assert "torchao" in type(made[0].weight).__module__
    assert type(made[2].weight) is nn.Parameter
    assert type(network[0].weight) is nn.Parameter


def test_the_packed_and_the_simulated_way_lose_alike() -> None:
    network, graph = lines(), _graph(lines())
    round_weights(graph, WEIGHT_ONLY)
    wanted, given = network(noise(64, 64)), noise(64, 64)
    assert sqnr_db(wanted, pack(network, WEIGHT_ONLY)(given)) == pytest.approx(sqnr_db(wanted, graph(given)), abs=1.5)


@pytest.mark.parametrize(
    ("recipe", "match"),
    [
        (replace(WEIGHT_ONLY, layers={"0": "fp8"}), "8-bit floats"),
        (replace(DYNAMIC, layers={"0": "fp8"}), "8-bit floats"),
        (replace(DYNAMIC, weights=replace(WEIGHTS, bits=4)), "weights of 8 bits"),
        (replace(WEIGHT_ONLY, weights=Scheme(signed=False, granularity="channel")), "signed"),
        (replace(WEIGHT_ONLY, weights=Scheme(granularity="group", group=48)), "must divide"),
        (Quantization(kind="static"), "'weight-only' or 'dynamic'"),
        (replace(WEIGHT_ONLY, layers={"0": "bf16", "2": "fp32"}), "linear layer to quantize"),
    ],
)
def test_what_has_no_kernel_is_refused(recipe: Quantization, match: str) -> None:
    with pytest.raises(SettingError, match=match):
        pack(lines(), recipe)
