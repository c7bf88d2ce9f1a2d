"""Capture: a graph says what the module says, keeps nothing of its own from it, and knows every layer."""

import copy

import pytest
import torch
from torch import nn
from torchao.quantization.pt2e import allow_exported_model_train_eval

from modelwright.errors import SettingError, TraceError
from modelwright.quantize.graph import capture, kind_of, layers, node_of, parameter

PIXELS = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Zoo(nn.Module):
    """A layer of each kind, one of them called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 8, 3, padding="same", bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, 2, 1, groups=8)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.line = nn.Linear(8, 8)
        self.register_buffer("ones", torch.ones(8, 8))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.plain(image)))
        x = self.up(self.grouped(self.deep(x))).flatten(2).mean(1).unflatten(1, (8, 8))
        x = self.line(self.line(x))
        x = nn.functional.linear(x, self.ones * 0.5)  # a weight that is computed
        return (x @ x.transpose(1, 2)).sum(1)


@pytest.fixture
def zoo() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = Zoo()
        made.norm.running_mean.normal_()
        made.norm.running_var.uniform_(0.5, 2.0)
    return made


def test_a_graph_says_what_the_module_says_for_any_number_of_samples(zoo: nn.Module) -> None:
    graph = capture(zoo, (PIXELS[:2],))
    for count in (1, 3, 4):
        assert torch.allclose(graph(PIXELS[:count]), zoo.eval()(PIXELS[:count]), rtol=1e-4, atol=1e-5)


def test_normalisations_are_folded_unless_they_are_to_be_kept(zoo: nn.Module) -> None:
    folded, kept = (capture(zoo, (PIXELS,), fold=fold) for fold in (True, False))
    norms = [[node for node in graph.graph.nodes if "batch_norm" in str(node.target)] for graph in (folded, kept)]
    assert [len(one) for one in norms] == [0, 1]
    assert torch.allclose(folded(PIXELS), kept(PIXELS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_module_stays_as_it_is_whatever_becomes_of_the_graph(zoo: nn.Module, training: bool) -> None:
    zoo.train(training)
    before = copy.deepcopy(zoo.state_dict())
    graphs = [capture(zoo, (PIXELS,)) for _ in range(2)]
    said = graphs[1](PIXELS)
    with torch.no_grad():
        for weight in graphs[0].parameters():
            weight.zero_()
    assert zoo.training is training
    assert zoo.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in zoo.state_dict().items())
    assert torch.equal(graphs[1](PIXELS), said)


def test_parts_in_different_modes_stay_so(zoo: nn.Module) -> None:
    """As a trained network inside of a new module that puts preprocessing before it."""
    around = nn.Sequential(zoo.eval())
    capture(around, (PIXELS,))
    assert around.training
    assert not zoo.training


def test_layers_are_known_by_their_modules_paths_in_running_order(zoo: nn.Module) -> None:
    graph = capture(zoo, (PIXELS,))
    found = layers(graph)
    names = [(one.name, one.kind) for one in found if one.kind != "product"]
    assert names[:5] == [
        ("plain", "conv"), ("deep", "depthwise"), ("grouped", "conv"), ("up", "conv"), ("line", "linear"),
    ]  # fmt: skip
    again = names[5]
    assert again[0].startswith("line:")  # the second call
    assert again[1] == "linear"
    assert [one.kind for one in found][6:] == ["product"]  # not the one whose weight is computed
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert kind_of(node_of(graph, one.node)) == one.kind
        if one.weight:
            assert parameter(graph, one.weight).ndim >= 2


def test_multiplications_are_those_of_one_sample(zoo: nn.Module) -> None:
    """By hand: outputs times what each sums up; a transposed convolution's inputs times what each is spread over."""
    found = {one.name: one.macs for one in layers(capture(zoo, (PIXELS,)))}
    assert found["plain"] == 8 * 8 * 8 * 3 * 9
    assert found["deep"] == 8 * 4 * 4 * 9
    assert found["grouped"] == 8 * 4 * 4 * 4
    assert found["up"] == 8 * 4 * 4 * 4 * 2 * 2
    assert found["line"] == 8 * 8 * 8
    assert [macs for name, macs in found.items() if "matmul" in name] == [8 * 8 * 8]


def test_a_convolution_of_one_channel_in_one_group_is_not_depthwise() -> None:
    graph = capture(nn.Conv2d(1, 4, 3), (PIXELS[:, :1],))
    assert [one.kind for one in layers(graph)] == ["conv"]


def test_what_torch_cannot_capture_is_told_with_its_reason() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    module = Branching().train()
    with pytest.raises(TraceError, match=r"Branching: torch\.export must be able to capture the module, but got '.+'"):
        capture(module, (PIXELS,))
    assert module.training


def test_how_a_module_lies_in_memory_changes_no_operator() -> None:
    """Else a flattening becomes `as_strided`, of which OpenVINO computes something else."""
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    graph = capture(module, (PIXELS,))
    other = module.to(memory_format=torch.channels_last)
    again = capture(other, (PIXELS.to(memory_format=torch.channels_last),))
    assert [node.target for node in again.graph.nodes] == [node.target for node in graph.graph.nodes]
    assert torch.equal(again(PIXELS), graph(PIXELS))
    assert not other[0].weight.is_contiguous()


def test_a_graph_that_torchao_lets_evaluate_is_captured_too(zoo: nn.Module) -> None:
    """Its `eval()` returns nothing, unlike that of any other module."""
    graph = allow_exported_model_train_eval(capture(zoo, (PIXELS,)))
    assert torch.equal(capture(graph, (PIXELS,), fold=False)(PIXELS), graph(PIXELS))


def test_one_sample_is_no_example_of_any_number(zoo: nn.Module) -> None:
    with pytest.raises(SettingError, match="needs an example of two"):
        capture(zoo, (PIXELS[:1],))
    graph = capture(zoo, (PIXELS[:1],), dynamic=False)
    assert graph(PIXELS[:1]).shape == (1, 8)


def test_a_node_that_is_not_there_is_told(zoo: nn.Module) -> None:
    with pytest.raises(SettingError, match="'nowhere'"):
        node_of(capture(zoo, (PIXELS,)), "nowhere")
