"""Evidence from a supernet: the accuracy of a candidate with its part of weights that all candidates have trained."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import cast, final

import msgspec
import torch

from modelwright.records import Architecture, Learning, Point, Recipe, Space, to_json
from modelwright.search.evaluate.judge import Judge, Judgement, check_budget
from modelwright.search.evaluate.supernet.supernet import Supernet
from modelwright.training import Data, Run, evaluate, preprocess, settle_batch_norm, train
from modelwright.training.run import circumstances


@final
@dataclass(frozen=True)
class SupernetJudge(Judge):
    """Evaluates each candidate inside a supernet that was trained once.

    Attributes:
        supernet: of the candidates' space; see `train_supernet`.
        epochs: that it was trained for.
        data: statistics of batch normalisation are fitted anew to its training split for each candidate, which is
            judged on its validation split.
        batches: of 128 images, that the statistics are fitted to.
        run: device and threads.
    """

    supernet: Supernet
    epochs: int
    data: Data
    batches: int = 8
    run: Run = field(default_factory=Run)

    @property
    def rungs(self) -> tuple[int, ...]:
        """No training of the candidate: (0,)."""
        return (0,)

    def judge(self, architecture: Architecture, point: Point, budget: int, name: str) -> Judgement:
        """The candidate's accuracy with its part of the shared weights.

        Raises:
            SettingError: the candidate is none of the supernet's space.
            ShapeError: it cannot read the data's images.
            CapacityError: it does not fit the device's memory.
        """
        check_budget(self, budget, name)
        see = preprocess(architecture, self.data)
        with circumstances(self.run, name) as device:
            network = self.supernet.network(architecture, point).to(device)
            settle_batch_norm(network, self.data.train.on(device), see, batches=self.batches)
            accuracy = evaluate(network, self.data.validation.on(device), see)
        return Judgement(accuracy, None, f"accuracy in a supernet of {self.epochs} epochs")


def train_supernet(space: Space, data: Data, recipe: Recipe, run: Run | None = None) -> tuple[Supernet, Learning]:
    """A supernet of a space, trained by a recipe, and the record of its training.

    It is reproducible, and goes on from the run's checkpoint, as `train` is and does; from a checkpoint that has ended,
    it is there at once. The accuracies in the record are those of the largest network, with statistics of each batch.
    Each network takes only its part of the steps, so give it several times the epochs of one network.

    Args:
        space: of MBConv blocks, fitted to the data (`with_data`).
        data: trained on its training split.
        recipe: how.
        run: where; on this CPU, without a checkpoint, if None.

    Raises:
        RecordError, SettingError: the space is not one of stages of MBConv blocks; the rest as of `train`.
    """
    run = run or Run()
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        supernet = Supernet(space)
    digest = hashlib.sha256(to_json(space)).hexdigest()[:8]
    stands_for = msgspec.structs.replace(
        supernet.architecture(supernet.largest),
        name=f"supernet-{space.name}-{digest}",
        input=data.shape,  # the supernet resizes for each network it draws
    )
    trained = train(stands_for, data, recipe, replace(run, test=False), supernet)
    return cast(Supernet, trained.network), trained.learning
