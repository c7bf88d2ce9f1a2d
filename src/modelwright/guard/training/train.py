"""Training a method: its epoch and its score are those that tell validation outliers best.

Over-training on known outliers makes new ones look familiar, so that the last epoch is seldom the best. An epoch counts
that classifies as well as the best does, but for one standard error of its accuracy; of these the one is taken whose
best score has the largest AUROC. The outlier classes that are chosen on are none of those that are learned from, and
those that are tested on none of either.
"""

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from modelwright.errors import SettingError, TrainingError
from modelwright.guard.metrics import auroc
from modelwright.guard.training.body import Body, perceptron, width_of
from modelwright.guard.training.method import Method
from modelwright.guard.training.samples import Course
from modelwright.guard.training.trained import Trained, asked
from modelwright.records import EpochTrial, Recipe
from modelwright.training.optimizer import optimizer
from modelwright.training.schedule import learning_rate

RECIPE = Recipe(epochs=20, batch=128, learning_rate=1e-3, weight_decay=0.01)
"""For heads on features."""


def train(method: Method, course: Course, recipe: Recipe = RECIPE, body: Body | None = None) -> Trained:
    """Train a method, and choose its epoch and score.

    Args:
        method: from METHODS.
        course: samples.
        recipe: of it count epochs, batch, optimizer, rate, decay, warm-up, clip and seed.
        body: from inputs to features; a perceptron where inputs are features (n, d).

    Raises:
        SettingError: the method needs outliers and there are none, or inputs need a body.
        TrainingError: the loss is no finite number.
    """
    if method.NEEDS_OUTLIERS and course.train_outliers is None:
        way_out = "Give train_outliers, or take a method that learns from familiar samples alone."
        raise SettingError("this method learns from outliers", where=type(method).__name__, value=None, way_out=way_out)
    if body is None and course.train.inputs.ndim != 2:
        shape = tuple(course.train.inputs.shape)
        raise SettingError("inputs that are not features (n, d) need a body", where="body", value=shape)
    inputs, labels, groups = _material(method, course)
    networks: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for member in range(method.members):
            torch.manual_seed(recipe.seed + member)
            made = (body or perceptron(course.train.inputs))().to(inputs.device)
            network = method.network(made, width_of(made, inputs), course.classes, groups)
            networks.append(network.to(inputs.device))
        return _best(method, course, recipe, networks, (inputs, labels))


def _material(method: Method, course: Course) -> tuple[Tensor, Tensor, int]:
    """Inputs, labels and the number of outlier classes: these are numbered behind the familiar ones."""
    if not method.NEEDS_OUTLIERS or course.train_outliers is None:
        return course.train.inputs, course.train.labels, 0
    known = torch.tensor(sorted(course.outlier_classes))
    numbers = torch.searchsorted(known, course.train_outliers.labels) + course.classes
    inputs = torch.cat([course.train.inputs, course.train_outliers.inputs])
    return inputs, torch.cat([course.train.labels, numbers]), len(known)


def _best(
    method: Method, course: Course, recipe: Recipe, networks: Sequence[nn.Module], material: tuple[Tensor, Tensor]
) -> Trained:
    optimizers = [optimizer(network, recipe) for network in networks]
    orders = [torch.Generator().manual_seed(recipe.seed + member) for member in range(len(networks))]
    epochs: list[EpochTrial] = []
    kept: list[tuple[EpochTrial, list[dict[str, Tensor]]]] = []
    for epoch in range(recipe.epochs):
        for network, steps, order in zip(networks, optimizers, orders, strict=True):
            _epoch(method, recipe, (network, steps, order), (*material, course.classes), epoch)
            network.eval()
        method.settle(networks, course.train.inputs)
        epochs.append(_tried(method, course, networks, epoch + 1))
        kept = [(one, weights) for one, weights in kept if _may_be_best(one, epochs, len(course.validation))]
        if _may_be_best(epochs[-1], epochs, len(course.validation)):
            kept.append((epochs[-1], [copy.deepcopy(network.state_dict()) for network in networks]))
    chosen, weights = max(kept, key=lambda one: one[0].told)
    for network, found in zip(networks, weights, strict=True):
        network.load_state_dict(found)
        network.requires_grad_(False)
    seen = course.outlier_classes | course.validation_outliers.classes
    return Trained(
        method=method,
        networks=tuple(networks),
        classes=course.classes,
        groups=len(course.outlier_classes) if method.NEEDS_OUTLIERS else 0,
        rows=len(course.train),
        epoch=chosen.epoch,
        score=chosen.best,
        epochs=tuple(epochs),
        seen=seen,
    )


def _may_be_best(one: EpochTrial, epochs: Sequence[EpochTrial], rows: int) -> bool:
    """Whether an epoch classifies well enough, and none that does as well tells outliers better."""
    top = max(other.accuracy for other in epochs)
    slack = max(math.sqrt(top * (1.0 - top) / rows), 1.0 / rows) + 1e-9
    beaten = any(other.told > one.told and other.accuracy >= one.accuracy for other in epochs)
    return one.accuracy >= top - slack and not beaten


def _epoch(
    method: Method,
    recipe: Recipe,
    trainee: tuple[nn.Module, torch.optim.Optimizer, torch.Generator],
    material: tuple[Tensor, Tensor, int],
    epoch: int,
) -> None:
    network, steps, order = trainee
    inputs, labels, classes = material
    network.train()
    batches = torch.split(torch.randperm(len(labels), generator=order), recipe.batch)
    for place, rows in enumerate(batches):
        rate = learning_rate(recipe, epoch * len(batches) + place, recipe.epochs * len(batches))
        for group in steps.param_groups:
            group["lr"] = rate
        loss = method.loss(network(inputs[rows]), labels[rows], classes)
        if not torch.isfinite(loss):
            where = f"epoch {epoch + 1}, step {place + 1}"
            raise TrainingError("the loss must be a finite number", where=where, value=loss.item())
        steps.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if recipe.clip:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        steps.step()


def _tried(method: Method, course: Course, networks: Sequence[nn.Module], epoch: int) -> EpochTrial:
    here = asked(method, networks, course.validation.inputs, course.classes)
    there = asked(method, networks, course.validation_outliers.inputs, course.classes)
    flags = np.arange(len(course.validation) + len(course.validation_outliers)) >= len(course.validation)
    areas = {
        name: auroc(flags, torch.cat([score, there.scores[name]]).cpu().numpy()) for name, score in here.scores.items()
    }
    right = (here.probabilities.argmax(1) == course.validation.labels).double().mean()
    return EpochTrial(epoch, float(right), areas)
