"""Training a method: its epoch and its score are those that tell validation outliers best.

Over-training on known outliers makes new ones look familiar, so that the last epoch is seldom the best. An epoch counts
that classifies as well as the best does, but for one standard error of its accuracy; of these the one is taken whose
best score has the largest AUROC. The outlier classes that are chosen on are none of those that are learned from, and
those that are tested on none of either.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from modelwright.errors import SettingError, TrainingError
from modelwright.guard.metrics import auroc, fpr95
from modelwright.guard.rows import Floats
from modelwright.guard.training.body import Body, perceptron, width_of
from modelwright.guard.training.method import Method, Verdict
from modelwright.guard.training.samples import Course, Samples, apart
from modelwright.records import Recipe
from modelwright.training.optimizer import optimizer
from modelwright.training.schedule import learning_rate

_ROWS = 1024

RECIPE = Recipe(epochs=20, batch=128, learning_rate=1e-3, weight_decay=0.01)
"""For heads on features."""


class EpochTrial(NamedTuple):
    """How one epoch did on validation.

    Attributes:
        epoch: from 1.
        accuracy: among the familiar classes.
        auroc: of each score, by name.
    """

    epoch: int
    accuracy: float
    auroc: dict[str, float]

    @property
    def best(self) -> str:
        """Name of the score that tells outliers best."""
        return max(self.auroc, key=lambda name: self.auroc[name])

    @property
    def told(self) -> float:
        """Its AUROC."""
        return self.auroc[self.best]


class Told(NamedTuple):
    """How well a score tells outliers of classes that were never seen."""

    auroc: float
    fpr95: float


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """A method and its networks as they were at the best epoch.

    Attributes:
        method: its settings.
        networks: in the mode of evaluation.
        classes: familiar ones.
        epoch: at which they were taken, from 1.
        score: name of the score that told validation outliers best, at that epoch.
        epochs: how each did.
        seen: outlier classes that were learned from or chosen on.
    """

    method: Method
    networks: tuple[nn.Module, ...]
    classes: int
    epoch: int
    score: str
    epochs: tuple[EpochTrial, ...]
    seen: frozenset[int]

    def verdict(self, inputs: Tensor) -> Verdict:
        """Probabilities (n, k) and scores (n,) by name; NaN for inputs with a number that is not finite."""
        sound = torch.isfinite(inputs.flatten(1)).all(1)
        clean = torch.where(sound.view(-1, *[1] * (inputs.ndim - 1)), inputs, torch.zeros_like(inputs))
        found = _asked(self.method, self.networks, clean, self.classes)
        chances = torch.where(sound[:, None], found.probabilities, torch.nan)
        return Verdict(chances, {name: torch.where(sound, score, torch.nan) for name, score in found.scores.items()})

    def scored(self, inputs: Tensor) -> Floats:
        """(n,) the chosen score."""
        return np.asarray(self.verdict(inputs).scores[self.score].cpu().numpy(), np.float64)

    def told(self, familiar: Samples, outliers: Samples) -> dict[str, Told]:
        """How well each of its scores tells outliers of other classes from familiar samples, by name.

        Raises:
            SettingError: an outlier class was learned from or chosen on.
        """
        apart(self.seen, outliers.classes, "training or validation", "test")
        here, there = self.verdict(familiar.inputs), self.verdict(outliers.inputs)
        flags = np.arange(len(familiar) + len(outliers)) >= len(familiar)
        joined = {name: torch.cat([here.scores[name], there.scores[name]]).cpu().numpy() for name in here.scores}
        return {name: Told(auroc(flags, score), fpr95(flags, score)) for name, score in joined.items()}


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
    return Trained(method, tuple(networks), course.classes, chosen.epoch, chosen.best, tuple(epochs), seen)


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
    here = _asked(method, networks, course.validation.inputs, course.classes)
    there = _asked(method, networks, course.validation_outliers.inputs, course.classes)
    flags = np.arange(len(course.validation) + len(course.validation_outliers)) >= len(course.validation)
    areas = {
        name: auroc(flags, torch.cat([score, there.scores[name]]).cpu().numpy()) for name, score in here.scores.items()
    }
    right = (here.probabilities.argmax(1) == course.validation.labels).double().mean()
    return EpochTrial(epoch, float(right), areas)


def _asked(method: Method, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
    with torch.no_grad():
        parts = [method.verdict(networks, part, classes) for part in torch.split(inputs, _ROWS)]
    scores = {name: torch.cat([part.scores[name] for part in parts]) for name in parts[0].scores}
    return Verdict(torch.cat([part.probabilities for part in parts]), scores)
