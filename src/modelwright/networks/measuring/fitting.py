"""From micro-benchmarks' timings to a platform's numbers: pure functions that invert the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelwright.records import Launch, MemoryLevel, Precision, VectorUnits


@dataclass(frozen=True)
class Work:
    """One micro-benchmark at its best: how much it did (FLOP, values or bytes, whichever it is about), in how long.

    `extent` is the bytes that it goes over again and again, where that matters.
    """

    amount: float
    seconds: float
    extent: float = 0.0


@dataclass(frozen=True)
class Observed:
    """What the micro-benchmarks found on one machine; `Work` counts the unit named here.

    Attributes:
        products: FLOP of square matrix products, by precision; on fp32 see `on_vector_units`.
        on_vector_units: fp32 products run on the vector units alone, as on a CUDA device.
        additions: FLOP of multiply-adds element by element on data in a cache, fp32.
        special: results of exponentials and quotients on data in a cache.
        depthwise: multiply-adds of depthwise convolutions.
        streams: bytes read and written by copies and element-wise operators; `extent` says how much memory they cover.
        dispatch_s: seconds an operator, run one by one on next to no data.
        kernel_s: seconds to start and drain one kernel; on a CPU, one parallel region.
        ordered_s, blocked_s: seconds a small convolution of the CPU's library whose input lies as the library wants it
            (it reorders the weights), and otherwise (it reorders input and result as well).
        page_s: on a CPU, seconds a page of fresh memory.
        compiled: kernels in a compiled function -> seconds of host time a call; empty where nothing can be compiled.
        replayed: kernels in a captured graph -> seconds until the last has ended; empty on a CPU.
        issued: kernels in a captured graph -> seconds of host time a replay; empty on a CPU.
    """

    products: Mapping[Precision, Sequence[Work]]
    on_vector_units: bool
    additions: Sequence[Work]
    special: Sequence[Work]
    depthwise: Sequence[Work]
    streams: Sequence[Work]
    dispatch_s: float
    kernel_s: float
    ordered_s: float = 0.0
    blocked_s: float = 0.0
    page_s: float = 0.0
    compiled: Mapping[int, float] = field(default_factory=dict)
    replayed: Mapping[int, float] = field(default_factory=dict)
    issued: Mapping[int, float] = field(default_factory=dict)


def line(points: Mapping[int, float]) -> tuple[float, float]:
    """Slope and value at zero of the line through points, by least squares; neither is negative."""
    count = len(points)
    across, up = sum(points) / count, sum(points.values()) / count
    width = sum((x - across) ** 2 for x in points)
    slope = max(0.0, sum((x - across) * (y - up) for x, y in points.items()) / width) if width else 0.0
    return slope, max(0.0, up - slope * across)


def rate(works: Sequence[Work], overhead_s: float = 0.0) -> float:
    """The best amount a second, less the time to start it (but never more than half of all time)."""
    return max(work.amount / max(work.seconds - overhead_s, work.seconds / 2) for work in works)


def launch(seen: Observed) -> Launch:
    """Seconds spent on starting work.

    Compiled code and graphs are fitted as program + kernels x slope. A CPU replays no graphs: there a kernel costs what
    it costs in compiled code. Without a compiler, compiled code costs what eager does, which is an upper bound.
    """
    compiled, called = line(seen.compiled) if seen.compiled else (seen.dispatch_s, 0.0)
    compiled = min(compiled, seen.dispatch_s)
    if not seen.replayed:
        reorder = max(0.0, (seen.blocked_s - seen.ordered_s) / 2 - seen.kernel_s)
        library = max(0.0, seen.ordered_s - seen.dispatch_s - reorder - 2 * seen.kernel_s)
        return Launch(
            seen.dispatch_s,
            compiled,
            compiled,
            seen.kernel_s,
            called,
            library=library,
            reorder=reorder,
            page=seen.page_s,
        )
    kernel, program = line(seen.replayed)
    graph, _ = line(seen.issued)
    return Launch(seen.dispatch_s, compiled, graph, kernel, program)


def peaks(seen: Observed) -> dict[Precision, float]:
    """FLOP/s of the matrix units a precision: the best product; nothing for precisions that the vector units serve."""
    served = {"fp32"} if seen.on_vector_units else set()
    return {precision: rate(works) for precision, works in seen.products.items() if precision not in served}


def vector(seen: Observed, overhead_s: float) -> VectorUnits:
    """What the vector units do a second.

    fp32 products are chains of fused multiply-adds on registers: they show the units' rate where plain element-wise
    work shows that of the caches. The model takes one load a multiply-add of a depthwise convolution.
    """
    fused = [rate(works) for precision, works in seen.products.items() if precision == "fp32"]
    depthwise = rate(seen.depthwise, max(overhead_s, seen.ordered_s))
    peak = max(*fused, rate(seen.additions, overhead_s), 2 * depthwise)
    return VectorUnits(peak={"fp32": peak}, special=rate(seen.special, overhead_s), loads=depthwise, tap=1)


def levels(
    capacities: Sequence[tuple[str, float]], streams: Sequence[Work], overhead_s: float
) -> tuple[tuple[MemoryLevel, ...], tuple[str, ...]]:
    """Memory levels with the bandwidths that streams over growing extents show.

    A level keeps what it can hold and passes on the rest, fading out between one and two capacities; so a stream shows
    the bandwidth of the level that can just hold it, scaled by the share that the level before lets pass.

    Args:
        capacities: name and bytes of each level, near to far; the last is main memory.
        streams: bytes moved, over extents that fit each level.
        overhead_s: seconds to start a stream, left out of its time.

    Returns:
        The levels, and the names of those that are left out (no larger than the one before, or shown by no stream) or
        raised (a nearer level is at least as fast as a farther one).
    """
    kept: list[MemoryLevel] = []
    changed: list[str] = []
    below = 0.0
    for name, capacity in capacities:
        found = [
            min(1.0, stream.extent / below - 1.0 if below else 1.0) * rate([stream], overhead_s)
            for stream in streams
            if below < stream.extent <= capacity
        ]
        if not found and name == capacities[-1][0]:  # too little memory to leave the caches
            found = [min(rate([stream], overhead_s) for stream in streams)]
        if found:
            kept.append(MemoryLevel(name=name, capacity=float(capacity), bandwidth=max(found)))
            below = capacity
        else:
            changed.append(name)
    for place in range(len(kept) - 2, -1, -1):
        near, far = kept[place], kept[place + 1]
        if near.bandwidth < far.bandwidth:
            kept[place] = MemoryLevel(name=near.name, capacity=near.capacity, bandwidth=far.bandwidth)
            changed.append(near.name)
    return tuple(kept), tuple(changed)


def extents(capacities: Sequence[tuple[str, float]]) -> tuple[float, ...]:
    """Bytes over which streams should go: up to four a cache, and two of main memory, far beyond the last cache.

    Main memory is taken with at least 64 MiB, but never more than an eighth of it.
    """
    found: set[float] = set()
    below = 0.0
    for _, capacity in capacities[:-1]:
        found |= {share * capacity for share in (0.25, 0.5, 0.75, 1.0) if share * capacity > below}
        below = max(below, capacity)
    most = capacities[-1][1] / 8
    found |= {min(most, max(times * below, times * 16 * 2.0**20)) for times in (4, 8)}
    return tuple(sorted(found))
