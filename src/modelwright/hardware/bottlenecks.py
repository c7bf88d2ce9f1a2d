"""Where the time of a run goes, and how much of it would be saved if one resource took no time in one place.

A kernel lasts as long as the busiest of its resources. Take that one away and the next decides, so what a bottleneck
costs is the distance to the next resource, not the time spent: that is how bottlenecks are ordered here.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from modelwright.hardware.model import resource_names
from modelwright.hardware.reasons import why, why_launch
from modelwright.hardware.run import Run, run_of
from modelwright.records import Estimate, KernelEstimate, Platform, Workload
from modelwright.records.advice import Bottleneck

ROUNDING = 1e-9
"""A saving below this share of the run is one of rounding."""


def bottlenecks(workload: Workload, platform: Platform, estimate: Estimate) -> tuple[Bottleneck, ...]:
    """What holds a run up, in order of what removing it would save; together they spend the whole latency.

    Args:
        workload: that was estimated.
        platform: for which it was.
        estimate: with its kernels.

    Raises:
        SettingError: the estimate is not one of this workload on this platform.
    """
    run = run_of(workload, platform, estimate)
    found = [*_starting(run), *_computing(run)]
    return tuple(sorted(found, key=lambda bottleneck: (-bottleneck.saving_s, -bottleneck.spent_s)))


def _starting(run: Run) -> Iterator[Bottleneck]:
    """What starting kernels takes beyond computing them, as one bottleneck of the whole run."""
    spent = run.estimate.latency_s - float(run.work.sum())
    if spent > 0:
        held_up = sum(kernel.bound == "launch" for kernel in run.estimate.kernels)
        yield Bottleneck("", "launch", held_up, spent, spent, why_launch(run))


def _computing(run: Run) -> Iterator[Bottleneck]:
    """What kernels compute, parted by place and by the resource that decides."""
    names, work = resource_names(run.platform), run.work
    groups: dict[tuple[str, int], list[int]] = {}
    for number, key in enumerate(zip(places(run.estimate.kernels), run.bound.tolist(), strict=True)):
        groups.setdefault(key, []).append(number)
    whole = run.lasting(work)
    for (place, row), members in groups.items():
        chosen = np.array(members, dtype=np.int64)
        spent = float(work[chosen].sum())
        if spent > 0:
            saved = whole - run.without(chosen, row)
            saving = min(spent, saved) if saved > ROUNDING * whole else 0.0
            leading = members[int(np.argmax(work[chosen]))]
            yield Bottleneck(place, names[row], len(members), spent, saving, why(run, leading, names[row]))


def places(kernels: Sequence[KernelEstimate]) -> list[str]:
    """The place of every kernel: its block and the part of it, one name for the same part of equal blocks in a row.

    A block is a module path up to its first number ("stages.8.1", "encoder.layers.3"), or two modules deep where it has
    none ("head.conv"). Blocks are equal if their kernels multiply as much.
    """
    found = [_parted(kernel.layer) for kernel in kernels]
    work: dict[str, list[tuple[str, float]]] = {}
    for kernel, (block, part) in zip(kernels, found, strict=True):
        work.setdefault(block, []).extend([(part, kernel.flops)] if kernel.flops else [])
    names = _ranges(work)
    return [".".join(filter(None, (names[block], part))) or "(whole)" for block, part in found]


def _parted(layer: str) -> tuple[str, str]:
    """Block and part of a module path."""
    words = layer.split(".")
    first = next((place for place, word in enumerate(words) if word.isdigit()), None)
    if first is None:
        return ".".join(words[:2]), ""
    last = next((place for place, word in enumerate(words) if place > first and not word.isdigit()), len(words))
    return ".".join(words[:last]), ".".join(words[last : last + 1])


def _ranges(work: Mapping[str, object]) -> dict[str, str]:
    """Block -> what it and its equal neighbours are called together: "stages.8.0-1"."""
    runs: list[list[str]] = []
    for block in work:
        before = runs[-1][-1] if runs else ""
        (parent, _, number), (same, _, previous) = block.rpartition("."), before.rpartition(".")
        follows = number.isdigit() and previous.isdigit() and int(number) == int(previous) + 1
        if parent == same and follows and work[block] == work[before]:
            runs[-1].append(block)
        else:
            runs.append([block])
    joined = {run[0]: run[0] if len(run) == 1 else f"{run[0]}-{run[-1].rpartition('.')[2]}" for run in runs}
    return {block: joined[run[0]] for run in runs for block in run}
