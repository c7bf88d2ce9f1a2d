"""From micro-benchmarks on the machine at hand to a platform file's record of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from msgspec.structs import replace as replace_fields

from modelwright.clock import Clock, SystemClock
from modelwright.errors import MeasurementError, SettingError
from modelwright.hardware.catalogue import claims, parse_platform, platform, source_of
from modelwright.networks.measuring.ambience import ambience, device_of
from modelwright.networks.measuring.fitting import Observed, extents, launch, levels, peaks, rate, vector
from modelwright.networks.measuring.machine import Cache, caches, load_average, main_memory, name_of
from modelwright.networks.measuring.setting import Setting, check
from modelwright.networks.microbenchmarks import Bench, observe
from modelwright.records import MemoryLevel, Platform, Policy, convert, to_toml
from modelwright.records.platform import Name

TEMPLATES = {
    (7, 0): "v100-sxm",
    (7, 5): "t4",
    (8, 0): "a100",
    (8, 6): "rtx-3090",
    (8, 9): "l4",
    (9, 0): "h100",
    (12, 0): "rtx-5090",
}
"""CUDA compute capability -> the shipped platform whose tiles a card of that capability shares."""

_CACHE_A_CPU = 2.0**20
_MEASURED = ("matrix.units", "matrix.peak", "matrix.achievable")
_BUSY = 0.25


@dataclass(frozen=True)
class Machine:
    """What a machine says of itself.

    Attributes:
        title: the processor's or card's own name.
        units: CPU threads in use, or streaming multiprocessors.
        capacities: name and bytes of each memory level, near to far; the last is main memory.
        origin: how the capacities are known.
        template: the shipped platform that lends what cannot be measured.
        busy: how many programs ran while nothing was measured yet, on average over a minute.
    """

    title: str
    units: int
    capacities: tuple[tuple[str, float], ...]
    origin: str
    template: Platform
    busy: float = 0.0


def calibrate(
    name: str,
    device: str = "cpu",
    seconds: float = 60.0,
    report: Callable[[str], None] | None = None,
    *,
    clock: Clock | None = None,
) -> Platform:
    """The machine at hand as a platform: micro-benchmarks for what can be measured, each number with how it was got.

    Peaks are what this machine achieved, so every `achievable` is 1. What cannot be measured (how products are tiled)
    is taken from the nearest shipped platform.

    Args:
        name: what to call the platform.
        device: "cpu", "cuda" or "cuda:N".
        seconds: about how long to measure; from 20 on, compiled code is measured as well.
        report: is told what is measured.
        clock: times and dates; the machine's own if None.

    Raises:
        RecordError: the name is no name.
        SettingError: the time is not positive, or torch cannot reach the device.
        MeasurementError: the machine does not tell its memory, or times cannot be trusted.
    """
    convert(name, Name, where="--name")
    if not (math.isfinite(seconds) and seconds > 0):
        raise SettingError("the time must be positive", where="--seconds", value=seconds, way_out="Such as 60.")
    setting = Setting(device=device)
    check(setting)
    target, clock = device_of(setting), clock or SystemClock()
    machine = _cuda(target) if target.type == "cuda" else _cpu()
    busy, report = load_average(), report or _silent
    if busy > _BUSY * machine.units and target.type == "cpu":
        report(f"other programs keep this machine busy (load {busy:.1f}): its numbers will be too low")
    with ambience(setting), torch.random.fork_rng(devices=[target.index] if target.type == "cuda" else []):
        seen, dense = observe(Bench(target, clock, seconds), extents(machine.capacities), report)
    how = f"measured on {machine.title}, torch {torch.__version__}, {clock.now().date().isoformat()}"
    found = fit(name, replace(machine, busy=busy), seen, dense, how)
    return parse_platform(to_toml(found), where=name)


def fit(name: str, machine: Machine, seen: Observed, dense: dict[str, float], how: str) -> Platform:
    """A machine and what was observed on it as a platform.

    Args:
        name: of the platform.
        machine: what it says of itself.
        seen: the micro-benchmarks' timings.
        dense: FLOP/s of dense fp32 convolutions, by a word for their shape; for the notes alone.
        how: where, with what and when, for the sources.
    """
    template = machine.template
    start = launch(seen)
    overhead = start.kernel if seen.on_vector_units else start.eager + start.kernel
    memory, changed = levels(machine.capacities, seen.streams, overhead)
    matrix = replace_fields(template.matrix, units=machine.units, peak=peaks(seen), achievable=1.0)
    wanted: tuple[Policy, ...] = (template.precision, "fp16", "fp32")
    return Platform(
        name=name,
        title=machine.title,
        kind="gpu" if seen.on_vector_units else "cpu",
        precision=next(p for p in wanted if p in matrix.peak or p == "fp32"),
        execution="eager",
        matrix=matrix,
        vector=vector(seen, overhead),
        memory=memory,
        launch=start,
        sources=_sources(machine, seen, memory, how),
        notes=_notes(machine, seen, dense, changed, how),
    )


def _silent(_: str) -> None:
    pass


def _cpu() -> Machine:
    memory = main_memory()
    if memory is None:
        way_out = "Write the file by hand: modelwright platform show x86 shows one."
        raise MeasurementError("the system must tell how much memory there is", where="calibrate", way_out=way_out)
    threads = torch.get_num_threads()
    known = cache_capacities(caches(), threads)
    origin = f"read from the system, for {threads} threads" if known else "assumed: no caches are told; 1 MiB a thread"
    nearest = known or (("l2", _CACHE_A_CPU * threads),)
    return Machine(name_of(torch.device("cpu")), threads, (*nearest, ("dram", memory)), origin, platform("x86"))


def cache_capacities(found: Sequence[Cache], threads: int) -> tuple[tuple[str, float], ...]:
    """Name and bytes of the caches from the second level on that so many threads can fill, one thread a cache.

    The first level is left out: products are cut to stay in it, and nothing else does.
    """
    capacities = []
    for level in sorted({cache.level for cache in found if cache.level > 1}):
        sizes = sorted((cache.bytes for cache in found if cache.level == level), reverse=True)
        capacities.append((f"l{level}", float(sum(sizes[:threads]))))
    return tuple(capacities)


def _cuda(device: torch.device) -> Machine:
    properties = torch.cuda.get_device_properties(device)
    template = platform(nearest_template((properties.major, properties.minor)))
    capacities = ("l2", float(properties.L2_cache_size)), (template.main_memory.name, float(properties.total_memory))
    origin = "the CUDA driver's device properties"
    return Machine(name_of(device), properties.multi_processor_count, capacities, origin, template)


def nearest_template(capability: tuple[int, int]) -> str:
    """The shipped platform for a compute capability: the newest that is no newer, or the oldest of all."""
    return TEMPLATES[max((known for known in TEMPLATES if known <= capability), default=min(TEMPLATES))]


def _sources(machine: Machine, seen: Observed, memory: Sequence[MemoryLevel], how: str) -> dict[str, str]:
    template = machine.template
    units = "streaming multiprocessors, by the CUDA driver" if seen.on_vector_units else "threads that torch uses"
    special = "exp" if seen.on_vector_units else "sigmoid, two results each,"
    sources = {"matrix.units": f"{how}: {units}"}
    structure = (key for key in claims(template) if key.startswith("matrix.") and not key.startswith(_MEASURED))
    sources |= {key: f"as {template.name}: {source_of(template, key)}" for key in structure}
    sources |= {
        "matrix.peak": f"{how}: the best of square products with sides from 128 on",
        "vector.peak": f"{how}: the best of fp32 products, element-wise multiply-adds, and depthwise convolutions",
        "vector.special": f"{how}: {special} of values in a cache",
        "vector.loads": f"{how}: multiply-adds of depthwise 3x3 convolutions, one load each",
        "vector.tap": "by construction: all that a tap takes is in the measured loads",
    }
    for level in memory:
        sources[f"{level.name}.capacity"] = machine.origin if level is not memory[-1] else "read from the system"
        sources[f"{level.name}.bandwidth"] = f"{how}: copy and scaling of data that fits there, read plus written"
    return sources | _launch_sources(seen, how)


def _launch_sources(seen: Observed, how: str) -> dict[str, str]:
    compiled = f"{how}: a compiled chain of tiny linear layers and activations, seconds a kernel"
    program = f"{how}: the same, at no kernels"
    if not seen.compiled:
        compiled, program = "assumed: as eager; nothing was compiled", "assumed: none; nothing was compiled"
    kernel = f"{how}: tiny pooling on all threads, less the same on one"
    graph = "assumed: as compiled; a CPU has no captured graphs"
    if seen.replayed:
        kernel = f"{how}: a replayed graph of tiny kernels, seconds a kernel"
        graph, program = f"{how}: the same, host time a kernel", f"{how}: the same, at no kernels"
    library = {
        "launch.library": f"{how}: tiny convolutions in channels-last order, less an operator, a reorder, two regions",
        "launch.reorder": f"{how}: half of what the same take longer in row-major order, less a region",
        "launch.page": f"{how}: filling fresh memory, less filling it again, seconds a page of 4096 bytes",
    }
    return (library if not seen.on_vector_units else {}) | {
        "launch.eager": f"{how}: tiny convolutions, normalisations and activations, seconds an operator",
        "launch.compiled": compiled,
        "launch.graph": graph,
        "launch.kernel": kernel,
        "launch.program": program,
    }


def _notes(machine: Machine, seen: Observed, dense: dict[str, float], changed: Sequence[str], how: str) -> str:
    products = rate(seen.products["fp32"])
    shares = ", ".join(f"{flops / products:.0%} ({shape})" for shape, flops in dense.items())
    notes = [
        f"{how[0].upper()}{how[1:]}. Peaks are what was achieved, so every achievable is 1.",
        f"Dense 3x3 fp32 convolutions reach these shares of the best fp32 product: {shares}.",
    ]
    if not seen.on_vector_units and machine.busy > _BUSY * machine.units:
        notes.append(f"Other programs kept the machine busy (load {machine.busy:.1f}): its numbers are too low.")
    if changed:
        rule = "a level must be larger than the one before, and no slower than the one after"
        notes.append(f"Left out or raised among the memory levels: {', '.join(changed)}; {rule}.")
    return " ".join(notes)
