"""Scores without training: what their papers' formulas give by hand, and what must not change them."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from modelwright.errors import SettingError, TrainingError, UnknownNameError
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.records import Architecture, ConvStem, MBConv, PoolHead, Stage
from modelwright.search.evaluate.scores import SCORES
from modelwright.search.evaluate.scores.gradient import grad_norm, snip
from modelwright.search.evaluate.scores.judge import ScoreJudge, scores, unit
from modelwright.search.evaluate.scores.naswot import jacobian_covariance, naswot
from modelwright.search.evaluate.scores.size import flops, params
from modelwright.search.evaluate.scores.synflow import synflow
from modelwright.training import Run, dataset

seeds = st.integers(0, 2**32 - 1)


def linear(seed: int, sizes: tuple[int, int, int] = (5, 4, 3)) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """Two linear layers without biases, six images, their labels."""
    torch.manual_seed(seed)
    layers = [nn.Linear(before, after, bias=False) for before, after in itertools.pairwise(sizes)]
    return nn.Sequential(*layers), torch.randn(6, sizes[0]), torch.randint(sizes[-1], (6,))


def matrices(network: nn.Sequential) -> list[np.ndarray]:
    return [layer.weight.detach().double().numpy() for layer in network]


def by_hand(network: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> list[np.ndarray]:
    """The cross entropy's gradients in two matrices: dL/dz = (softmax(z) - y) / N."""
    first, second = matrices(network)
    x = images.double().numpy()
    hidden = x @ first.T
    logits = hidden @ second.T
    shares = np.exp(logits - logits.max(1, keepdims=True))
    error = (shares / shares.sum(1, keepdims=True) - np.eye(len(second))[labels.numpy()]) / len(x)
    return [second.T @ error.T @ x, error.T @ hidden]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    blocks = (MBConv(8, 16, 8, squeeze=2), MBConv(8, 8, 16, kernel=5, stride=2, fused=True, activation="relu"))
    stages = tuple(map(Stage, blocks))
    torch.manual_seed(0)
    return build(Architecture("a", (1, 8, 8), 10, ConvStem((8,)), stages, PoolHead(16), dropout=0.5, survival=0.5))


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 1, 8, 8, generator=generator), torch.randint(10, (12,), generator=generator)


# --- closed forms -----------------------------------------------------------------------------------------------------


@given(seeds)
def test_synflow_of_linear_layers_is_their_number_times_all_paths(seed: int) -> None:
    network, images, labels = linear(seed)
    first, second = map(np.abs, matrices(network))
    assert synflow(network, images, labels) == pytest.approx(2 * (second @ first).sum())


@given(seeds)
def test_gradient_norm_and_snip_of_linear_layers(seed: int) -> None:
    network, images, labels = linear(seed)
    gradients = by_hand(network, images, labels)
    assert grad_norm(network, images, labels) == pytest.approx(sum(map(np.linalg.norm, gradients)), rel=1e-4)
    saliency = sum(np.abs(pair[0] * pair[1]).sum() for pair in zip(gradients, matrices(network), strict=True))
    assert snip(network, images, labels) == pytest.approx(saliency, rel=1e-4)


@given(seeds)
def test_a_linear_network_sees_all_images_alike(seed: int) -> None:
    """All Jacobians are one row, so one eigenvalue is the number of images and the others are zero."""
    network, images, labels = linear(seed)
    count, small = len(images), 1e-5
    expected = -(math.log(count + small) + 1 / (count + small) + (count - 1) * (math.log(small) + 1 / small))
    assert jacobian_covariance(network, images, labels) == pytest.approx(expected, rel=1e-6)


@given(st.sets(st.tuples(*[st.booleans()] * 4), min_size=2, max_size=6))
def test_naswot_is_the_determinant_of_agreeing_units(codes: set[tuple[bool, ...]]) -> None:
    """The first layer is the identity, so an image's code is the signs of its pixels."""
    signs = np.array(sorted(codes))
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(4))
    kernel = 4 - (signs[:, None] != signs[None]).sum(2)
    found = naswot(network, torch.from_numpy(np.where(signs, 1.0, -1.0)).float(), torch.zeros(len(signs)))
    determinant = round(abs(np.linalg.det(kernel)))
    if determinant:
        assert found == pytest.approx(math.log(determinant))
    else:
        assert found < -20


def test_images_of_one_code_have_the_least_naswot_there_is() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert naswot(network, torch.ones(2, 2), torch.zeros(2)) == -math.inf


def test_sizes_of_efficientnet_b0_are_the_published_ones() -> None:
    """5.3 million parameters, 0.39 billion multiply-accumulates (2019, arXiv 1905.11946, table 2)."""
    network, image = build(architecture("efficientnet-b0")), torch.zeros(1, 3, 224, 224)
    assert params(network, image, torch.zeros(1)) == pytest.approx(5.3e6, rel=0.01)
    assert flops(network, image, torch.zeros(1)) == pytest.approx(2 * 0.39e9, rel=0.02)


def test_sizes_of_linear_layers() -> None:
    line, images, labels = linear(0)
    assert (params(line, images, labels), flops(line, images, labels)) == (5 * 4 + 4 * 3, 2 * (5 * 4 + 4 * 3))


# --- invariances ------------------------------------------------------------------------------------------------------


def test_synflow_looks_at_no_image(network: nn.Module, batch: tuple) -> None:
    images, labels = batch
    assert synflow(network, images, labels) == synflow(network, 7 * images.flip(0)[:3], labels[:3])


@given(seeds, st.floats(0.1, 10))
def test_synflow_is_proportional_to_each_layer(seed: int, factor: float) -> None:
    network, images, labels = linear(seed)
    before = synflow(network, images, labels)
    with torch.no_grad():
        network[0].weight.mul_(-factor)
    assert synflow(network, images, labels) == pytest.approx(factor * before, rel=1e-5)


@pytest.mark.parametrize("name", SCORES)
def test_no_score_depends_on_the_order_of_the_batch(name: str, network: nn.Module, batch: tuple) -> None:
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    images, labels = batch
    shuffled = scores[name](network, images[order], labels[order])
    assert shuffled == pytest.approx(scores[name](network, images, labels), rel=1e-3)


def test_naswot_sees_signs_only(network: nn.Module, batch: tuple) -> None:
    line = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
    images, labels = batch[0].flatten(1), batch[1]
    before = naswot(line, images, labels)
    with torch.no_grad():
        line[0].weight.mul_(3)
        line[0].bias.mul_(3)
    assert naswot(line, images, labels) == before


@pytest.mark.parametrize("reshape", ["none", "space-to-batch"])
def test_naswot_gives_each_image_its_own_units(reshape: str) -> None:
    """Twice the same image: one code, whatever the network does with the batch's axis."""
    stage = Stage(MBConv(8, 16, 8, squeeze=2, reshape=reshape))
    torch.manual_seed(0)
    network = build(Architecture("a", (1, 8, 8), 10, ConvStem((8,)), (stage,), PoolHead()))
    images, labels = torch.randn(4, 1, 8, 8), torch.zeros(4)
    assert naswot(network, images, labels) > 0
    images[3] = images[0]
    assert naswot(network, images, labels) < -10 or naswot(network, images, labels) == -math.inf


@pytest.mark.parametrize("name", SCORES)
def test_a_score_leaves_the_network_as_it_was(name: str, network: nn.Module, batch: tuple) -> None:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [part.training for part in network.modules()]
    scores[name](network, *batch)
    after = network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert [part.training for part in network.modules()] == modes
    assert all(value.grad is None for value in network.parameters())


# --- the judge --------------------------------------------------------------------------------------------------------


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_a_score_between_0_and_1_keeps_the_order(one: float, other: float) -> None:
    assert 0 <= unit(one) <= 1
    assert (unit(one) <= unit(other)) or one > other
    apart = abs(one - other) > 1e-6 * max(abs(one), abs(other), 1e-3)
    assert not apart or (unit(one) < unit(other)) == (one < other)


def test_the_least_score_there_is_reads_0() -> None:
    assert unit(-math.inf) == 0.0


ARCHITECTURE = Architecture(
    "small", (1, 8, 8), 10, ConvStem((8,)), (Stage(MBConv(8, 16, 8)),), PoolHead(), norm_epsilon=1e-3
)


def test_a_score_judge_says_the_same_each_time_and_leaves_torch_alone() -> None:
    judge = ScoreJudge("naswot", dataset("digits"), batch=16, run=Run(threads=1))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = judge.judge(ARCHITECTURE, {}, 0, "one")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert judge.judge(ARCHITECTURE, {}, 0, "two") == first
    assert (first.accuracy, first.learning) == (unit(judge.raw(ARCHITECTURE)), None)
    assert judge.rungs == (0,)
    assert first.evidence == "naswot before training"


def test_a_score_that_is_no_number_fails_the_candidate() -> None:
    with pytest.raises(UnknownNameError):
        ScoreJudge("astrology", dataset("digits")).judge(ARCHITECTURE, {}, 0, "a")
    with pytest.raises(SettingError, match="rungs"):
        ScoreJudge("params", dataset("digits")).judge(ARCHITECTURE, {}, 3, "a")
    black = dataclasses.replace(dataset("digits"), std=(0.0,))
    with pytest.raises(TrainingError, match="must be a number"):
        ScoreJudge("grad-norm", black, batch=10).judge(ARCHITECTURE, {}, 0, "a")
