"""The training loop: epoch after epoch, from the beginning or from a checkpoint."""

from dataclasses import dataclass
from typing import Any, final

import msgspec
import torch
from torch import nn

from modelwright.errors import RecordError
from modelwright.networks.build import build
from modelwright.networks.measuring.machine import describe
from modelwright.records import Architecture, Epoch, Learning, Recipe, convert
from modelwright.training.checkpoint import Identity, identity, load_checkpoint, save_checkpoint
from modelwright.training.data.data import Data
from modelwright.training.epoch import run_epoch, steps_of
from modelwright.training.evaluation import evaluate
from modelwright.training.preprocessing import Preprocess, preprocess
from modelwright.training.progress import Progress, begin
from modelwright.training.recipes import recipe_for
from modelwright.training.run import Run, circumstances
from modelwright.training.schedule import learning_rate


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """A network and how it was trained.

    Attributes:
        network: with the weights to keep (averaged ones where the recipe says so), in evaluation mode, on its device.
        learning: the record.
    """

    network: nn.Module
    learning: Learning


def train(
    architecture: Architecture,
    data: Data,
    recipe: Recipe | None = None,
    run: Run | None = None,
    network: nn.Module | None = None,
) -> Trained:
    """Train a network on a data set.

    On a CPU, one seed and one number of threads give the same weights to the last bit, whether or not the run was
    interrupted and went on from its checkpoint. torch's threads and random numbers are put back afterwards.

    Args:
        architecture: its input and classes are the data's; `adapt` makes it so.
        data: trained on `train`, judged on `validation`.
        recipe: how; `recipe_for(data)` if None.
        run: where; on this CPU, without a checkpoint, if None.
        network: begin from these weights, which are trained in place; by default `build(architecture)` draws them from
            the recipe's seed. It may draw random numbers from torch as it is called: they are seeded, and saved.

    Raises:
        ShapeError: the architecture reads something else than the data's images.
        SettingError: its classes are not the data's, or the device cannot be reached.
        RecordError: the recipe breaks a rule; the checkpoint is broken, or belongs to another run.
        TrainingError: a loss is not a finite number.
        CapacityError: it does not fit the device's memory.
    """
    recipe, run = recipe or recipe_for(data), run or Run()
    convert(msgspec.to_builtins(recipe), Recipe, where="recipe")
    see, whose = preprocess(architecture, data), identity(architecture, data, recipe)
    with circumstances(run, architecture.name) as device:
        torch.manual_seed(recipe.seed)
        progress = begin(build(architecture) if network is None else network, recipe, device)
        state = load_checkpoint(run.checkpoint, whose) if run.checkpoint else None
        if state is not None:
            _restore(progress, state, str(run.checkpoint))
        _go_on(progress, data, see, recipe, (run, whose))
        kept = progress.kept.eval()
        test = evaluate(kept, data.test, see, precision=recipe.precision) if run.test else None
        learning = Learning(
            architecture=architecture.name,
            data=data.name,
            recipe=recipe,
            epochs=progress.epochs,
            accuracy=progress.epochs[-1].accuracy,
            test_accuracy=test,
            complete=len(progress.epochs) == recipe.epochs,
            device=describe(device, torch.get_num_threads(), run.commit),
        )
    return Trained(kept, learning)


def _restore(progress: Progress, state: dict[str, Any], where: str) -> None:
    try:
        progress.restore(state)
    except (RuntimeError, LookupError, ValueError, TypeError) as failure:  # torch's, where names or shapes differ
        rule = f"a checkpoint must fit the network that is trained ({' '.join(str(failure).split())[:200]})"
        way_out = "Begin from the network that it was begun with, or name another file."
        raise RecordError(rule, where=where, way_out=way_out) from failure


def _go_on(progress: Progress, data: Data, see: Preprocess, recipe: Recipe, of: tuple[Run, Identity]) -> None:
    """Run the epochs that are left; save each that is due, and tell about it after that."""
    run, whose = of
    split, judges = data.train.on(progress.device), data.validation.on(progress.device)
    steps = steps_of(recipe, split)
    before = progress.epochs[-1].seconds if progress.epochs else 0.0
    start = run.clock.seconds()
    for number in range(len(progress.epochs) + 1, recipe.epochs + 1):
        loss = run_epoch(progress, split, see, recipe)
        accuracy = evaluate(progress.kept, judges, see, precision=recipe.precision)
        rate = learning_rate(recipe, number * steps - 1, recipe.epochs * steps)
        epoch = Epoch(number, loss, accuracy, before + run.clock.seconds() - start, rate)
        progress.epochs += (epoch,)
        due = number % run.every == 0 or number == recipe.epochs
        if run.checkpoint and due:
            save_checkpoint(run.checkpoint, whose, progress.state())
        if run.report and not run.report(epoch):
            if run.checkpoint and not due:
                save_checkpoint(run.checkpoint, whose, progress.state())
            return
