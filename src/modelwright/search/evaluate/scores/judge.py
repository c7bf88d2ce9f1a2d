"""Evidence without training: a score of the freshly drawn network on one batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import torch
from torch import nn

from modelwright.errors import TrainingError
from modelwright.networks.build import build
from modelwright.records import Architecture, Point
from modelwright.registry import Registry
from modelwright.search.evaluate.judge import Judge, Judgement, check_budget
from modelwright.search.evaluate.scores import SCORES
from modelwright.training import Data, Run, preprocess
from modelwright.training.run import circumstances

Score = Callable[[nn.Module, torch.Tensor, torch.Tensor], float]
"""From a network, normalised images and their labels to a number: the larger, the better."""

scores: Registry[Score] = Registry("score", SCORES, group="modelwright.scores")


@final
@dataclass(frozen=True)
class ScoreJudge(Judge):
    """Scores each candidate before any training.

    Attributes:
        score: its name.
        data: one stratified batch of its training split is looked at, the same one for all.
        batch: images in it, fewer where the split has no more.
        seed: of the weights and the batch.
        run: device and threads.
    """

    score: str
    data: Data
    batch: int = 64
    seed: int = 0
    run: Run = field(default_factory=Run)

    @property
    def rungs(self) -> tuple[int, ...]:
        """No training: (0,)."""
        return (0,)

    def judge(self, architecture: Architecture, point: Point, budget: int, name: str) -> Judgement:
        """The score, brought between 0 and 1 by `unit`, which keeps the order.

        Raises:
            UnknownNameError: no score has that name.
            TrainingError: the score is not a number.
            CapacityError: the candidate does not fit the device's memory.
        """
        check_budget(self, budget, name)
        value = self.raw(architecture)
        if math.isnan(value):
            rule = "a score must be a number"
            raise TrainingError(rule, where=f"{name}, {self.score}", value=value, way_out="Choose another score.")
        return Judgement(unit(value), None, f"{self.score} before training")

    def raw(self, architecture: Architecture) -> float:
        """The score as its paper defines it; errors as of `judge`, but that it may not be a number."""
        measure = scores[self.score]
        see = preprocess(architecture, self.data)
        few = self.data.subset(train=min(self.batch, len(self.data.train)), seed=self.seed).train
        with circumstances(self.run, architecture.name) as device:
            images, labels = few.on(device).batch(torch.arange(len(few)))
            torch.manual_seed(self.seed)
            network = build(architecture).to(device)
            return measure(network, see(images.to(device)), labels.to(device))


def unit(value: float) -> float:
    """A number between 0 and 1 that rises with the value: 1/2 + atan(asinh(value)) / pi.

    The inverse hyperbolic sine grows like a logarithm, so that scores of any size stay apart.
    """
    return 0.5 + math.atan(math.asinh(value)) / math.pi
