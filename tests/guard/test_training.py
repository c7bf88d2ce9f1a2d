"""Methods of training: their losses are the papers', their outliers are never shared, and what is far is less sure."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

from modelwright.errors import SettingError, ShapeError, TrainingError
from modelwright.guard.metrics import auroc
from modelwright.guard.training import METHODS
from modelwright.guard.training.body import Residual, Standardized, perceptron
from modelwright.guard.training.dropout import Mask, McDropout
from modelwright.guard.training.ensemble import Ensemble
from modelwright.guard.training.exposure import OutlierExposure
from modelwright.guard.training.hierarchical import Hierarchical
from modelwright.guard.training.method import ENTROPY, INFORMATION, MASS, MAXIMUM, VARIANCE, Method, of_mixture
from modelwright.guard.training.plain import Plain
from modelwright.guard.training.reject import Reject
from modelwright.guard.training.samples import Course, Samples, dealt
from modelwright.guard.training.sngp import Bounded, GaussianProcess, Sngp
from modelwright.guard.training.train import Trained, train
from modelwright.records import Recipe
from modelwright.registry import load

SHORT = Recipe(epochs=4, batch=32, learning_rate=5e-3, weight_decay=0.01)
WIDTH = 8


def blobs(middles: Tensor, labels: list[int], count: int, seed: int, spread: float = 0.6) -> Samples:
    draw = torch.Generator().manual_seed(seed)
    numbers = torch.tensor(labels).repeat_interleave(count)
    noise = spread * torch.randn(len(numbers), middles.shape[1], generator=draw)
    return Samples(middles[torch.arange(len(labels)).repeat_interleave(count)] + noise, numbers)


MIDDLES = torch.cat([4.0 * torch.eye(4, WIDTH), torch.randn(8, WIDTH, generator=torch.Generator().manual_seed(7)) / 2])
"""Four classes far out, each on an axis of its own; the middles of outlier classes are near the origin."""
TEST_OUTLIERS = blobs(MIDDLES[9:], [9, 10, 11], 30, seed=5)
TEST = blobs(MIDDLES[:4], [0, 1, 2, 3], 30, seed=4)


def course(**changes: Samples) -> Course:
    parts = {
        "train": blobs(MIDDLES[:4], [0, 1, 2, 3], 40, seed=0),
        "validation": blobs(MIDDLES[:4], [0, 1, 2, 3], 20, seed=1),
        "validation_outliers": blobs(MIDDLES[7:9], [7, 8], 30, seed=2),
        "train_outliers": blobs(MIDDLES[4:7], [4, 5, 6], 30, seed=3),
    }
    return Course(**(parts | changes))


def method(name: str) -> Method:
    small = {"mc-dropout": {"draws": 4}, "ensemble": {"size": 2}, "sngp": {"features": 64}}
    found: Method = load(METHODS[name])(**small.get(name, {}))
    return found


@pytest.fixture(scope="module")
def trained() -> dict[str, Trained]:
    return {name: train(method(name), course(), SHORT) for name in METHODS}


# --- losses -----------------------------------------------------------------------------------------------------------

LOGITS = torch.randn(64, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LABELS = torch.arange(64) % 9


def test_the_hierarchical_loss_is_the_papers() -> None:
    chances = LOGITS.softmax(1)
    fine = -chances[torch.arange(64), LABELS].log().mean()
    mass = chances[:, 6:].sum(1)
    coarse = -torch.where(LABELS >= 6, mass, 1.0 - mass).log().mean()
    assert Hierarchical(0.3).loss(LOGITS, LABELS, 6).item() == pytest.approx((fine + 0.3 * coarse).item())


def test_a_single_outlier_class_is_the_reject_class_where_the_coarse_loss_counts_nothing() -> None:
    labels = LABELS.clamp(max=8)
    assert Hierarchical(0.0).loss(LOGITS, labels, 8).item() == pytest.approx(Reject().loss(LOGITS, labels, 8).item())


def test_a_reject_class_takes_all_outliers_alike() -> None:
    shuffled = torch.where(LABELS >= 5, 13 - LABELS, LABELS)  # 5, 6, 7, 8 become 8, 7, 6, 5
    assert Reject().loss(LOGITS[:, :6], LABELS, 5) == Reject().loss(LOGITS[:, :6], shuffled, 5)


def test_exposed_outliers_cost_least_where_all_classes_are_equally_likely() -> None:
    even = torch.zeros(10, 4, dtype=torch.float64, requires_grad=True)
    loss = OutlierExposure(0.5).loss(even, torch.full((10,), 4), 4)
    assert loss.item() == pytest.approx(0.5 * math.log(4))
    [gradient] = torch.autograd.grad(loss, even)
    assert gradient.abs().max() < 1e-12
    assert OutlierExposure(0.5).loss(LOGITS[:10, :4], torch.full((10,), 4), 4) > loss


def test_without_outliers_exposure_is_cross_entropy() -> None:
    labels = LABELS.clamp(max=5)
    ours, theirs = OutlierExposure().loss(LOGITS[:, :6], labels, 6), Plain().loss(LOGITS[:, :6], labels, 6)
    assert ours.item() == pytest.approx(theirs.item())


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hierarchical", "reject"])
def test_what_the_familiar_classes_leave_is_the_outliers(name: str, trained: dict[str, Trained]) -> None:
    found = trained[name].verdict(TEST_OUTLIERS.inputs)
    torch.testing.assert_close(found.probabilities.sum(1) + found.scores[MASS], torch.ones(len(TEST_OUTLIERS)))
    assert (found.scores[MASS] <= found.scores[MAXIMUM] + 1e-6).all()
    assert set(found.scores) == {MASS, MAXIMUM}


@given(st.integers(1, 5), st.integers(2, 6), st.integers(0, 1000))
@settings(max_examples=30)
def test_opinions_differ_by_no_less_than_nothing_and_no_more_than_all(size: int, classes: int, seed: int) -> None:
    parts = torch.randn(size, 7, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(2)
    found = of_mixture(parts).scores
    assert (found[INFORMATION] >= -1e-12).all()
    assert (found[INFORMATION] <= found[ENTROPY] + 1e-12).all()
    same = of_mixture(parts[:1].repeat(3, 1, 1)).scores
    assert same[INFORMATION].abs().max() < 1e-12
    torch.testing.assert_close(same[ENTROPY], of_mixture(parts[:1]).scores[ENTROPY])


def test_disagreement_alone_is_information() -> None:
    parts = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert of_mixture(parts).scores[INFORMATION].item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", METHODS)
def test_a_score_does_not_depend_on_the_other_rows(name: str, trained: dict[str, Trained]) -> None:
    whole = trained[name].scored(TEST.inputs)
    alone = np.concatenate([trained[name].scored(row) for row in TEST.inputs.split(1)])
    np.testing.assert_allclose(whole, alone, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_what_is_not_finite_has_no_score_and_spoils_no_other(name: str, trained: dict[str, Trained]) -> None:
    broken = TEST.inputs.clone()
    broken[3, 0], broken[5, 1] = torch.nan, torch.inf
    found, clean = trained[name].scored(broken), trained[name].scored(TEST.inputs)
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 5]
    kept = ~np.isnan(found)
    np.testing.assert_allclose(found[kept], clean[kept], atol=1e-6)
    assert trained[name].verdict(broken).probabilities[3].isnan().all()


@pytest.mark.parametrize("name", METHODS)
def test_outliers_of_classes_never_seen_score_higher(name: str, trained: dict[str, Trained]) -> None:
    told = trained[name].told(TEST, TEST_OUTLIERS)
    assert told.keys() == trained[name].verdict(TEST.inputs).scores.keys()
    assert told[trained[name].score].auroc > 0.7
    assert trained[name].epochs[trained[name].epoch - 1].accuracy > 0.9


# --- methods ----------------------------------------------------------------------------------------------------------


def test_an_ensemble_of_one_is_the_plain_classifier(trained: dict[str, Trained]) -> None:
    alone = train(Ensemble(1), course(), SHORT)
    assert alone.epochs[0].auroc[MAXIMUM] == trained["plain"].epochs[0].auroc[MAXIMUM]


def test_members_of_an_ensemble_differ(trained: dict[str, Trained]) -> None:
    first, second = (torch.nn.utils.parameters_to_vector(one.parameters()) for one in trained["ensemble"].networks)
    assert not torch.equal(first, second)


def test_dropping_nothing_is_no_opinion_of_its_own() -> None:
    found = train(McDropout(rate=0.0, draws=3), course(), SHORT)
    assert found.verdict(TEST.inputs).scores[INFORMATION].abs().max() < 1e-6


def test_a_mask_keeps_a_feature_or_drops_it_and_its_mean_is_the_feature() -> None:
    features, part = torch.tensor([[1.0, -2.0, 3.0]]), nn.Dropout(0.25)
    drawn = torch.stack([Mask(seed)(part, (features,), features)[0] for seed in range(4000)])
    shares = drawn / features
    torch.testing.assert_close(shares.round(decimals=4).unique(), torch.tensor([0.0, 1.3333]))
    assert (shares.mean(0) - 1).abs().max() < 4 * math.sqrt(0.25 / 0.75 / 4000)


def test_a_bounded_weight_stretches_nothing_by_more_than_its_bound() -> None:
    layer = nn.Linear(20, 30)
    nn.init.normal_(layer.weight, std=1.0)
    parametrize.register_parametrization(layer, "weight", Bounded(layer.weight, 0.95))
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(0.95, rel=1e-3)
    small = nn.Linear(20, 30)
    with torch.no_grad():
        small.weight.mul_(0.01)
    before = small.weight.clone()
    parametrize.register_parametrization(small, "weight", Bounded(small.weight, 0.95))
    torch.testing.assert_close(small.weight, before)


def test_power_iteration_follows_a_weight_in_training(trained: dict[str, Trained]) -> None:
    layers = [part for part in trained["sngp"].networks[0].modules() if parametrize.is_parametrized(part)]
    assert layers
    assert all(torch.linalg.matrix_norm(layer.weight, 2) <= 0.95 * 1.01 for layer in layers)


def test_random_features_stand_for_the_gaussian_kernel() -> None:
    process = GaussianProcess(8, 3, Sngp(features=3000, length=0.7))
    hidden = torch.randn(12, 8, generator=torch.Generator().manual_seed(3))
    features, normal = process.features(hidden), process.norm(hidden)
    kernel = torch.exp(-torch.cdist(normal, normal).square() / (2 * 0.7**2 * 8))
    torch.testing.assert_close(features @ features.T, kernel, atol=0.08, rtol=0)


def test_a_posterior_variance_is_ridge_regressions_and_only_falls_with_data() -> None:
    process = GaussianProcess(5, 3, Sngp(features=40))
    some, others = torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(4)).unbind(0)
    with torch.no_grad():
        prior = process.posterior(others)[1]
        features = process.features(some).double()
        torch.testing.assert_close(prior, process.features(others).square().sum(1))
        top = process(some).softmax(1).amax(1).double()
        process.condition([some])
        after = process.posterior(others)[1]
        inverse = np.linalg.inv(np.eye(40) + (features.T * (top * (1 - top))).numpy() @ features.numpy())
        wide = process.features(others).double().numpy()
        np.testing.assert_allclose(after.numpy(), np.einsum("nd,de,ne->n", wide, inverse, wide), rtol=1e-4)
        process.condition([some, others])
        last = process.posterior(others)[1]
    assert (after <= prior + 1e-6).all()
    assert (last <= after + 1e-6).all()


def test_a_gaussian_process_is_less_sure_far_away(trained: dict[str, Trained]) -> None:
    near, far = (trained["sngp"].verdict(rows).scores[VARIANCE].numpy() for rows in (TEST.inputs, TEST_OUTLIERS.inputs))
    assert auroc(np.arange(len(near) + len(far)) >= len(near), np.concatenate([near, far])) > 0.8


def test_a_residual_layer_keeps_distances_where_it_is_bounded() -> None:
    layer = Residual(7, 0.0).eval()
    parametrize.register_parametrization(layer.linear, "weight", Bounded(layer.linear.weight, 0.5))
    hidden = 5 * torch.randn(40, 7, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        ratio = torch.pdist(layer(hidden)) / torch.pdist(hidden)
    assert 0.5 - 1e-3 <= ratio.min() <= ratio.max() <= 1.5 + 1e-3


def test_a_feature_that_never_varies_is_only_shifted() -> None:
    inputs = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    standard = Standardized(inputs.mean(0), inputs.std(0, correction=0))
    torch.testing.assert_close(standard(inputs), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))


# --- choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_of_epochs_that_classify_well_the_one_is_taken_that_tells_validation_outliers_best(
    name: str, trained: dict[str, Trained]
) -> None:
    found = trained[name]
    assert [one.epoch for one in found.epochs] == [1, 2, 3, 4]
    top = max(one.accuracy for one in found.epochs)
    slack = max(math.sqrt(top * (1 - top) / 80), 1 / 80)
    best = max(area for one in found.epochs if one.accuracy >= top - slack - 1e-9 for area in one.auroc.values())
    assert found.epochs[found.epoch - 1].auroc[found.score] == best
    judged = course()
    flags = np.arange(len(judged.validation) + len(judged.validation_outliers)) >= len(judged.validation)
    scores = [found.scored(part.inputs) for part in (judged.validation, judged.validation_outliers)]
    assert auroc(flags, np.concatenate(scores)) == pytest.approx(best, abs=1e-3)


def test_a_training_can_be_had_again_and_draws_on_nobody_elses_chance() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first, second = (train(Hierarchical(), course(), SHORT) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(first.scored(TEST.inputs), second.scored(TEST.inputs))


def test_a_whole_network_is_trained_with_its_own_body() -> None:
    def pictures(part: Samples) -> Samples:
        return Samples(part.inputs.repeat_interleave(8, 1).view(-1, 1, 8, 8), part.labels)

    def body() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16))

    parts = course()
    names = ("train", "validation", "validation_outliers", "train_outliers")
    drawn = Course(**{name: pictures(getattr(parts, name)) for name in names})
    for kind in (Hierarchical(), Sngp(features=64)):
        found = train(kind, drawn, Recipe(epochs=12, batch=32, learning_rate=1e-2), body)
        assert found.epochs[found.epoch - 1].accuracy > 0.9
    with pytest.raises(SettingError, match="need a body"):
        train(Plain(), drawn, SHORT)


@pytest.mark.parametrize("name", METHODS)
def test_only_methods_that_learn_from_outliers_ask_for_them(name: str) -> None:
    parts = course()
    bare = Course(parts.train, parts.validation, parts.validation_outliers)
    kind = method(name)
    one = Recipe(epochs=1, batch=64)
    if kind.NEEDS_OUTLIERS:
        with pytest.raises(SettingError, match="learns from outliers"):
            train(kind, bare, one)
    else:
        assert train(kind, bare, one).seen == {7, 8}


def test_outlier_classes_are_never_shared(trained: dict[str, Trained]) -> None:
    with pytest.raises(SettingError, match=r"training and validation must share no outlier class.*\[6\]"):
        course(validation_outliers=blobs(MIDDLES[6:8], [6, 7], 5, seed=0))
    for part in ([6, 11], [8, 11]):
        with pytest.raises(SettingError, match="and test must share no outlier class"):
            trained["reject"].told(TEST, blobs(MIDDLES[:2], part, 5, seed=0))


@given(st.integers(3, 40), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=60)
def test_outliers_are_dealt_by_whole_classes_and_none_is_lost(count: int, weights: list[int], seed: int) -> None:
    labels = torch.arange(count).repeat(2) * 3 - 7
    outliers = Samples(torch.arange(2 * count, dtype=torch.float32)[:, None], labels)
    parts = dealt(outliers, [weight / sum(weights) for weight in weights], seed)
    assert len(parts) == len(weights)
    assert frozenset().union(*(part.classes for part in parts)) == outliers.classes
    assert all(not a.classes & b.classes for a, b in itertools.combinations(parts, 2))
    assert sum(map(len, parts)) == len(outliers)


@pytest.mark.parametrize("shares", [(0.5, 0.6), (1.0, 0.0), (0.2,)])
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match="add up to 1"):
        dealt(TEST_OUTLIERS, shares, 0)


def test_there_must_be_a_class_for_every_part() -> None:
    with pytest.raises(SettingError, match="4 parts need as many"):
        dealt(TEST_OUTLIERS, (0.25,) * 4, 0)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_samples_that_cannot_be_trained_on_are_refused() -> None:
    with pytest.raises(SettingError, match="finite"):
        Samples(torch.tensor([[math.nan]]), torch.tensor([0]))
    with pytest.raises(ShapeError):
        Samples(torch.ones(3, 2), torch.tensor([0]))
    with pytest.raises(ShapeError):
        TEST_OUTLIERS.only([99])
    with pytest.raises(SettingError, match="each of them there"):
        course(train=blobs(MIDDLES[:2], [0, 2], 5, seed=0))
    with pytest.raises(SettingError, match="classes that are trained"):
        course(validation=blobs(MIDDLES[:2], [0, 4], 5, seed=0))


def test_a_training_that_goes_astray_is_told() -> None:
    wild = Recipe(epochs=2, batch=32, optimizer="sgd", learning_rate=1e38, clip=0.0)
    with pytest.raises(TrainingError, match="epoch 1, step"):
        train(Plain(), course(), wild)


def test_perceptrons_begin_with_other_weights_each_time() -> None:
    make = perceptron(TEST.inputs)
    first, second = make(), make()
    assert not torch.equal(first[1].weight, second[1].weight)
