"""A family that grows from one base: what was observed of accuracy, the law drawn from it, and the members."""

from typing import Annotated

import msgspec

from modelwright.records.architecture import Architecture
from modelwright.records.measurement import Device
from modelwright.records.platform import Count, Execution, Name, Policy, Positive

Accuracy = Annotated[float, msgspec.Meta(ge=0, le=1)]
Magnitude = Annotated[float, msgspec.Meta(ge=0)]


class Observation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The accuracy of a base at one scale, from a paper or from a training run.

    Attributes:
        depth, width, resolution: over the base's.
        accuracy: top-1, from 0 to 1.
        source: where it was published, or how it was got.
    """

    depth: Positive
    width: Positive
    resolution: Positive
    accuracy: Accuracy
    source: str = ""


class Powers(msgspec.Struct, frozen=True):
    """The numbers of error(d, w, r) = floor + (depth d^-inner + width w^-inner + resolution r^-inner)^outer.

    Attributes:
        floor: error that no scaling removes.
        depth, width, resolution: what each leaves to be done at the base; 0 where it does not matter.
        inner: the larger, the less can one coefficient stand in for another.
        outer: how error follows what is left to be done; at 1 the three add up.
    """

    floor: Magnitude
    depth: Magnitude
    width: Magnitude
    resolution: Magnitude
    inner: Positive
    outer: Positive


class Law(msgspec.Struct, frozen=True):
    """How accuracy grows with the coefficients, as fitted to observations.

    Attributes:
        powers: of the fit to all observations.
        without: of the fits that leave out one observation each, in the observations' order (jackknife).
        observations: with the coefficients that the networks really have, after rounding.
        residual: root of the mean squared difference in accuracy, from 0 to 1.
    """

    powers: Powers
    without: tuple[Powers, ...]
    observations: tuple[Observation, ...]
    residual: Magnitude


class Coefficients(msgspec.Struct, frozen=True):
    """Depth, width and resolution over the base's."""

    depth: Positive
    width: Positive
    resolution: Positive


class ScaledMember(msgspec.Struct, frozen=True):
    """One network of a family.

    Attributes:
        asked: the multipliers that it is made by, the smallest that lead to this network.
        real: what is left of them after rounding: blocks, mean width of the stages and side of the image, over the
            base's.
        architecture: with the dropout that belongs to its size.
        accuracy: predicted, from 0 to 1.
        estimated_s: the performance model's latency of a whole batch.
        params: trainable numbers.
        flops: of one sample, 2 x multiply-accumulates.
        target_s: the latency that it was searched for; None for one that was not.
        deviation: standard deviation of the predicted accuracy; None where nothing tells it.
        measured_s: latency on the machine at hand; None where it was not measured.
        beyond: a coefficient lies beyond all that was observed.
    """

    asked: Coefficients
    real: Coefficients
    architecture: Architecture
    accuracy: float
    estimated_s: float
    params: int
    flops: float
    target_s: float | None = None
    deviation: float | None = None
    measured_s: float | None = None
    beyond: bool = False

    @property
    def name(self) -> str:
        """Its architecture's."""
        return self.architecture.name

    @property
    def latency_s(self) -> float:
        """Measured where it was, estimated else."""
        return self.estimated_s if self.measured_s is None else self.measured_s


class Reference(msgspec.Struct, frozen=True):
    """Members of the same base that another rule made, at the same accuracy law and on the same platform.

    Attributes:
        name: of the rule.
        source: where it was published.
        members: smallest first.
    """

    name: str
    source: str
    members: tuple[ScaledMember, ...]


class Family(msgspec.Struct, frozen=True):
    """A base and what it grows into on a platform.

    Attributes:
        name: members are called by it and their number.
        base: the base's name.
        platform, batch, precision, execution: the setting in which latency counts.
        start: the base itself.
        members: smallest first.
        growth: exponents: by which power of latency the real coefficients grow; None for fewer than two latencies.
        references: what other rules make of the base.
        law: of accuracy; None where accuracy was given as a function.
        reward: exponents of (latency / target) below and above the target; None where the target is a limit.
        device: what was measured on, None where nothing was.
        notes: what the reader must know.
    """

    name: Name
    base: str
    platform: str
    batch: Count
    precision: Policy
    execution: Execution
    start: ScaledMember
    members: tuple[ScaledMember, ...]
    growth: dict[str, float] | None = None
    references: tuple[Reference, ...] = ()
    law: Law | None = None
    reward: tuple[float, float] | None = None
    device: Device | None = None
    notes: tuple[str, ...] = ()
