"""What a changed chip would give: the performance model on a platform and on variants with some numbers changed."""

import itertools
from collections.abc import Mapping, Sequence

import msgspec

from modelwright.errors import SettingError
from modelwright.hardware.catalogue import numbers, set_values
from modelwright.hardware.model import estimate
from modelwright.records import Estimate, Execution, Platform, Policy, Workload
from modelwright.records.sweep import Sweep, Variant

NOTHING: Mapping[str, str] = {}


class Setting(msgspec.Struct, frozen=True):
    """How the workload runs, before and after: batch, precision and execution; the platform's own where None."""

    batch: int = 1
    precision: Policy | None = None
    execution: Execution | None = None


def sweep(
    workload: Workload,
    platform: Platform,
    setting: Setting,
    *,
    knobs: Mapping[str, Sequence[str]] | None = None,
    changes: Mapping[str, str] = NOTHING,
) -> Sweep:
    """What a workload costs on a platform, and on every point of a grid of changes to it.

    Args:
        workload: the network, traced at any batch.
        platform: the platform as it is.
        setting: batch, precision and execution, the same for all.
        knobs: dotted key -> changes to try, as `set_values` understands them; at most two keys, each point takes one
            change of each. Without knobs there is one variant.
        changes: dotted key -> change that every variant has.

    Raises:
        UnknownNameError: the platform has no number of that key.
        SettingError: a change is malformed or breaks a rule of platforms; more than two knobs; a key in both.
        CapacityError: the work does not fit the main memory, before or after.
    """
    before = _estimate(workload, platform, setting)
    outcomes = []
    for altered, variant in variants(platform, knobs, changes):
        outcomes.append(_variant(altered, variant, _estimate(workload, variant, setting), before.latency_s))
    return Sweep(
        architecture=before.architecture,
        platform=platform.name,
        batch=before.batch,
        precision=before.precision,
        execution=before.execution,
        changes=dict(changes),
        knobs={key: tuple(choices) for key, choices in (knobs or {}).items()},
        baseline=_variant({}, platform, before, before.latency_s),
        variants=tuple(outcomes),
        unknown=before.unknown,
    )


def variants(
    platform: Platform, knobs: Mapping[str, Sequence[str]] | None = None, changes: Mapping[str, str] = NOTHING
) -> list[tuple[dict[str, str], Platform]]:
    """Every point of a grid of changes with the platform that it makes; the last knob moves fastest.

    Raises:
        UnknownNameError: the platform has no number of that key.
        SettingError: a change is malformed or breaks a rule of platforms; more than two knobs; a key in both.
    """
    tried = dict(knobs or {})
    _check(tried, changes)
    points = (dict(zip(tried, point, strict=True)) for point in itertools.product(*tried.values()))
    return [({**changes, **point}, set_values(platform, {**changes, **point})) for point in points]


def _check(knobs: Mapping[str, Sequence[str]], changes: Mapping[str, str]) -> None:
    if len(knobs) > 2:
        way_out = "Sweep two, and change the others for all variants."
        raise SettingError("at most two knobs can be swept at once", where="sweep", value=list(knobs), way_out=way_out)
    for key, choices in knobs.items():
        if key in changes:
            raise SettingError("a key is either swept or set", where="sweep", value=key, way_out="Drop one of the two.")
        if not choices or len(set(choices)) < len(choices):
            way_out = "For example 0.5x, 1x, 2x."
            raise SettingError("a knob needs changes that differ", where=key, value=list(choices), way_out=way_out)


def _estimate(workload: Workload, platform: Platform, setting: Setting) -> Estimate:
    return estimate(workload, platform, batch=setting.batch, precision=setting.precision, execution=setting.execution)


def _variant(changes: Mapping[str, str], platform: Platform, after: Estimate, before_s: float) -> Variant:
    known = numbers(platform)
    return Variant(
        changes=dict(changes),
        values={key: float(known[key]) for key in changes},
        latency_s=after.latency_s,
        throughput_per_s=after.throughput_per_s,
        speedup=before_s / after.latency_s if after.latency_s else 1.0,
        energy_j=after.energy_j,
        bound=after.bound,
        bound_s=after.bound_s,
    )
