"""Training: what can be learned is, to the same bits each time, through interruptions of every kind."""

import dataclasses
import itertools
import math
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelwright.clock import ManualClock
from modelwright.errors import CapacityError, RecordError, SettingError, ShapeError, TrainingError
from modelwright.networks.build import build
from modelwright.records import Architecture, Epoch, Recipe
from modelwright.training import Data, Run, Trained, adapt, evaluate, preprocess, train
from modelwright.training.data.data import assemble
from modelwright.training.data.split import Held, Lazy

ONE = Run(threads=1)
replace = msgspec.structs.replace


def same(left: Trained, right: Trained) -> bool:
    """Whether weights, buffers and the record agree to the last bit, but for the seconds."""
    first, second = left.network.state_dict(), right.network.state_dict()
    epochs = [[replace(epoch, seconds=0.0) for epoch in one.learning.epochs] for one in (left, right)]
    return epochs[0] == epochs[1] and all(torch.equal(first[key], second[key]) for key in first | second)


class Faulty(nn.Module):
    """A classifier that does something else at one of its calls in training."""

    def __init__(self, call: int, fault) -> None:
        super().__init__()
        self.line = nn.Linear(64, 2)
        self.call, self.fault, self.calls = call, fault, itertools.count(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.line(x.flatten(1))
        return self.fault(logits) if self.training and next(self.calls) == self.call else logits


# --- what is learned --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_what_a_line_parts_is_learned_without_a_mistake(toy: Data, tiny: Architecture, optimizer: str) -> None:
    recipe = Recipe(epochs=12, batch=16, optimizer=optimizer, learning_rate=0.02, crop=0.0)
    learning = train(tiny, toy, recipe, Run(threads=1, test=True)).learning
    assert (learning.accuracy, learning.test_accuracy, learning.complete) == (1.0, 1.0, True)
    assert learning.epochs[-1].loss < learning.epochs[0].loss


@pytest.mark.parametrize("precision", ["amp", "amp-bf16"])
def test_mixed_precision_learns_it_too(toy: Data, tiny: Architecture, precision: str) -> None:
    recipe = Recipe(epochs=8, batch=16, learning_rate=0.02, crop=0.0, precision=precision)
    trained = train(tiny, toy, recipe, ONE)
    assert trained.learning.accuracy == 1.0
    assert {value.dtype for value in trained.network.parameters()} == {torch.float32}


def test_every_augmentation_together_still_learns_it(toy: Data, tiny: Architecture) -> None:
    recipe = Recipe(epochs=16, batch=16, learning_rate=0.02, mixup=0.2, randaugment=1, magnitude=2.0, ema=0.9)
    assert train(tiny, toy, recipe, ONE).learning.accuracy >= 0.95


def test_random_labels_are_not_learned_for_new_images(toy: Data, tiny: Architecture, quick: Recipe) -> None:
    generator = torch.Generator().manual_seed(0)
    splits = {
        key: Held(split.images, torch.randint(2, (len(split),), generator=generator))
        for key, split in (("train", toy.train), ("validation", toy.validation), ("test", toy.test))
    }
    noise = assemble("noise", toy.classes, toy.shape, splits, 0)
    assert train(tiny, noise, quick, ONE).learning.accuracy < 0.8


def test_the_weights_that_are_kept_are_those_that_were_judged(toy: Data, tiny: Architecture, quick: Recipe) -> None:
    trained = train(tiny, toy, quick, ONE)
    assert evaluate(trained.network, toy.validation, preprocess(tiny, toy)) == trained.learning.accuracy
    assert not trained.network.training
    plain = train(tiny, toy, replace(quick, ema=0.0), ONE)
    assert [epoch.loss for epoch in plain.learning.epochs] == [epoch.loss for epoch in trained.learning.epochs]
    assert not same(trained, plain)


def test_clipping_bounds_the_step(toy: Data, tiny: Architecture) -> None:
    """The first step of SGD with Nesterov momentum is rate * 1.9 * gradient, whose norm is at most `clip`."""
    recipe = Recipe(epochs=1, batch=96, optimizer="sgd", learning_rate=0.1, weight_decay=0.0, warmup=0.0, clip=0.01)
    torch.manual_seed(0)
    network = build(tiny)
    before = torch.cat([value.detach().flatten().clone() for value in network.parameters()])
    train(tiny, toy, recipe, ONE, network=network)
    after = torch.cat([value.detach().flatten() for value in network.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.1 * 1.9 * 0.01, rel=1e-3)


# --- to the last bit --------------------------------------------------------------------------------------------------


FULL = {"mixup": 0.2, "randaugment": 1, "flip": True, "crop": 0.125}


def test_one_seed_gives_one_result_and_another_gives_another(toy: Data, tiny: Architecture, quick: Recipe) -> None:
    recipe = replace(quick, **FULL)
    first = train(tiny, toy, recipe, ONE)
    torch.manual_seed(12345)
    assert same(first, train(tiny, toy, recipe, ONE))
    assert not same(first, train(tiny, toy, replace(recipe, seed=1), ONE))


def test_the_processs_threads_and_random_numbers_are_put_back(toy: Data, tiny: Architecture, quick: Recipe) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    learning = train(tiny, toy, replace(quick, epochs=1), Run(threads=threads + 1)).learning
    assert learning.device.threads == threads + 1
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("precision", ["fp32", "amp"])
@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(toy, tiny, quick, tmp_path, precision, stop) -> None:
    recipe = replace(quick, precision=precision, **FULL)
    whole = train(tiny, toy, recipe, ONE)
    file = tmp_path / "run" / "checkpoint"
    first = train(tiny, toy, recipe, Run(threads=1, checkpoint=file, every=2, report=lambda epoch: epoch.number < stop))
    assert (len(first.learning.epochs), first.learning.complete) == (stop, False)
    second = train(tiny, toy, recipe, Run(threads=1, checkpoint=file))
    assert second.learning.complete
    assert same(whole, second)


@settings(max_examples=8)
@given(stops=st.lists(st.integers(1, 4), max_size=4), every=st.integers(1, 5))
def test_no_way_of_interrupting_changes_a_bit(stops: list[int], every: int, toy, tiny, quick, tmp_path_factory) -> None:
    recipe = replace(quick, **FULL)
    run = Run(threads=1, checkpoint=tmp_path_factory.mktemp("run") / "checkpoint", every=every)
    for stop in stops:
        train(tiny, toy, recipe, dataclasses.replace(run, report=lambda epoch, stop=stop: epoch.number != stop))
    assert same(train(tiny, toy, recipe, run), train(tiny, toy, recipe, ONE))


def test_a_run_that_broke_off_goes_on_from_the_last_checkpoint(toy, tiny, quick, tmp_path: Path) -> None:
    def interrupt(epoch: Epoch) -> bool:
        if epoch.number == 3:
            raise KeyboardInterrupt
        return True

    file = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        train(tiny, toy, quick, Run(threads=1, checkpoint=file, every=2, report=interrupt))
    seen: list[int] = []
    second = train(
        tiny, toy, quick, Run(threads=1, checkpoint=file, report=lambda epoch: not seen.append(epoch.number))
    )
    assert seen == [3, 4]
    assert same(train(tiny, toy, quick, ONE), second)


def test_a_run_that_is_complete_is_read_and_not_repeated(toy, tiny, quick, tmp_path: Path) -> None:
    run = Run(threads=1, checkpoint=tmp_path / "checkpoint")
    first = train(tiny, toy, quick, run)
    again = train(tiny, toy, quick, dataclasses.replace(run, report=lambda epoch: pytest.fail("an epoch was run")))
    assert same(first, again)
    assert again.learning == first.learning


def test_seconds_go_on_counting_after_an_interruption(toy, tiny, quick, tmp_path: Path) -> None:
    clock = ManualClock()

    def a_minute(epoch: Epoch) -> bool:
        clock.advance(60)
        return epoch.number != 2

    run = Run(threads=1, checkpoint=tmp_path / "checkpoint", report=a_minute, clock=clock)
    train(tiny, toy, quick, run)
    clock.advance(1000)
    learning = train(tiny, toy, quick, run).learning
    assert [epoch.seconds for epoch in learning.epochs] == [0.0, 60.0, 60.0, 120.0]


DYING = """
import os, signal, sys
from pathlib import Path
import msgspec, torch
from modelwright.records import Architecture, Recipe
from modelwright.training import Run, train
from modelwright.training.data.data import assemble
from modelwright.training.data.split import Held

def dying(file):
    saves.append(file)
    if len(saves) == 2:  # the second checkpoint is written, but not yet renamed
        os.kill(os.getpid(), signal.SIGKILL)
    sync(file)

sync, saves, os.fsync = os.fsync, [], dying
images, labels = (torch.tensor(values) for values in msgspec.json.decode(sys.stdin.buffer.read()))
split = Held(images.byte(), labels)
data = assemble("toy", ("left", "right"), (1, 8, 8), {"train": split, "validation": split, "test": split}, 0)
architecture = msgspec.json.decode(sys.argv[2], type=Architecture)
recipe = msgspec.json.decode(sys.argv[3], type=Recipe)
train(architecture, data, recipe, Run(threads=1, checkpoint=Path(sys.argv[1])))
"""


def test_a_process_that_is_killed_while_it_writes_leaves_the_earlier_checkpoint(toy, tiny, quick, tmp_path) -> None:
    file = tmp_path / "checkpoint"
    words = [msgspec.json.encode(record).decode() for record in (tiny, quick)]
    told = msgspec.json.encode([toy.validation.images.tolist(), toy.validation.labels.tolist()])
    dead = subprocess.run([sys.executable, "-c", DYING, str(file), *words], input=told, check=False)
    assert dead.returncode == -signal.SIGKILL
    splits = dict.fromkeys(("train", "validation", "test"), toy.validation)
    data = assemble("toy", toy.classes, toy.shape, splits, 0)
    seen: list[int] = []
    run = Run(threads=1, checkpoint=file, report=lambda epoch: not seen.append(epoch.number))
    second = train(tiny, data, quick, run)
    assert seen == [2, 3, 4]
    assert same(train(tiny, data, quick, ONE), second)


def test_images_that_are_decoded_as_needed_train_the_same_network(toy, tiny, quick) -> None:
    pixels = toy.train.images.permute(0, 2, 3, 1).numpy()
    lazy = Lazy(pixels.__getitem__, toy.train.labels, torch.arange(len(pixels)))
    splits = {"train": lazy, "validation": toy.validation, "test": toy.test}
    data = assemble("toy", toy.classes, toy.shape, splits, 0)
    assert same(train(tiny, toy, quick, ONE), train(tiny, data, quick, ONE))


# --- checkpoints that cannot be ---------------------------------------------------------------------------------------


@pytest.fixture
def stopped(toy: Data, tiny: Architecture, quick: Recipe, tmp_path: Path) -> Path:
    file = tmp_path / "checkpoint"
    train(tiny, toy, quick, Run(threads=1, checkpoint=file, report=lambda epoch: False))
    return file


def test_a_checkpoint_of_another_run_is_refused(toy, tiny, quick, stopped: Path) -> None:
    run = Run(threads=1, checkpoint=stopped)
    with pytest.raises(RecordError, match="same recipe: its epochs is not 9, but got 4"):
        train(tiny, toy, replace(quick, epochs=9), run)
    with pytest.raises(RecordError, match=r"same architecture: its dropout is not 0\.5, but got 0\.1"):
        train(replace(tiny, dropout=0.5), toy, quick, run)
    with pytest.raises(RecordError, match="same data: its data is not 'toy"):
        train(tiny, toy.subset(train=90), quick, run)


@given(share=st.floats(0, 0.999))
def test_a_checkpoint_that_is_cut_off_is_refused(share: float, tmp_path_factory, toy, tiny, quick) -> None:
    base = tmp_path_factory.getbasetemp() / "whole"
    if not base.exists():
        train(tiny, toy, quick, Run(threads=1, checkpoint=base, report=lambda epoch: False))
    content = base.read_bytes()
    cut = base.with_name("cut")
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RecordError, match="cut: a checkpoint must be whole") as caught:
        train(tiny, toy, quick, Run(threads=1, checkpoint=cut))
    assert "Delete it to begin anew" in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_checkpoint_that_would_run_something_is_refused(toy, tiny, quick, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    file = tmp_path / "checkpoint"
    for write in (torch.save, lambda value, path: Path(path).write_bytes(pickle.dumps(value))):
        write({"format": 1, "state": Trap()}, file)
        with pytest.raises(RecordError, match="numbers and words only"):
            train(tiny, toy, quick, Run(threads=1, checkpoint=file))
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_of_another_module_is_refused(toy, tiny, quick, stopped: Path) -> None:
    with pytest.raises(RecordError, match="must fit the network that is trained"):
        train(tiny, toy, quick, Run(threads=1, checkpoint=stopped), network=Faulty(0, None))


@pytest.mark.parametrize(("every", "threads"), [(0, 1), (1, -1)])
def test_numbers_that_mean_nothing_are_refused(toy, tiny, quick, every: int, threads: int) -> None:
    with pytest.raises(SettingError, match="must be"):
        train(tiny, toy, quick, Run(threads=threads, every=every))


def test_a_recipe_that_breaks_a_rule_is_refused(toy, tiny, quick) -> None:
    with pytest.raises(RecordError, match="recipe key 'magnitude'"):
        train(tiny, toy, replace(quick, magnitude=30.0))


# --- what goes astray -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "place"), [(1, "epoch 1, step 1 of 6"), (20, "epoch 4, step 2 of 6")])
def test_a_loss_that_is_no_number_is_told_with_its_step(toy, tiny, call: int, place: str) -> None:
    recipe = Recipe(epochs=4, batch=16)
    with pytest.raises(TrainingError, match=f"{place}, learning rate .*must stay a finite number, but got nan"):
        train(tiny, toy, recipe, ONE, network=Faulty(call, lambda logits: logits * math.nan))


def test_a_rate_that_is_far_too_high_goes_astray(toy, tiny) -> None:
    with pytest.raises(TrainingError, match="Lower the learning rate"):
        train(tiny, toy, Recipe(epochs=9, optimizer="sgd", learning_rate=1e12, clip=0.0), ONE)


def test_work_that_does_not_fit_memory_is_told_so(toy, tiny, quick) -> None:
    def hungry(_: torch.Tensor) -> torch.Tensor:
        return torch.empty(1 << 46)

    with pytest.raises(CapacityError, match="tiny: training must fit the memory of cpu"):
        train(tiny, toy, quick, ONE, network=Faulty(1, hungry))


def test_another_fault_of_the_network_is_its_own(toy, tiny, quick) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(tiny, toy, quick, ONE, network=nn.Sequential(nn.Flatten(), nn.Linear(3, 2)))


def test_a_network_for_other_images_or_classes_is_refused(toy, tiny, quick) -> None:
    with pytest.raises(ShapeError, match=r"tiny, input: the network must read images of 1 channel, as toy has"):
        train(replace(tiny, input=(3, 8, 8)), toy, quick)
    with pytest.raises(ShapeError, match="must read images"):
        train(replace(tiny, input=(8,)), toy, quick)
    with pytest.raises(SettingError, match="must have the 2 classes of toy, but got 10"):
        train(replace(tiny, classes=10), toy, quick)
    assert adapt(replace(tiny, input=(3, 32, 32), classes=10), toy, 8) == tiny


def test_a_device_that_is_not_there_is_refused(toy, tiny, quick) -> None:
    with pytest.raises(SettingError, match="must be"):
        train(tiny, toy, quick, Run(device="tpu"))
