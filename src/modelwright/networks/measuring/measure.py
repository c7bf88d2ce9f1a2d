"""Measure subjects: prepare each, take turns, and record what came out and how."""

import gc
from collections.abc import Callable, Sequence

import torch

from modelwright.clock import Clock, SystemClock
from modelwright.networks.measuring.ambience import device_of
from modelwright.networks.measuring.machine import describe
from modelwright.networks.measuring.prepare import Prepared, prepare
from modelwright.networks.measuring.rounds import Timing, interleave
from modelwright.networks.measuring.setting import Protocol, check
from modelwright.networks.measuring.subject import Subject
from modelwright.records import Measurement


def measure(
    subjects: Subject | Sequence[Subject],
    protocol: Protocol | None = None,
    *,
    clock: Clock | None = None,
    commit: str = "",
    report: Callable[[str], None] | None = None,
) -> tuple[Measurement, ...]:
    """How long modules really take on this machine, in inference.

    All subjects are held in memory together and take turns, one repetition each a round, so that drift of the machine
    meets all alike. What the process has set in torch (threads, fp32 precision, random numbers) is put back.

    Args:
        subjects: what to measure.
        protocol: how often and how long; the default protocol if None.
        clock: times work on a CPU, and dates the records; the machine's own if None. A CUDA device times itself.
        commit: the project's commit, for the record.
        report: is told what goes on.

    Raises:
        SettingError: a setting that means nothing, or a device that torch cannot reach.
        CapacityError: a subject does not fit the device's memory together with those before it.
        MeasurementError: a module cannot be compiled or run, or times cannot be trusted.
    """
    chosen = (subjects,) if isinstance(subjects, Subject) else tuple(subjects)
    protocol, clock = protocol or Protocol(), clock or SystemClock()
    for subject in chosen:
        check(subject.setting)
    ready: list[Prepared] = []
    try:
        for number, subject in enumerate(chosen, 1):
            if report:
                report(f"prepare {number} of {len(chosen)}: {subject.name}, {subject.setting}")
            ready.append(prepare(subject, protocol.seed, clock))
        timings = interleave([prepared.run for prepared in ready], protocol, report)
        taken_at = clock.now().isoformat(timespec="seconds")
        rows = zip(chosen, ready, timings, strict=True)
        return tuple(_record(subject, one, timing, protocol, (taken_at, commit)) for subject, one, timing in rows)
    finally:
        ready.clear()
        if any(subject.setting.kind == "cuda" for subject in chosen):
            gc.collect()
            torch.cuda.empty_cache()


def _record(
    subject: Subject, prepared: Prepared, timing: Timing, protocol: Protocol, stamp: tuple[str, str]
) -> Measurement:
    setting, (taken_at, commit) = subject.setting, stamp
    device = describe(device_of(setting), prepared.threads, commit)
    device.versions["fp32 products"] = "tf32" if setting.precision == "tf32" else "ieee"
    return Measurement(
        architecture=subject.name,
        batch=setting.batch,
        precision=setting.precision,
        execution=setting.execution,
        channels_last=setting.channels_last,
        seconds=timing.seconds,
        median_s=timing.median_s,
        spread=timing.spread,
        warmup=protocol.warmup,
        inner=timing.inner,
        taken_at=taken_at,
        device=device,
        peak_memory_bytes=prepared.peak_memory_bytes,
    )
