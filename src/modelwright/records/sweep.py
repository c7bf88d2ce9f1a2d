"""What another platform would give: a workload on a platform as it is, and on variants with some numbers changed."""

import msgspec

from modelwright.records.platform import Execution, Policy


class Variant(msgspec.Struct, frozen=True):
    """A platform with some of its numbers changed, and what the workload costs there.

    Attributes:
        changes: dotted key -> the change as it was written, such as "2x"; empty for the platform as it is.
        values: dotted key -> the number that the change led to.
        latency_s: seconds for one batch.
        throughput_per_s: samples per second.
        speedup: latency on the platform as it is over this latency.
        energy_j: joules for one batch, where the platform states its energy.
        bound: the resource under which most of the time is spent.
        bound_s: seconds under each bound.
    """

    changes: dict[str, str]
    values: dict[str, float]
    latency_s: float
    throughput_per_s: float
    speedup: float
    energy_j: float | None
    bound: str
    bound_s: dict[str, float]


class Sweep(msgspec.Struct, frozen=True):
    """One workload on one platform and on its variants, at one setting.

    Attributes:
        architecture, platform, batch, precision, execution: the setting.
        changes: dotted key -> change that all variants share.
        knobs: dotted key -> the changes that it was swept through; no, one or two knobs.
        baseline: the platform as it is.
        variants: one a point of the grid, the last knob moving fastest; a single one where there are no knobs.
        unknown: operators that no rule describes, costed by their bytes.
    """

    architecture: str
    platform: str
    batch: int
    precision: Policy
    execution: Execution
    changes: dict[str, str]
    knobs: dict[str, tuple[str, ...]]
    baseline: Variant
    variants: tuple[Variant, ...]
    unknown: tuple[str, ...] = ()

    def at(self, *point: str) -> Variant:
        """The variant at one change a knob, in the knobs' order."""
        position = 0
        for change, choices in zip(point, self.knobs.values(), strict=True):
            position = position * len(choices) + choices.index(change)
        return self.variants[position]
