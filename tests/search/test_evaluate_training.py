"""Judging by training: rungs are stops on one way, interruptions leave no trace, the test split is never seen."""

import dataclasses
from pathlib import Path

import msgspec
import pytest
import torch

from modelwright.errors import CapacityError, RecordError, SettingError, TrainingError
from modelwright.networks.build import Network
from modelwright.records import Architecture, ConvStem, MBConv, PoolHead, Recipe, Stage
from modelwright.registry import load
from modelwright.search.evaluate import JUDGES, Judge
from modelwright.search.evaluate.scores.judge import ScoreJudge
from modelwright.search.evaluate.supernet.judge import SupernetJudge, train_supernet
from modelwright.search.evaluate.training import TrainingJudge, after
from modelwright.search.space import make, narrow, space, with_data
from modelwright.training import Data, Run, Split, dataset, train

ONE = Run(threads=1)
RECIPE = Recipe(epochs=4, batch=64, learning_rate=5e-3, crop=0.0, ema=0.9)
SMALL = Architecture(
    "small", (1, 8, 8), 10, ConvStem((8,)), (Stage(MBConv(8, 16, 8)),), PoolHead(), dropout=0.1, norm_epsilon=1e-3
)


class Sealed(Split):
    """A test split that nobody may open."""

    labels = torch.arange(10)

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise AssertionError("the test split was looked at")

    def take(self, indices: torch.Tensor) -> "Sealed":
        return self.batch(indices)

    def on(self, device: torch.device) -> "Sealed":
        return self.batch(torch.arange(1))


@pytest.fixture(scope="module")
def data() -> Data:
    return dataclasses.replace(dataset("digits").subset(train=192), test=Sealed())


def judge(data: Data, folder: Path, *budgets: int, run: Run = ONE) -> TrainingJudge:
    return TrainingJudge(data, RECIPE, folder, budgets, run)


def losses(learning) -> list[float]:
    return [epoch.loss for epoch in learning.epochs]


def test_going_on_is_the_run_that_was_never_stopped(data: Data, tmp_path: Path) -> None:
    whole = train(SMALL, data, RECIPE, ONE).learning
    halving = judge(data, tmp_path, 1, 2, 4)
    for budget in halving.rungs:
        said = halving.judge(SMALL, {}, budget, "trial-0")
        assert losses(said.learning) == losses(whole)[:budget]
        assert said.accuracy == said.learning.accuracy == whole.epochs[budget - 1].accuracy
        assert said.learning.complete == (budget == 4)
        assert said.learning.test_accuracy is None
        assert said.evidence == f"accuracy after {budget} of 4 epochs"
    assert [path.name for path in tmp_path.iterdir()] == ["trial-0.pt"]


def test_a_rung_that_is_judged_again_is_judged_alike(data: Data, tmp_path: Path) -> None:
    """As when a worker dies between its training and its entry in the journal; also after a higher rung."""
    halving = judge(data, tmp_path, 1, 2, 4)
    first = halving.judge(SMALL, {}, 2, "a")
    again = halving.judge(SMALL, {}, 2, "a")
    halving.judge(SMALL, {}, 4, "a")
    for said in (again, halving.judge(SMALL, {}, 2, "a")):
        assert (said.accuracy, losses(said.learning)) == (first.accuracy, losses(first.learning))
        assert not said.learning.complete


def test_an_interrupt_half_way_leaves_no_trace(data: Data, tmp_path: Path) -> None:
    def interrupt(epoch) -> bool:
        if epoch.number == 2:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        judge(data, tmp_path / "a", run=Run(threads=1, report=interrupt)).judge(SMALL, {}, 4, "a")
    resumed = judge(data, tmp_path / "a").judge(SMALL, {}, 4, "a")
    assert losses(resumed.learning) == losses(judge(data, tmp_path / "b").judge(SMALL, {}, 4, "a").learning)


def test_candidates_keep_to_their_own_checkpoints(data: Data, tmp_path: Path) -> None:
    halving = judge(data, tmp_path, 1, 4)
    halving.judge(SMALL, {}, 1, "a")
    with pytest.raises(RecordError, match="same architecture"):
        halving.judge(msgspec.structs.replace(SMALL, dropout=0.2), {}, 1, "a")
    halving.judge(msgspec.structs.replace(SMALL, dropout=0.2), {}, 1, "b")


def test_a_loss_that_is_not_finite_fails_the_candidate(data: Data, tmp_path: Path) -> None:
    black = dataclasses.replace(data, std=(0.0,))
    with pytest.raises(TrainingError, match="finite"):
        judge(black, tmp_path).judge(SMALL, {}, 4, "a")


def test_too_little_memory_fails_the_candidate(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self, x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Network, "forward", full)
    for one in (judge(data, tmp_path), ScoreJudge("naswot", data, run=ONE)):
        with pytest.raises(CapacityError, match="memory"):
            one.judge(SMALL, {}, one.rungs[-1], "a")


@pytest.mark.parametrize("budgets", [(0, 4), (4, 2), (2, 2), (1, 5)])
def test_budgets_rise_within_the_recipe(data: Data, tmp_path: Path, budgets: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="must rise"):
        judge(data, tmp_path, *budgets)


def test_a_budget_between_rungs_is_refused(data: Data, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="one of the judge's rungs"):
        judge(data, tmp_path, 1, 4).judge(SMALL, {}, 2, "a")
    learning = judge(data, tmp_path).judge(SMALL, {}, 4, "a").learning
    assert after(learning, 4) == learning
    with pytest.raises(SettingError, match="a training of 4 epochs"):
        after(learning, 5)


def test_no_judge_opens_the_test_split(data: Data, tmp_path: Path) -> None:
    searched = with_data(space("efficientnet-small"), 1, 10, 8)
    for choice in searched.choices:
        searched = narrow(searched, choice.name, choice.values[:1])
    point = {choice.name: choice.values[0] for choice in searched.choices}
    architecture = make(searched, point, "least")
    net, _ = train_supernet(searched, data, msgspec.structs.replace(RECIPE, epochs=1), ONE)
    judges: list[Judge] = [
        judge(data, tmp_path, 1),
        SupernetJudge(net, 1, data, batches=1, run=ONE),
        ScoreJudge("synflow", data, run=ONE),
    ]
    for one in judges:
        said = one.judge(architecture, point, one.rungs[0], "a")
        assert 0 <= said.accuracy <= 1
        assert (said.learning is None) == (one.rungs == (0,))
    assert {type(one) for one in judges} == {load(address) for address in JUDGES.values()}
