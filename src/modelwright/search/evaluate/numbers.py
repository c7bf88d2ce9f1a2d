"""Candidates in other numbers than they were trained in: how accurate they stay, and how long they take.

bf16 is torch's own. Whole numbers need another stage, of which nothing is imported here: the plan names its part, as a
space names its maker, and that part keeps the contract of `Quantizer`.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast, final

import torch
from torch import nn

from modelwright.clock import Clock
from modelwright.errors import SettingError
from modelwright.records import Architecture, Measurement, Plan, Policy, Quantization
from modelwright.registry import load
from modelwright.search.space import precisions_of
from modelwright.training import Data
from modelwright.training.data.split import Split
from modelwright.training.evaluation import device_of, evaluate
from modelwright.training.preprocessing import preprocess

CALIBRATED_ON = 256
"""Training images that ranges of whole numbers are found on, spread evenly over the split."""


class Candidate(NamedTuple):
    """A network in the numbers that it computes in."""

    architecture: Architecture
    precision: Policy


class Quantizer(Protocol):
    """What another stage offers a search that chooses numbers."""

    def check(self, precisions: Sequence[str], *, timed: bool) -> None:
        """Refuse what it cannot run here.

        Args:
            precisions: that candidates may compute in.
            timed: whether `measure` will be asked, too.

        Raises:
            SettingError: says what is missing, and what to do.
        """

    def recipe(self, precision: str) -> Quantization:
        """How a network comes to compute in these numbers."""

    def simulate(self, network: nn.Module, precision: str, samples: torch.Tensor) -> nn.Module:
        """A copy of a trained network that computes as in these numbers.

        Args:
            network: reads the samples; left as it is.
            precision: such as "int8".
            samples: (N, ...), on the network's device; ranges are found on them.

        Raises:
            ModelwrightError: the network cannot be quantized.
        """

    def measure(
        self, candidates: Sequence[tuple[Architecture, str]], *, batch: int, threads: int, clock: Clock, commit: str
    ) -> tuple[Measurement, ...]:
        """Latencies of networks in their numbers, all in turns, by the runtime that is to serve them.

        Raises:
            ModelwrightError: one cannot be written or run in its numbers; says which.
        """


def quantizer_of(plan: Plan, *, timed: bool) -> Quantizer | None:
    """What the plan names to run networks in other numbers, ready; None where it names nothing.

    Args:
        plan: the space's choice "precision" says which numbers are wanted.
        timed: whether candidates will be timed.

    Raises:
        SettingError: the space asks for numbers that nothing named can judge, or that evidence cannot tell of; or what
            is named cannot run here.
        RecordError: what is named cannot be imported.
    """
    wanted = precisions_of(plan.space)
    if wanted and plan.evidence not in ("halving", "training"):
        way_out = "Take halving or training, or leave the precision out of the space."
        rule = "candidates must be trained to be judged in other numbers"
        raise SettingError(rule, where="evidence", value=plan.evidence, way_out=way_out)
    if not plan.quantizer:
        if "int8" in wanted:
            way_out = "Name what quantizes, such as modelwright.quantize.numbers:openvino (--runtime openvino)."
            raise SettingError("int8 needs what can judge a network in whole numbers", where="plan", way_out=way_out)
        return None
    found = cast(Quantizer, load(plan.quantizer))
    found.check(tuple(dict.fromkeys((plan.precision, *wanted))), timed=timed)
    return found


@final
@dataclass(frozen=True)
class Numbers:
    """How accurate trained networks are in the numbers that they are to compute in.

    Attributes:
        data: that they were trained on.
        quantizer: simulates whole numbers; None where there are none.
    """

    data: Data
    quantizer: Quantizer | None = None

    def accuracy(self, network: nn.Module, candidate: Candidate, split: Split) -> float:
        """The share of a split that a trained network is right about in the candidate's numbers.

        Raises:
            ModelwrightError: the network cannot be had in these numbers.
        """
        see = preprocess(candidate.architecture, self.data)
        return evaluate(self._in(network, candidate.precision, see), split, see)

    def _in(self, network: nn.Module, precision: str, see: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
        if precision == "fp32":
            return network
        if precision == "bf16":
            return _Halved(copy.deepcopy(network).eval().to(torch.bfloat16))
        if self.quantizer is None:
            way_out = "Name a quantizer in the plan."
            raise SettingError("whole numbers need what can simulate them", value=precision, way_out=way_out)
        train = self.data.train
        places = torch.arange(0, len(train), max(1, len(train) // CALIBRATED_ON))[:CALIBRATED_ON]
        images, _ = train.batch(places)
        return self.quantizer.simulate(network, precision, see(images.to(device_of(network))))


def recipe_of(precision: str, quantizer: Quantizer | None) -> Quantization:
    """How a network comes to compute in these numbers."""
    if precision == "int8" and quantizer is not None:
        return quantizer.recipe(precision)
    return Quantization(kind="float", floats="bf16" if precision == "bf16" else "fp32")


@final
class _Halved(nn.Module):
    """A network in bf16, whose logits are float32.

    Args:
        network: its weights are in bf16.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits."""
        made: torch.Tensor = self.network(pixels.to(torch.bfloat16)).float()
        return made
