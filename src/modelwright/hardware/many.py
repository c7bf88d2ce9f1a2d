"""The performance model for many architectures of one space at once, without a framework and without traces.

Equal parts (a stem, a block or a head at an image size) are priced once, however often they occur. What is left an
architecture depends on the whole of it: which data a memory level has kept since a neighbour or the run before touched
it, and how far the host runs ahead of the device.
"""

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np

from modelwright.hardware.lowering.book import price_all
from modelwright.hardware.lowering.lineup import line_up
from modelwright.hardware.lowering.prices import Prices
from modelwright.hardware.lowering.structure import Setting
from modelwright.hardware.model import check, energy, peak_rate
from modelwright.hardware.physics import passing
from modelwright.hardware.table import Array, Index
from modelwright.records import Architecture, Execution, Platform, Policy
from modelwright.records.costs import Costs

READ_AT_ONCE = 20_000
"""Architectures taken apart in one go."""
COSTED_AT_ONCE = 128
"""Architectures whose kernels are put one after another in one go: their columns fit a second-level cache."""


def estimate_many(
    architectures: Sequence[Architecture],
    platform: Platform,
    *,
    batch: int = 1,
    precision: Policy | None = None,
    execution: Execution | None = None,
) -> Costs:
    """What architectures of convolutional stems, MBConv blocks and pooling heads cost on a platform.

    The numbers are those of `estimate` on each architecture's workload, with `strict` off, traced in row-major order
    (another order changes eager mode on GPUs alone).

    Args:
        architectures: any number of them, in any order.
        platform: the accelerator.
        batch: samples a run.
        precision: precision or autocast policy; the platform's default if None.
        execution: eager, compiled, graph or engine; the platform's default if None.

    Raises:
        SettingError: a batch below one, a precision in which the platform cannot compute, or an architecture of another
            space.
        RecordError: numbers of an architecture contradict one another.
        ShapeError: an architecture cannot take its image.
    """
    setting = Setting(platform, batch, precision or platform.precision, execution or platform.execution)
    check(platform, batch, setting.precision)
    rows = [
        _estimate(architectures[begin : begin + READ_AT_ONCE], setting)
        for begin in range(0, len(architectures), READ_AT_ONCE)
    ]
    latency, params, flops, vector, moved, peak = np.concatenate([np.empty((6, 0)), *rows], axis=1)
    joules = energy(flops, vector, moved, latency, platform, setting.precision)
    ceiling = np.minimum(peak_rate(platform, setting.precision), flops / moved * platform.main_memory.bandwidth)
    return Costs(
        platform=platform.name,
        batch=batch,
        precision=setting.precision,
        execution=setting.execution,
        latency_s=latency,
        throughput_per_s=batch / latency,
        params=params,
        flops=flops,
        vector_flops=vector,
        bytes=moved,
        intensity=flops / moved,
        efficiency=flops / latency / ceiling,
        peak_memory_bytes=peak,
        energy_j=np.full_like(latency, np.nan if joules is None else joules),
    )


def _estimate(architectures: Sequence[Architecture], setting: Setting) -> Array:
    """Latency, parameters, FLOPs, vector FLOPs, bytes and peak memory, a row each."""
    lineup = line_up(architectures, joins=setting.execution != "eager")
    prices, where = price_all(lineup.kinds, lineup.places, setting)
    place, starts = where[lineup.place], lineup.starts
    sums = [
        np.add.reduceat(column[place], starts)
        for column in (prices.params, prices.flops, prices.vector_flops, prices.touched, prices.stored)
    ]
    params, flops, vector, touched, stored = sums
    peak = stored + np.maximum.reduceat(prices.peak[place], starts)
    latency, moved = np.empty((2, len(architectures)))
    runs = _Runs(prices, setting)
    edges = np.append(starts, len(place))
    for begin in range(0, len(architectures), COSTED_AT_ONCE):
        some = slice(begin, min(begin + COSTED_AT_ONCE, len(architectures)))
        inside = slice(edges[some.start], edges[some.stop])
        latency[some], moved[some] = runs.costs(place[inside], starts[some] - edges[some.start], touched[some])
    return np.stack([latency, params, flops, vector, moved, peak])


@final
class _Runs:
    """Puts priced parts one after another.

    Args:
        prices: of all parts.
        setting: how they run.
    """

    def __init__(self, prices: Prices, setting: Setting) -> None:
        self.prices = prices
        self.setting = setting
        self.first = np.cumsum(prices.kernels) - prices.kernels
        self.host = prices.host * self._pace() + prices.extra
        self.device = prices.regions * setting.platform.launch.kernel
        self.crossing = [tensor for tensor in (0, 1) if prices.entry.bytes[tensor].any()]

    def costs(self, place: Index, starts: Index, run: Array) -> tuple[Array, Array]:
        """Seconds and main-memory bytes of networks whose parts are `place`; `run` is what each touches in all."""
        platform, prices = self.setting.platform, self.prices
        kernels = prices.kernels[place]
        upto = np.cumsum(kernels) - kernels
        kernel = np.arange(int(kernels.sum())) + np.repeat(self.first[place] - upto, kernels)
        begins = upto[starts]
        each = np.diff(begins, append=len(kernel))
        kept = passing(np.ones(len(starts)), run, platform)[1:]
        borders = list(self._borders(place, upto))
        work, moved = prices.floor[kernel], run
        weights = prices.weights[kernel]
        for number, level in enumerate(platform.memory[1:]):
            passed = np.repeat(kept[number], each)
            passed *= weights
            passed += prices.fixed[number][kernel]
            for position, shares in borders:
                passed[position] += shares[number]
            moved = np.add.reduceat(passed, begins)
            passed /= level.bandwidth * level.achievable
            np.maximum(work, passed, out=work)
        work += self.device[kernel]
        return self._latency(work, self.host[kernel], begins), moved

    def _borders(self, place: Index, upto: Index) -> Iterator[tuple[Index, Array]]:
        """Kernels that share data with a neighbouring part, and the bytes that pass each farther level there."""
        entry, leave = self.prices.entry, self.prices.exit
        before, after = place[:-1], place[1:]
        for tensor in self.crossing:
            reach = leave.reach[tensor][before] + entry.reach[tensor][after]
            passed = passing(np.ones(len(before)), reach, self.setting.platform)[1:]
            yield upto[:-1] + leave.kernel[tensor][before], passed * leave.bytes[tensor][before]
            yield upto[1:] + entry.kernel[tensor][after], passed * entry.bytes[tensor][after]

    def _pace(self) -> float:
        """The host's seconds a kernel."""
        launch = self.setting.platform.launch
        return {"eager": launch.eager, "compiled": launch.compiled}.get(self.setting.execution, launch.graph)

    def _latency(self, device: Array, host: Array, begins: Index) -> Array:
        """When the last kernel ends: each starts when the host has handed it out and the one before it has ended.

        With all that the host takes up to kernel i and all that the device takes from it on, the end is the largest
        sum of the two; on a CPU, where both are the same, it is the sum over all kernels.
        """
        launch, execution = self.setting.platform.launch, self.setting.execution
        program = launch.program if execution in ("graph", "engine") else 0.0
        if self.setting.platform.kind == "cpu":
            return program + np.add.reduceat(device + host, begins)
        total = np.add.reduceat(device, begins)
        ahead = np.cumsum(host) - np.cumsum(device) + device
        start = ahead[begins] - host[begins]
        return program + total + np.maximum.reduceat(ahead, begins) - start
