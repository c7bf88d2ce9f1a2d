"""Why a network takes the time it takes, and what would change that: bottlenecks, and advice with its gain."""

from typing import Literal

import msgspec

from modelwright.records.architecture import Architecture
from modelwright.records.platform import Execution, Policy


class Bottleneck(msgspec.Struct, frozen=True):
    """Time that one resource takes in one part of a network.

    All bottlenecks of a run share its time among themselves: their `spent_s` add up to the latency.

    Attributes:
        layer: path of the modules, such as "stages.2.0.spatial", or "stages.8.0-1.spatial" for equal blocks; empty for
            what concerns the whole run.
        bound: the resource that decides there: "matrix", "vector", "launch" or a memory level's name.
        kernels: how many there are.
        spent_s: seconds of the run that these kernels compute under that bound, or that starting work takes.
        saving_s: how many seconds earlier the run would end if the resource took no time for these kernels; the rest of
            `spent_s` would then go to the resource that is next.
        why: the numbers that make it so, in one sentence.
    """

    layer: str
    bound: str
    kernels: int
    spent_s: float
    saving_s: float
    why: str


class Change(msgspec.Struct, frozen=True):
    """One key of a record or a setting, such as "stages[2].block.fused", before and after."""

    key: str
    before: str
    after: str


class Outcome(msgspec.Struct, frozen=True):
    """What an estimate says of a network in a setting, as far as advice compares it.

    Attributes:
        latency_s: seconds for one batch.
        bound_s: seconds under each bound.
        params: trainable numbers.
        macs: multiply-accumulates of one sample.
    """

    batch: int
    precision: Policy
    execution: Execution
    latency_s: float
    bound_s: dict[str, float]
    params: int
    macs: float

    @property
    def sample_s(self) -> float:
        """Seconds a sample."""
        return self.latency_s / self.batch


class Advice(msgspec.Struct, frozen=True):
    """One change, and what it would give. How accurate the changed network would be after training is not predicted.

    Attributes:
        kind: whether the network changes, or how it is run.
        word: what is done, such as "fuse".
        place: where, in words: "stages 4-5", "every stage", "setting".
        changes: every key that differs.
        before, after: what the performance model says.
        architecture: the changed network, where one changes.
    """

    kind: Literal["architecture", "setting"]
    word: str
    place: str
    changes: tuple[Change, ...]
    before: Outcome
    after: Outcome
    architecture: Architecture | None = None

    @property
    def gain(self) -> float:
        """Share of the time a sample that is saved."""
        return 1.0 - self.after.sample_s / self.before.sample_s


class Explanation(msgspec.Struct, frozen=True):
    """A network on a platform in a setting: where its time goes, and what would change that.

    Attributes:
        platform: its name.
        now: what the performance model says of the network as it is.
        bound: the resource under which most of the time is spent.
        bottlenecks: in order of what removing them would save.
        advice: changes to the architecture, in order of predicted gain, then changes to the setting, likewise.
        editable: whether there is an architecture record that could be changed.
        considered, tried: how many changes to the architecture there were to choose from, and how many were estimated.
        unknown: operators that no rule describes, costed by their bytes.
    """

    architecture: str
    platform: str
    now: Outcome
    bound: str
    bottlenecks: tuple[Bottleneck, ...]
    advice: tuple[Advice, ...]
    editable: bool = True
    considered: int = 0
    tried: int = 0
    unknown: tuple[str, ...] = ()
