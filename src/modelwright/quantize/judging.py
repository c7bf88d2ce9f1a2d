"""What quantization does to a network's outputs, on samples that nothing was calibrated or trained on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, final

import torch

from modelwright.errors import SettingError
from modelwright.quantize.numerics import mse, sqnr_db
from modelwright.quantize.statistics import drop_interval
from modelwright.records.quantization import Interval

MOST_DB = 320.0
"""What stands for infinite decibels, which JSON cannot hold: no two float64 that differ are as near."""
Call = Callable[[torch.Tensor], Any]
"""A network: from a batch of samples to logits."""


@final
@dataclass(frozen=True, eq=False)
class Samples:
    """What a network reads, and what it should say.

    Attributes:
        inputs: (N, ...), as the network reads them.
        labels: int64 of (N,); None where nobody knows.

    Raises:
        SettingError: there are none, there are numbers that are not finite, or labels of another number.
    """

    inputs: torch.Tensor
    labels: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if not self.inputs.ndim or not len(self.inputs):
            way_out = "Give a few hundred samples."
            raise SettingError(
                "there must be samples", where="samples", value=tuple(self.inputs.shape), way_out=way_out
            )
        if self.inputs.is_floating_point() and not bool(torch.isfinite(self.inputs).all()):
            flat = self.inputs.flatten(1) if self.inputs.ndim > 1 else self.inputs[:, None]
            first = int((~torch.isfinite(flat)).any(1).nonzero()[0])
            way_out = "Look for NaN or infinity in the data."
            raise SettingError("samples must be finite numbers", where=f"sample {first}", way_out=way_out)
        if self.labels is not None and self.labels.shape != self.inputs.shape[:1]:
            rule, way_out = "each sample must have one label", "Give them in the order of the samples."
            raise SettingError(rule, where="labels", value=tuple(self.labels.shape), way_out=way_out)

    def __len__(self) -> int:
        return len(self.inputs)

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, ...]]:
        """The inputs in their order, as a network's arguments; the last batch may be smaller."""
        return ((part,) for part in torch.split(self.inputs, size))


@final
@dataclass(frozen=True, eq=False)
class Judge:
    """Holds the outputs of networks against those of one in float.

    Attributes:
        samples: on which.
        reference: logits of the float network on them, (N, classes).
        batch: samples a call.
    """

    samples: Samples
    reference: torch.Tensor
    batch: int = 64
    right: torch.Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        labels = self.samples.labels
        object.__setattr__(self, "right", None if labels is None else self.reference.argmax(-1) == labels)

    @staticmethod
    def of(network: Call, samples: Samples, batch: int = 64) -> "Judge":
        """The judge that holds others against this network."""
        return Judge(samples, logits(network, samples, batch), batch)

    def first(self, count: int) -> "Judge":
        """The judge that looks at the first samples only."""
        samples, labels = self.samples, self.samples.labels
        some = Samples(samples.inputs[:count], None if labels is None else labels[:count])
        return Judge(some, self.reference[:count], self.batch)

    def __call__(self, network: Call) -> "Judged":
        """What is to be said of a network."""
        found = logits(network, self.samples, self.batch)
        if found.shape != self.reference.shape:
            rule, way_out = "both networks must say as much", "Compare a network with its own float form."
            raise SettingError(rule, where="logits", value=tuple(found.shape), way_out=way_out)
        told = decibels(self.reference, found), mse(self.reference, found)
        if self.samples.labels is None or self.right is None:
            return Judged(*told)
        right = found.argmax(-1) == self.samples.labels
        before, after, count = self.right.numpy(), right.numpy(), len(right)
        drop = (int(before.sum()) - int(after.sum())) / count  # of whole numbers: 10 of 2000 are 0.005, and no more
        return Judged(*told, int(after.sum()) / count, drop, drop_interval(before, after))


@final
@dataclass(frozen=True)
class Judged:
    """How near a network is to its float form.

    Attributes:
        sqnr_db: signal to quantization noise of the logits, in decibels.
        mse: mean squared difference of the logits.
        accuracy: share of samples that it is right about; None without labels.
        drop: accuracy of the float form less that, with its interval.
    """

    sqnr_db: float
    mse: float
    accuracy: float | None = None
    drop: float | None = None
    drop_interval: Interval | None = None


def logits(network: Call, samples: Samples, batch: int = 64) -> torch.Tensor:
    """What a network says about each sample: float32 of (N, classes).

    Raises:
        SettingError: it says something that is no finite number.
    """
    with torch.no_grad():
        found = torch.cat([network(*given).float() for given in samples.batches(batch)])
    if not bool(torch.isfinite(found).all()):
        first = int((~torch.isfinite(found)).flatten(1).any(1).nonzero()[0])
        way_out = "Look for NaN or infinity in the network's weights."
        raise SettingError("what a network says must be finite numbers", where=f"sample {first}", way_out=way_out)
    return found


def decibels(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Signal to quantization noise as records have it: between -320 and 320 dB."""
    return max(-MOST_DB, min(MOST_DB, sqnr_db(reference, other)))
