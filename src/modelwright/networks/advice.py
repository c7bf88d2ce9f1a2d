"""Why a network takes the time it takes on a platform, and which single changes would help: every one is estimated.

A change to the architecture is built, traced and costed like any network. There are more of them than one wants to wait
for, so those that could relieve most come first, and only so many are tried. How accurate a changed network would be
after training is not predicted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import get_args

from modelwright.errors import CapacityError, SettingError
from modelwright.hardware.bottlenecks import bottlenecks
from modelwright.hardware.many import estimate_many
from modelwright.hardware.model import estimate
from modelwright.networks.assemble import Pieces
from modelwright.networks.edits import Edit, edits
from modelwright.networks.edits.relief import ceiling
from modelwright.records import Estimate, Execution, Platform, Workload
from modelwright.records.advice import Advice, Change, Explanation, Outcome
from modelwright.records.architecture import Architecture, ConvStem, MBConv, PoolHead
from modelwright.records.platform import Policy

LEAST = 0.005
"""Advice that saves a smaller share of the time is not given."""

TRIES = 16
LARGEST_BATCH = 4096
NEARLY = 0.95
"""Of the batches that share this part of the best throughput, the smallest is advised."""

Progress = Callable[[int, int, str], None]


def explain(
    architecture: Architecture | None,
    workload: Workload,
    platform: Platform,
    now: Estimate,
    *,
    reordered: Workload | None = None,
    tries: int = TRIES,
    progress: Progress | None = None,
) -> Explanation:
    """Where the time of a run goes, and what would change that.

    Args:
        architecture: the network as a record; None for one that has none, whose structure no edit can change then.
        workload: the network, traced; edits are traced in the same memory order.
        platform: the accelerator.
        now: the estimate of this workload on this platform, in the setting that is asked about.
        reordered: the same network traced in N,H,W,C memory order, if that is to be considered.
        tries: how many edits are estimated at most.
        progress: told how many edits are done, how many there are, and what is tried next.
    """
    offered = edits(architecture, platform) if architecture else ()
    chosen = _likeliest(offered, now, platform)[:tries]
    found: tuple[Advice, ...] = ()
    if architecture and chosen:
        pieces = Pieces(channels_last=any(t.role == "input" and t.channels_last for t in workload.tensors))
        pieces.learn(architecture, workload)
        found = _worth(_tried(chosen, pieces, platform, now, progress))
    return Explanation(
        architecture=workload.name,
        platform=platform.name,
        now=outcome(now),
        bound=now.bound,
        bottlenecks=bottlenecks(workload, platform, now),
        advice=(*found, *settings(workload, platform, now, reordered)),
        editable=architecture is not None,
        considered=len(offered),
        tried=len(chosen),
        unknown=now.unknown,
    )


def settings(
    workload: Workload, platform: Platform, now: Estimate, reordered: Workload | None = None
) -> tuple[Advice, ...]:
    """Changes to how a network is run that save time, in order of predicted gain.

    Args:
        workload: the network, traced.
        platform: the accelerator.
        now: the estimate of the one on the other.
        reordered: the network traced in N,H,W,C memory order, if that is to be considered.
    """
    return _worth(_settings(workload, platform, now, reordered))


def outcome(found: Estimate) -> Outcome:
    """What advice compares of an estimate."""
    macs = found.flops / 2.0 / found.batch
    setting = (found.batch, found.precision, found.execution)
    return Outcome(*setting, found.latency_s, found.bound_s, found.params, macs)


def _likeliest(offered: Sequence[Edit], now: Estimate, platform: Platform) -> list[Edit]:
    """The edits that could save enough to be told, those that could save most first."""
    least = LEAST * now.latency_s
    hopes = zip(offered, _hopes(offered, now, platform), strict=True)
    hopeful = sorted(((hope, number) for number, (_, hope) in enumerate(hopes) if hope >= least), reverse=True)
    return [offered[number] for _, number in hopeful]


def _hopes(offered: Sequence[Edit], now: Estimate, platform: Platform) -> list[float]:
    """Seconds that each edit could save: as the model says of convolutional networks without a trace, or at most."""
    outcomes = [offer.architecture for offer in offered]
    if outcomes and all(_without_trace(outcome) for outcome in outcomes):
        setting = {"batch": now.batch, "precision": now.precision, "execution": now.execution}
        with suppress(SettingError):  # one of them is too small to be costed without its trace
            found = estimate_many(outcomes, platform, **setting)  # type: ignore[arg-type]  # as an Estimate has them
            return [now.latency_s - float(latency) for latency in found.latency_s]
    return [ceiling(offer.relief, offer.stages, offer.architecture, now, platform) for offer in offered]


def _without_trace(architecture: Architecture) -> bool:
    """Whether the model needs no trace to cost an architecture."""
    inverted = all(isinstance(stage.block, MBConv) for stage in architecture.stages)
    return inverted and isinstance(architecture.stem, ConvStem) and isinstance(architecture.head, PoolHead)


def _tried(
    chosen: Sequence[Edit], pieces: Pieces, platform: Platform, now: Estimate, progress: Progress | None
) -> Iterator[tuple[str, Advice]]:
    setting = {"batch": now.batch, "precision": now.precision, "execution": now.execution}
    for number, offer in enumerate(chosen):
        if progress:
            progress(number, len(chosen), f"{offer.word}, {offer.place}")
        try:
            then = estimate(pieces.assemble(offer.architecture), platform, **setting)  # type: ignore[arg-type]  # from an Estimate
        except CapacityError:
            continue
        advice = Advice(
            "architecture", offer.word, offer.place, offer.changes, outcome(now), outcome(then), offer.architecture
        )
        yield offer.rivals, advice


def _worth(tried: Iterator[tuple[str, Advice]]) -> tuple[Advice, ...]:
    """The best of each set of rivals, if it saves enough to be told; in order of gain."""
    best: dict[str, Advice] = {}
    for rivals, advice in tried:
        if advice.gain >= LEAST and (rivals not in best or advice.gain > best[rivals].gain):
            best[rivals] = advice
    return tuple(sorted(best.values(), key=lambda advice: -advice.gain))


def _settings(
    workload: Workload, platform: Platform, now: Estimate, reordered: Workload | None
) -> Iterator[tuple[str, Advice]]:
    """Each other precision, way of running and memory order, and a larger batch; one at a time."""
    for precision in get_args(Policy):
        if precision in platform.matrix.peak and precision != now.precision:
            yield from _set(workload, platform, now, "precision", precision)
    for execution in get_args(Execution):
        if execution != now.execution:
            yield from _set(workload, platform, now, "execution", execution)
    if reordered:
        yield from _set(reordered, platform, now, "channels-last", True)
    larger: list[tuple[str, Advice]] = []
    batch = 2 * now.batch
    while batch <= LARGEST_BATCH and (found := list(_set(workload, platform, now, "batch", batch))):
        larger += found
        batch *= 2
    if larger:
        best = min(advice.after.sample_s for _, advice in larger)
        yield next(entry for entry in larger if best >= NEARLY * entry[1].after.sample_s)


def _set(
    workload: Workload, platform: Platform, now: Estimate, key: str, value: object
) -> Iterator[tuple[str, Advice]]:
    """What changing one setting gives, if the platform can do it; one that estimates do not know is the workload's."""
    setting: dict[str, object] = {"batch": now.batch, "precision": now.precision, "execution": now.execution}
    change = Change(key, _written(setting.get(key, False)), _written(value))
    setting |= {key: value} if key in setting else {}
    try:
        then = estimate(workload, platform, **setting)  # type: ignore[arg-type]  # as an Estimate has them
    except CapacityError:
        return
    yield f"{key} {value}", Advice("setting", key, "setting", (change,), outcome(now), outcome(then))


def _written(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
