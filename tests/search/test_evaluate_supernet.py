"""The supernet: every network is a part of it, exactly; it learns, ranks, and goes on to the same bits."""

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import RecordError, SettingError
from modelwright.networks.blocks.convolution import Convolution
from modelwright.networks.build import build
from modelwright.networks.shapes import shapes
from modelwright.records import Learning, Recipe, Space
from modelwright.search.evaluate import agreement
from modelwright.search.evaluate.supernet.corners import corners
from modelwright.search.evaluate.supernet.judge import SupernetJudge, train_supernet
from modelwright.search.evaluate.supernet.places import piece
from modelwright.search.evaluate.supernet.supernet import Supernet
from modelwright.search.space import Product, make, narrow, parse_space, space, with_data
from modelwright.training import Data, Run, dataset, evaluate, preprocess, train

ONE = Run(threads=1)
LAX = settings(max_examples=8)
seeds = st.integers(0, 2**32 - 1)

TINY = """
name = "tiny"
makes = "modelwright.search.spaces.mbconv:mbconv"
stages = 2

[fixed]
image_channels = 1
classes = 10
stride = [1, 2]
activation = "relu"
"stem.activation" = "relu"
"stem.width" = 8
"head.width" = 32
squeeze = 0.0
repeats = 1
kernel = 3
expansion = 2
dropout = 0.0
norm_epsilon = 1e-3
norm_momentum = 0.1

[[choice]]
name = "resolution"
values = [4, 8]

[[choice]]
name = "fused"
per = "stage"
values = [false, true]

[[choice]]
name = "width"
per = "stage"
values = [8, 32]
"""


def fitted(name: str) -> Space:
    return with_data(space(name), 1, 10, 8)


@pytest.fixture(scope="module")
def net() -> Supernet:
    torch.manual_seed(0)
    return Supernet(fitted("efficientnet-x-small"))


@pytest.fixture(scope="module")
def tiny() -> Space:
    return parse_space(TINY)


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset("digits").subset(train=512)


def drawn(net: Supernet, seed: int) -> dict:
    return net.domain.sample(np.random.default_rng(seed), 1)[0]


# --- parts of a whole -------------------------------------------------------------------------------------------------


def test_the_largest_network_takes_whole_tensors(net: Supernet) -> None:
    largest = net.architecture(net.largest)
    for name, (shared, _) in net._weights(largest, net.largest).items():
        assert torch.equal(net.pieces(largest, net.largest)[name], net.weights.get_parameter(shared)), name
    assert largest.depth == 10
    assert largest.input == (1, 16, 16)


def test_every_shared_number_belongs_to_some_network(net: Supernet) -> None:
    """What the corners take together is all there is, and each tensor is whole in one of them."""
    whole = set()
    for point in corners(net.space):
        for name, shape in net._weights(net.architecture(point), point).values():
            if tuple(net.weights.get_parameter(name).shape) == shape:
                whole.add(name)
    assert whole == {name for name, _ in net.weights.named_parameters()}


@pytest.mark.parametrize(
    ("name", "count"), [("efficientnet-small", 20), ("efficientnet-x-small", 20), ("efficientnet", 5)]
)
def test_every_network_of_a_space_finds_its_part(name: str, count: int) -> None:
    searched = fitted(name) if name.endswith("small") else space(name)
    with torch.device("meta"):
        net = Supernet(searched)
    for point in net.domain.sample(np.random.default_rng(0), count):
        architecture = net.architecture(point)
        shapes(architecture)
        net.pieces(architecture, point)


@LAX
@given(seeds)
def test_a_network_in_the_supernet_is_the_network_by_itself(net: Supernet, seed: int) -> None:
    """To the last bit, dropout included."""
    point = drawn(net, seed)
    architecture = make(net.space, point, "by-itself")
    own = build(architecture)
    own.load_state_dict(net.extract(architecture, point))
    images = torch.randn(4, *architecture.input, generator=torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    expected = own.train()(images)
    torch.manual_seed(seed)
    assert torch.equal(net.train().run(architecture, point, images), expected)
    assert not own.load_state_dict(net.network(architecture, point).state_dict()).missing_keys


@LAX
@given(seeds)
def test_gradients_flow_into_the_part_that_was_used_and_nowhere_else(net: Supernet, seed: int) -> None:
    point = drawn(net, seed)
    architecture = net.architecture(point)
    net.zero_grad(set_to_none=True)
    net.train().run(architecture, point, torch.randn(8, *architecture.input)).square().sum().backward()
    used = dict(net._weights(architecture, point).values())
    for name, weight in net.weights.named_parameters():
        assert (weight.grad is None) == (name not in used)
        if weight.grad is not None:
            inside = piece(weight.grad, used[name])
            assert weight.grad.count_nonzero() == inside.count_nonzero()
    assert sum(piece(net.weights.get_parameter(name).grad, shape).any().item() for name, shape in used.items()) > 20


@given(st.integers(1, 7), st.integers(0, 6), seeds)
def test_a_kernel_is_the_centre_of_a_larger_one_that_is_zero_around_it(small: int, more: int, seed: int) -> None:
    """Even kernels, too, which are padded after and not before."""
    large = small + more
    torch.manual_seed(seed)
    shared, images = torch.zeros(3, 2, large, large), torch.randn(2, 2, 9, 9)
    region = shared.clone().requires_grad_()
    (mask,) = torch.autograd.grad(piece(region, (3, 2, small, small)).sum(), region)
    inner, outer = (Convolution((2, 3), torch.nn.BatchNorm2d, kernel=size) for size in (small, large))
    with torch.no_grad():
        outer.conv.weight.copy_(torch.randn_like(mask) * mask)
        inner.conv.weight.copy_(piece(outer.conv.weight, (3, 2, small, small)))
    assert mask.sum() == 3 * 2 * small**2
    assert torch.allclose(inner(images), outer(images), atol=1e-4)


def test_networks_share_what_means_the_same_and_nothing_else(net: Supernet) -> None:
    base = {**net.largest, "space_to_depth": 0, "resolution": 8}

    def names(**changed: object) -> set[str]:
        point = {**base, **{key.replace("__", "."): value for key, value in changed.items()}}
        return {name for name, _ in net._weights(net.architecture(point), point).values()}

    everything = names()
    for changed in (
        {"resolution": 16},
        {"stem.width": 8},
        {"stages.2.kernel": 3},
        {"stages.2.width": 16},
        {"stages.1-2.activation": "relu"},
    ):
        assert names(**changed) == everything
    assert names(**{"stages.2.repeats": 1}) < everything
    split = names(**{"stages.2.fused": not base["stages.2.fused"]})
    assert {name for name in split ^ everything if not name.startswith("stage2.")} == set()
    assert {name for name in split & everything if name.startswith("stage2.")} == set()
    merged = names(space_to_depth=1)
    assert {name for name in merged & everything if name.startswith("stage1.")} == set()
    assert {name for name in everything if name.startswith("stage3.")} <= merged


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_stranger_is_refused(net: Supernet, tiny: Space) -> None:
    point = net.largest
    other = make(fitted("efficientnet-small"), drawn(Supernet(fitted("efficientnet-small")), 3), "other")
    with pytest.raises(SettingError, match="MBConv blocks, as its point says"):
        net.extract(msgspec.structs.replace(other, stages=other.stages[:1]), point)
    wide = msgspec.structs.replace(net.architecture(point), head=msgspec.structs.replace(other.head, channels=999))
    with pytest.raises(SettingError, match="must be a part of the supernet's"):
        net.extract(wide, point)
    small = Supernet(narrow(tiny, "stages.1.width", [8]))
    with pytest.raises(SettingError, match="must be a part of the supernet's"):
        small.extract(make(tiny, Supernet(tiny).largest, "a"), small.largest)


@pytest.mark.parametrize("name", ["gpt", "vit"])
def test_a_space_without_mbconv_blocks_is_refused(name: str) -> None:
    with pytest.raises((RecordError, SettingError)), torch.device("meta"):
        Supernet(space(name))


# --- training ---------------------------------------------------------------------------------------------------------

RECIPE = Recipe(epochs=6, batch=64, learning_rate=5e-3, crop=0.0)


LONGER = msgspec.structs.replace(RECIPE, epochs=24, learning_rate=0.02)


@pytest.fixture(scope="module")
def taught(tiny: Space, digits: Data) -> tuple[Supernet, Learning]:
    return train_supernet(tiny, digits, LONGER, ONE)


def test_a_supernet_learns_and_ranks_better_than_chance(taught: tuple, tiny: Space, digits: Data) -> None:
    net, learning = taught
    assert learning.epochs[-1].loss < 0.7 * learning.epochs[0].loss
    assert learning.accuracy > 0.6
    assert learning.test_accuracy is None
    judge, pairs = SupernetJudge(net, LONGER.epochs, digits, run=ONE), []
    for number, point in enumerate(Product(tiny).sample(np.random.default_rng(0), 10)):
        architecture = make(tiny, point, f"c{number}")
        said = judge.judge(architecture, point, 0, architecture.name)
        few = msgspec.structs.replace(RECIPE, epochs=3)
        pairs.append((said.accuracy, train(architecture, digits, few, ONE).learning.accuracy))
    assert said.evidence == "accuracy in a supernet of 24 epochs"
    assert agreement("supernet", pairs).kendall > 0.3


def test_weights_from_the_supernet_are_a_better_beginning(taught: tuple, tiny: Space, digits: Data) -> None:
    net, _ = taught
    architecture = make(tiny, net.largest, "winner")
    once = msgspec.structs.replace(RECIPE, epochs=1)
    warm = build(architecture)
    warm.load_state_dict(net.extract(architecture, net.largest))
    warmed = train(architecture, digits, once, ONE, network=warm).learning
    assert warmed.epochs[0].loss < train(architecture, digits, once, ONE).learning.epochs[0].loss


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_supernet_goes_on_to_the_same_bits(tiny: Space, digits: Data, tmp_path, ema: float) -> None:
    recipe, few = msgspec.structs.replace(RECIPE, epochs=3, ema=ema, mixup=0.2), digits.subset(train=128)
    whole, record = train_supernet(tiny, few, recipe, ONE)
    stopped = Run(threads=1, checkpoint=tmp_path / "net.pt", report=lambda epoch: epoch.number < 2)
    part, _ = train_supernet(tiny, few, recipe, stopped)
    torch.manual_seed(99)
    resumed, again = train_supernet(tiny, few, recipe, Run(threads=1, checkpoint=tmp_path / "net.pt"))
    after = resumed.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in whole.state_dict().items())
    assert not all(torch.equal(value, after[name]) for name, value in part.state_dict().items())
    assert [epoch.loss for epoch in again.epochs] == [epoch.loss for epoch in record.epochs]
    with pytest.raises(RecordError, match="same architecture"):
        train_supernet(narrow(tiny, "stages.1.width", [32]), few, recipe, Run(checkpoint=tmp_path / "net.pt"))


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "sgd"])
def test_weights_may_rest_in_some_steps(tiny: Space, digits: Data, optimizer: str) -> None:
    recipe = msgspec.structs.replace(RECIPE, epochs=1, optimizer=optimizer, learning_rate=0.01)
    assert train_supernet(tiny, digits.subset(train=256), recipe, ONE)[1].complete


def test_a_judgement_inside_the_supernet_leaves_it_as_it_was(tiny: Space, digits: Data) -> None:
    torch.manual_seed(0)
    net = Supernet(tiny)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    architecture = make(tiny, net.largest, "a")
    judge = SupernetJudge(net, 0, digits, batches=2, run=ONE)
    first = judge.judge(architecture, net.largest, 0, "a")
    assert judge.judge(architecture, net.largest, 0, "a") == first
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    raw = evaluate(net.network(architecture, net.largest), digits.validation, preprocess(architecture, digits))
    assert raw != first.accuracy
    with pytest.raises(SettingError, match="rungs"):
        judge.judge(architecture, net.largest, 1, "a")
