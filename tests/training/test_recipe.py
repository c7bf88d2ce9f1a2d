"""What a recipe's numbers mean: the schedule's published shape, who decays, and how averages run."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.records import Architecture, PatchStem, Recipe, Stage, TokenHead, Transformer
from modelwright.training.average import Average, momenta, warm_up, warmed
from modelwright.training.optimizer import decay_groups, optimizer
from modelwright.training.schedule import learning_rate

VIT = Architecture(
    "vit",
    (3, 8, 8),
    10,
    PatchStem(patch=4, width=8),
    (Stage(Transformer(width=8, heads=2, kv_heads=2, hidden=16)),),
    TokenHead(),
)

# --- schedule ---------------------------------------------------------------------------------------------------------

runs = st.tuples(st.integers(1, 300), st.floats(0, 1), st.floats(1e-5, 1.0))


@given(run=runs)
def test_the_rate_rises_to_its_peak_and_falls_to_zero(run: tuple[int, float, float]) -> None:
    steps, warmup, peak = run
    recipe = Recipe(learning_rate=peak, warmup=warmup)
    warming = round(warmup * steps)
    rates = [learning_rate(recipe, step, steps) for step in range(steps + 1)]
    assert rates[:warming] == pytest.approx([peak * (step + 1) / warming for step in range(warming)])
    assert rates[warming] == pytest.approx(peak)
    assert rates[warming:] == sorted(rates[warming:], reverse=True)
    assert max(rates) == pytest.approx(peak)
    assert warming == steps or rates[-1] == pytest.approx(0.0, abs=1e-12)


@given(run=runs.filter(lambda run: run[1] == 0 or run[0] > 2))
def test_after_warming_up_the_rate_is_torchs_cosine(run: tuple[int, float, float]) -> None:
    steps, _, peak = run
    parameter = nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([parameter], lr=peak)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=steps)
    recipe = Recipe(learning_rate=peak, warmup=0.0)
    for step in range(steps):
        assert learning_rate(recipe, step, steps) == pytest.approx(cosine.get_last_lr()[0], rel=1e-6, abs=1e-9)
        sgd.step()
        cosine.step()


def test_half_way_down_the_cosine_the_rate_is_half() -> None:
    recipe = Recipe(learning_rate=2.0, warmup=0.2)
    assert learning_rate(recipe, 60, 100) == pytest.approx(1.0)
    assert learning_rate(recipe, 40, 100) == pytest.approx(1 + math.sqrt(0.5))


# --- decay ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [build(VIT), build(architecture("mobilenetv3-small"))], ids=["vit", "mobilenet"])
def test_matrices_and_kernels_decay_and_nothing_else_does(network: nn.Module) -> None:
    decaying, still = decay_groups(network, 0.3)
    kernels = {id(part.weight) for part in network.modules() if isinstance(part, nn.Linear | nn.Conv2d | nn.Embedding)}
    assert {id(value) for value in decaying["params"]} == kernels
    assert (decaying["weight_decay"], still["weight_decay"]) == (0.3, 0.0)
    assert kernels | {id(value) for value in still["params"]} == {id(value) for value in network.parameters()}


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop"])
def test_without_a_gradient_only_what_decays_moves_towards_zero(name: str) -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = {key: value.clone() for key, value in network.named_parameters()}
    for value in network.parameters():
        value.grad = torch.zeros_like(value)
    optimizer(network, Recipe(optimizer=name, learning_rate=0.1, weight_decay=0.5)).step()
    for key, value in network.named_parameters():
        if key == "0.weight":
            assert ((before[key] - value) * before[key] > 0).all()
        else:
            assert torch.equal(value, before[key])


def test_adamw_decays_weights_and_sgd_gradients() -> None:
    """w - rate decay w (AdamW); w - rate (1 + momentum) decay w (Nesterov's first step)."""
    for name, share in (("adamw", 0.1 * 0.5), ("sgd", 0.1 * 1.9 * 0.5)):
        layer = nn.Linear(2, 2, bias=False)
        before = layer.weight.detach().clone()
        layer.weight.grad = torch.zeros_like(layer.weight)
        optimizer(layer, Recipe(optimizer=name, learning_rate=0.1, weight_decay=0.5)).step()
        torch.testing.assert_close(layer.weight.detach(), before * (1 - share))


# --- averages ---------------------------------------------------------------------------------------------------------


@given(decay=st.floats(0.5, 0.9999), values=st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_the_average_follows_its_formula(decay: float, values: list[float]) -> None:
    """a <- d_t a + (1 - d_t) w_t with d_t = min(d, (1 + t) / (10 + t)), from t = 0; buffers too."""
    network = nn.BatchNorm1d(1).double()
    average = Average(network, decay)
    wanted = network.weight.item()
    for update, value in enumerate(values):
        with torch.no_grad():
            network.weight.fill_(value)
            network.running_var.fill_(value)
            network.num_batches_tracked.fill_(update)
        average.update()
        rate = min(decay, (1 + update) / (10 + update))
        wanted = rate * wanted + (1 - rate) * value
    assert average.network.weight.item() == pytest.approx(wanted, abs=1e-9)
    assert average.network.running_var.item() == pytest.approx(wanted, abs=1e-9)
    assert average.network.num_batches_tracked.item() == len(values) - 1
    assert network.weight.item() == values[-1]


@given(decay=st.floats(0, 1), update=st.integers(0, 10**6))
def test_a_warm_decay_never_exceeds_the_one_wanted(decay: float, update: int) -> None:
    assert 0 <= warmed(decay, update) <= decay
    assert warmed(decay, update) <= warmed(decay, update + 1)


def test_batch_norms_average_forgets_its_start_in_a_short_run() -> None:
    """With a share of 0.01 a start of zero would still weigh 0.99 ^ 30 = 74 % after 30 updates."""
    norm = nn.BatchNorm1d(1, momentum=0.01)
    own = momenta(norm)
    for update in range(30):
        warm_up(own, update)
        norm(torch.tensor([[4.0], [6.0]]))
    assert norm.running_mean.item() == pytest.approx(5.0, rel=1e-3)
    assert own == {norm: 0.01}
    warm_up(own, 10**6)
    assert norm.momentum == pytest.approx(0.01)
