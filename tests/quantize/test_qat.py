"""Quantization-aware training: what four bits destroy is learned again, and what is frozen stays."""

import copy
import dataclasses
import itertools
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn
from torchao.quantization.pt2e import FakeQuantize, LearnableFakeQuantize

from modelwright.clock import ManualClock
from modelwright.errors import RecordError, SettingError
from modelwright.quantize.batch_norm import fold_norms, norms_of
from modelwright.quantize.graph import capture, parameter
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.profile import Profile
from modelwright.quantize.qat import default_tuning, prepare_training, tune
from modelwright.records import WEIGHTS, Quantization, Recipe
from modelwright.training import Data, Preprocess, Run, dataset, evaluate
from modelwright.training.epoch import run_epoch
from modelwright.training.progress import begin

replace = msgspec.structs.replace
ONE = Run(threads=1, clock=ManualClock())
PROFILE = Profile("any")
FLOAT = Recipe(epochs=5, batch=64, learning_rate=5e-3, crop=0.0, smoothing=0.0)
LOW = replace(WEIGHTS, bits=2)
TUNING = Recipe(epochs=4, batch=64, learning_rate=1e-3, warmup=0.0, crop=0.0, smoothing=0.0)
RECIPE = Quantization(kind="qat", weights=LOW, tuning=TUNING)


def network() -> nn.Sequential:
    """Convolutions with batch normalisation whose constants are not torch's own, one depthwise, one with a bias."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16, eps=1e-2, momentum=0.05), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16, eps=1e-3), nn.ReLU6(),
        nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Data:
    return dataset("digits")


@pytest.fixture(scope="module")
def see(data: Data) -> Preprocess:
    return Preprocess((8, 8), 10, data.mean, data.std)


@pytest.fixture(scope="module")
def trained(data: Data, see: Preprocess) -> nn.Module:
    torch.manual_seed(0)
    progress = begin(network(), FLOAT, torch.device("cpu"))
    for number in range(FLOAT.epochs):
        run_epoch(progress, data.train, see, FLOAT)
        progress.epochs += (number,)
    return progress.network.eval()


@pytest.fixture(scope="module")
def samples(data: Data, see: Preprocess) -> list[tuple[torch.Tensor]]:
    return [(see(images),) for images, _ in data.train.batches(torch.arange(256).split(64))]


@pytest.fixture(scope="module")
def graph(trained: nn.Module, samples: list) -> torch.fx.GraphModule:
    return capture(trained, samples[0], fold=False)


@pytest.fixture(scope="module")
def once(graph, samples):
    prepared = prepare_training(graph, RECIPE, PROFILE)
    calibrate(prepared, samples)
    return prepared


@pytest.fixture
def prepared(once):
    return copy.deepcopy(once)


@pytest.fixture(scope="module")
def tuned(once, data, see):
    return tune(copy.deepcopy(once), RECIPE, data, see, ONE)


# --- what is learned --------------------------------------------------------------------------------------------------


def test_two_bits_collapse_and_training_brings_the_accuracy_back(trained, prepared, tuned, data, see) -> None:
    before = evaluate(trained, data.validation, see)
    collapsed = evaluate(_Callable(prepared.graph), data.validation, see)
    learned, history = tuned
    after = evaluate(_Callable(convert(learned)), data.validation, see)
    assert before > 0.95
    assert collapsed < 0.6
    assert after > 0.9
    assert history[-1].accuracy == pytest.approx(after, abs=0.01)
    assert [epoch.number for epoch in history] == [1, 2, 3, 4]
    assert history[-1].loss < history[0].loss
    rates = [epoch.learning_rate for epoch in history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.01 * TUNING.learning_rate


class _Callable(nn.Module):
    """A graph that may be told to evaluate, which it does anyway."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        super().__init__()
        self.call = lambda given: graph(given)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.call(given)


def test_what_is_converted_computes_what_was_simulated(tuned, samples) -> None:
    """Epsilons that are not 1e-5 included, on which torchao's own folding goes wrong."""
    prepared, _ = tuned
    whole, simulated = convert(prepared)(samples[0][0]), prepared.graph(samples[0][0])
    torch.testing.assert_close(whole, simulated, rtol=1e-3, atol=0.02 * float(simulated.abs().max().detach()))
    assert (whole - simulated).square().mean() < 1e-4 * simulated.square().mean()


def test_before_training_the_prepared_graph_is_the_network_it_came_from(trained, graph, prepared, samples) -> None:
    for part in prepared.every:
        part.disable_fake_quant()
    torch.testing.assert_close(prepared.graph(samples[0][0]), trained(samples[0][0]), rtol=1e-4, atol=1e-4)
    assert norms_of(prepared.graph) == norms_of(graph)
    assert sorted(norms_of(graph).values()) == [(0.05, 0.01), (0.1, 1e-5), (0.1, 1e-3)]


def test_folding_for_good_changes_nothing(prepared, samples) -> None:
    for part in prepared.every:
        part.disable_fake_quant()
    before = prepared.graph(samples[0][0]).detach()
    fold_norms(prepared.graph)
    assert norms_of(prepared.graph) == {}
    torch.testing.assert_close(prepared.graph(samples[0][0]).detach(), before, rtol=1e-4, atol=1e-4)


def test_scales_are_learned_and_recover_the_accuracy_too(prepared, data, see) -> None:
    before = [part.scale.clone() for part in prepared.every]
    learned, history = tune(prepared, replace(RECIPE, learned_scales=True), data, see, ONE)
    parts = [part for part in learned.graph.modules() if isinstance(part, LearnableFakeQuantize)]
    assert len(parts) == len(before) == 8
    assert all((part.scale > 0).all() for part in parts)
    changes = [float((part.scale / start - 1).abs().max()) for part, start in zip(parts, before, strict=True)]
    assert min(changes) > 1e-5  # none stays as it was; how far one gets depends on the order of sums, too
    assert max(changes) > 1e-2
    assert history[-1].accuracy > 0.9
    assert evaluate(_Callable(convert(learned)), data.validation, see) > 0.9


# --- what is frozen ---------------------------------------------------------------------------------------------------


def test_statistics_stop_after_three_eighths_and_ranges_after_half(graph, prepared, data, see) -> None:
    seen: list = []

    def report(epoch) -> bool:
        ranges = [part for part in prepared.graph.modules() if isinstance(part, FakeQuantize)]
        statistics = [parameter(prepared.graph, path) for path in norms_of(graph)]
        weights = [value.detach() for value in prepared.graph.parameters()]
        kinds = (statistics, [part.scale for part in ranges], weights)
        seen.append([torch.cat([value.flatten() for value in kind]) for kind in kinds])
        return True

    recipe, small = replace(RECIPE, tuning=replace(TUNING, epochs=8)), data.subset(train=128, validation=20)
    tune(prepared, recipe, small, see, dataclasses.replace(ONE, report=report))
    moving = [
        [not torch.equal(after[what], before[what]) for before, after in itertools.pairwise(seen)] for what in range(3)
    ]
    assert moving[0] == [True, True, False, False, False, False, False]
    assert moving[1] == [True, True, True, False, False, False, False]
    assert all(moving[2])


def test_evaluation_changes_no_statistics_and_no_range(tuned, samples) -> None:
    prepared, _ = tuned
    before = copy.deepcopy(prepared.graph.state_dict())
    first = prepared.graph(100 * samples[0][0])
    assert torch.equal(first, prepared.graph(100 * samples[0][0]))
    assert all(torch.equal(value, before[name]) for name, value in prepared.graph.state_dict().items())


# --- runs -------------------------------------------------------------------------------------------------------------


def test_an_interrupted_run_goes_on_to_the_same_weights(once, data, see, tmp_path: Path) -> None:
    small = data.subset(train=128, validation=20)
    whole, history = tune(copy.deepcopy(once), RECIPE, small, see, ONE)
    stops = dataclasses.replace(ONE, checkpoint=tmp_path / "run", report=lambda epoch: epoch.number < 2)
    _, first = tune(copy.deepcopy(once), RECIPE, small, see, stops)
    goes_on = dataclasses.replace(ONE, checkpoint=tmp_path / "run")
    again, second = tune(copy.deepcopy(once), RECIPE, small, see, goes_on)
    assert len(first) == 2
    assert second == history
    assert all(torch.equal(value, again.graph.state_dict()[name]) for name, value in whole.graph.state_dict().items())
    with pytest.raises(RecordError, match="same recipe"):
        tune(copy.deepcopy(once), replace(RECIPE, calibration="minmax"), small, see, goes_on)


def test_averaged_weights_are_those_that_are_kept(prepared, samples, data, see) -> None:
    recipe = replace(RECIPE, tuning=replace(TUNING, ema=0.9, epochs=2))
    followed = prepared.graph
    kept, history = tune(prepared, recipe, data.subset(train=256, validation=60), see, ONE)
    assert kept.graph is not followed
    assert len(history) == 2
    assert kept.graph(samples[0][0]).isfinite().all()
    assert set(kept.switches) == set(prepared.switches) == {"0", "3", "6", "12"}
    inside = set(kept.graph.modules())
    assert all(len(parts) == 2 and set(parts) <= inside for parts in kept.switches.values())


def test_a_graph_without_simulation_is_refused(graph, data, see) -> None:
    """The example of a well-known article trains one, with the default qconfig, and inserts none."""
    nothing = replace(RECIPE, kind="float")
    with pytest.raises(SettingError, match="simulated somewhere"):
        prepare_training(graph, nothing, PROFILE)
    with pytest.raises(SettingError, match="simulated somewhere"):
        tune(prepare(graph, nothing, PROFILE, qat=True), RECIPE, data, see, ONE)


def test_what_was_not_calibrated_is_refused(prepared, data, see) -> None:
    for part in prepared.every:
        part.disable_fake_quant()
    with pytest.raises(SettingError, match="calibrated"):
        tune(prepared, RECIPE, data, see, ONE)


def test_the_recommended_tuning_is_a_tenth_of_the_epochs_at_a_hundredth_of_the_rate() -> None:
    tuning = default_tuning(Recipe(epochs=90, learning_rate=0.1, ema=0.999, precision="amp"))
    assert (tuning.epochs, tuning.learning_rate) == (9, pytest.approx(0.001))
    assert (tuning.warmup, tuning.ema, tuning.precision) == (0.0, 0.0, "fp32")
    assert default_tuning(Recipe(epochs=3)).epochs == 1
