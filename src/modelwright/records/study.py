"""A search on its way and when it has ended: objectives, trials, the front, and the family that grew from it."""

from typing import Annotated, Literal

import msgspec

from modelwright.records.architecture import Architecture
from modelwright.records.measurement import Device, Measurement
from modelwright.records.platform import Count, Execution, Policy
from modelwright.records.quantization import Quantization
from modelwright.records.recipe import Learning, Recipe
from modelwright.records.space import Point, Space

Metric = Literal["accuracy", "latency_s", "throughput_per_s", "peak_memory_bytes", "energy_j", "flops", "params"]
Evidence = Literal["training", "halving", "supernet", "score"]


class Objective(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number that a search cares about.

    Attributes:
        metric: which; accuracy and throughput are the better the larger, the others the better the smaller.
        limit: what must be kept, in the metric's own unit; None for no limit.
        source: how it is got: "training", or for costs "estimate" (the performance model), "measure" (this machine), or
            "calibrated" (a predictor that corrects the model by a few measurements).
        target, weight: of the weighted reward accuracy * (value / target) ^ weight (MnasNet, 2018, arXiv 1807.11626);
            weight 0 for none.
    """

    metric: Metric
    limit: float | None = None
    source: Literal["training", "estimate", "measure", "calibrated"] = "estimate"
    target: float | None = None
    weight: float = 0.0

    @property
    def maximise(self) -> bool:
        """Whether more is better."""
        return self.metric in ("accuracy", "throughput_per_s")


class Trial(msgspec.Struct, frozen=True):
    """One candidate, and what is known of it.

    Attributes:
        number: in the study, from 0.
        point: what was chosen.
        state: "running", "finished", "failed" or "stopped" (early, by a rule; its values count as evidence only).
        values: metric -> value, in the metric's own unit.
        budget: epochs that it was trained for; 0 for none.
        architecture: the network.
        learning: of its training, where it was trained.
        reason: why it failed or was stopped.
        seconds: that it took.
        worker: who ran it, "host:process".
        suggested_by: the algorithm.
    """

    number: int
    point: Point
    state: Literal["running", "finished", "failed", "stopped"]
    values: dict[str, float] = {}
    budget: int = 0
    architecture: Architecture | None = None
    learning: Learning | None = None
    reason: str = ""
    seconds: float = 0.0
    worker: str = ""
    suggested_by: str = ""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that decides a search: what is asked for, and of whom.

    Attributes:
        space: what may be chosen.
        objectives: accuracy first.
        data: the data set's name or folder.
        platform: for estimates, by name or file; "" where only measurements count.
        batch, precision, execution: the setting in which costs are counted.
        method: the search algorithm.
        trials: how many candidates are trained.
        evidence: how candidates are judged before the winners are trained in full.
        recipe: of a candidate's full training; `final` that of the family's, which goes on longer.
        family: how many members are wanted.
        seed: of everything that is drawn.
        images: so many training images are used, 0 for all; a stratified part.
        quantizer: "module:attribute" of what runs trained networks in the numbers that the space's choice "precision"
            names: it judges them in whole numbers, and on this machine times all candidates; "" for torch alone, which
            has fp32 and bf16.
    """

    space: Space
    objectives: Annotated[tuple[Objective, ...], msgspec.Meta(min_length=1)]
    data: str
    platform: str
    batch: Count = 1
    precision: Policy = "fp32"
    execution: Execution = "eager"
    method: str = "auto"
    trials: Count = 40
    evidence: Evidence = "halving"
    recipe: Recipe = Recipe()
    final: Recipe = Recipe()
    family: Count = 3
    seed: int = 0
    images: int = 0
    quantizer: str = ""


class Member(msgspec.Struct, frozen=True):
    """One network of a family, or one that it is held against, trained by the same recipe and measured in the same run.

    Attributes:
        name: its folder's name.
        architecture: the network.
        learning: its training, with the test split's accuracy.
        estimates: metric -> the performance model's number.
        measurement: on the device at hand, None where there is none.
        trial: the number of the trial that it comes from; None for a reference.
        files: what was written: role ("weights", "program", "onnx", "card") -> path in the folder.
        counted: metric -> the number as the search counts it, such as a calibrated latency; where there is none, the
            performance model's is what the search went by.
        precision: the numbers that it computes in, where the search chose them; None for those of the plan.
        accuracies: split ("validation", "test") -> accuracy in these numbers, where it was trained in others.
        recipe: how it comes to compute in them; None where the search did not choose.
    """

    name: str
    architecture: Architecture
    learning: Learning
    estimates: dict[str, float]
    measurement: Measurement | None = None
    trial: int | None = None
    files: dict[str, str] = {}
    counted: dict[str, float] = {}
    precision: Policy | None = None
    accuracies: dict[str, float] = {}
    recipe: Quantization | None = None

    @property
    def accuracy(self) -> float:
        """On the validation split, in the numbers that it computes in."""
        return self.accuracies.get("validation", self.learning.accuracy)

    @property
    def test_accuracy(self) -> float | None:
        """On the test split, likewise; None where nobody asked."""
        return self.accuracies.get("test", self.learning.test_accuracy)


class Agreement(msgspec.Struct, frozen=True):
    """How well cheap evidence ranks candidates, held against full training of a sample.

    Attributes:
        evidence: which, such as "accuracy after 2 of 12 epochs".
        kendall: rank correlation tau-b with the accuracy of full training.
        candidates: size of the sample.
        pairs: (cheap, full) of each.
    """

    evidence: str
    kendall: float
    candidates: int
    pairs: tuple[tuple[float, float], ...]


class Reason(msgspec.Struct, frozen=True):
    """What the search chose in one place, and why it pays on this platform.

    Attributes:
        choice: such as "stages.2.fused".
        chosen: the value in most members of the front, and `share` how many of them have it.
        effects: value -> (median accuracy, median cost) of the family's largest member with only this choice changed;
            accuracy is None where it was not trained, as it mostly is.
        why: it pays, in one sentence; "" where nothing more is known than the effects.
    """

    choice: str
    chosen: str
    share: float
    effects: dict[str, tuple[float | None, float]] = {}
    why: str = ""


class Prediction(msgspec.Struct, frozen=True):
    """A candidate whose latency was predicted and measured, besides the family and its references.

    Attributes:
        name: such as "trial 12".
        predicted_s, measured_s: for a whole batch.
        source: of the prediction: "estimate" (the performance model) or "calibrated".
        flops: of the network; None where they were not counted.
    """

    name: str
    predicted_s: float
    measured_s: float
    source: Literal["estimate", "calibrated"] = "estimate"
    flops: float | None = None


class Findings(msgspec.Struct, frozen=True):
    """A search that has ended.

    Attributes:
        plan: what was asked for.
        trials: all, in order.
        front: numbers of the trials that no other is better than, by the evidence of the search.
        family: its members, smallest first.
        references: networks that it is held against.
        agreements: of cheap evidence with full training.
        reasons: what was chosen, and why it pays.
        device: where it ran.
        seconds: that it took, all runs together.
        hypervolume: of the front after each finished trial.
        notes: what the reader must know, such as a limit that no candidate could keep.
        predictions: candidates that were measured as well, to calibrate the model or to check it.
    """

    plan: Plan
    trials: tuple[Trial, ...]
    front: tuple[int, ...]
    family: tuple[Member, ...]
    references: tuple[Member, ...]
    agreements: tuple[Agreement, ...]
    reasons: tuple[Reason, ...]
    device: Device
    seconds: float
    hypervolume: tuple[float, ...]
    notes: tuple[str, ...] = ()
    predictions: tuple[Prediction, ...] = ()
