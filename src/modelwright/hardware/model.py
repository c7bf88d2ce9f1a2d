"""The performance model: Workload x Platform x batch x precision x execution -> Estimate."""

from dataclasses import dataclass

import numpy as np

from modelwright.errors import CapacityError, SettingError
from modelwright.hardware.kernels import Plan
from modelwright.hardware.memory import peak_bytes
from modelwright.hardware.physics import Seconds, seconds
from modelwright.hardware.plan import plan
from modelwright.hardware.precision import matrix_precision
from modelwright.hardware.table import Array, Table, tabulate
from modelwright.records import Estimate, Execution, KernelEstimate, Platform, Policy, Workload


@dataclass(frozen=True)
class Timeline:
    """When kernels end: `latency` is each one's share of the run, `launch` the part of it spent on starting work."""

    latency: Array
    launch: Array
    bound: Array


def estimate(
    workload: Workload,
    platform: Platform,
    *,
    batch: int | None = None,
    precision: Policy | None = None,
    execution: Execution | None = None,
    strict: bool = True,
) -> Estimate:
    """What a workload costs on a platform.

    Args:
        workload: the network, traced at any batch.
        platform: the accelerator.
        batch: samples a run; the traced one if None.
        precision: precision or autocast policy; the platform's default if None.
        execution: eager, compiled, graph or engine; the platform's default if None.
        strict: refuse work that exceeds the main memory; otherwise cost it as if it fitted.

    Raises:
        SettingError: a batch below one, or a precision in which the platform cannot compute.
        CapacityError: weights and activations exceed the platform's main memory.
    """
    batch = workload.batch if batch is None else batch
    precision, execution = precision or platform.precision, execution or platform.execution
    check(platform, batch, precision)
    steps = plan(workload, platform, batch, precision, execution)
    table = tabulate(steps)
    needs = seconds(table, platform, matrix_precision(precision))
    timeline = schedule(table, needs, platform, execution)
    peak_memory = peak_bytes(workload, batch, precision)
    if strict and peak_memory > platform.main_memory.capacity:
        raise CapacityError(
            f"weights and activations must fit the {platform.main_memory.capacity / 1e9:.3g} GB of {platform.title}",
            where=f"{workload.name}, batch {batch}, {precision}",
            value=f"{peak_memory / 1e9:.3g} GB",
            way_out="Choose a smaller batch or a narrower precision.",
        )
    return _record(workload, platform, (batch, precision, execution), steps, (table, needs, timeline), peak_memory)


def check(platform: Platform, batch: int, precision: Policy) -> None:
    """Refuse settings that mean nothing on the platform.

    Raises:
        SettingError: a batch below one, or a precision in which the platform cannot compute.
    """
    if batch < 1:
        raise SettingError("the batch must be at least 1", where="batch", value=batch)
    matrix = matrix_precision(precision)
    known = {*platform.matrix.peak, *platform.vector.peak}
    if matrix not in known:
        raise SettingError(
            f"the precision must be one in which {platform.title} computes",
            where="precision",
            value=precision,
            way_out=f"It has {', '.join(sorted(known))}.",
        )


def schedule(table: Table, needs: Seconds, platform: Platform, execution: Execution) -> Timeline:
    """Put kernels one after another: resources overlap within a kernel, the host runs ahead of the device.

    The host hands out kernels at its own pace; the device starts each when it has been handed out and the one before it
    has ended. On a CPU host and device are the same and nothing overlaps.
    """
    launch = platform.launch
    pace = {"eager": launch.eager, "compiled": launch.compiled, "graph": launch.graph, "engine": launch.graph}[
        execution
    ]
    needed = np.vstack([needs.matrix, needs.vector, needs.memory])
    work = needed.max(axis=0)
    bound = needed.argmax(axis=0)
    device = work + launch.kernel * table.regions
    host = table.host * pace + table.extra
    alone = platform.kind == "cpu" or not len(device)
    latency = device + host if alone else _overlap(device, host, table)
    if execution in ("graph", "engine") and len(latency):
        latency[table.starts] += launch.program
    starting = latency - work
    return Timeline(latency, starting, np.where(starting > work, -1, bound))


def _overlap(device: Array, host: Array, table: Table) -> Array:
    """Each kernel's share of the run when the host issues ahead: end[i] = max(end[i-1], issued[i]) + device[i]."""
    issued, done = _within(host, table), _within(device, table)
    slack = issued - (done - device)
    stalls = np.empty_like(slack)
    edges = [*table.starts.tolist(), len(slack)]
    if len(edges) == 2:
        stalls = np.maximum.accumulate(slack)
    else:
        span = slack.max() - slack.min()
        lifted = slack + span * table.networks  # networks apart, so that one pass serves all
        stalls = np.maximum.accumulate(lifted) - span * table.networks
    end = stalls + done
    latency = np.diff(end, prepend=0.0)
    latency[table.starts] = end[table.starts]
    return latency


def _within(values: Array, table: Table) -> Array:
    """Running totals that start anew with every network."""
    total = np.cumsum(values)
    before = (total - values)[table.starts]
    return total - before[table.networks]


def _record(
    workload: Workload,
    platform: Platform,
    setting: tuple[int, Policy, Execution],
    steps: Plan,
    outcome: tuple[Table, Seconds, Timeline],
    peak_memory: float,
) -> Estimate:
    table, needs, timeline = outcome
    batch, precision, execution = setting
    names = resource_names(platform)
    bounds = [names[number] for number in timeline.bound]
    kernels = tuple(
        KernelEstimate(
            name=kernel.name,
            layer=kernel.layer,
            kind=kernel.kind,
            operators=kernel.operators,
            latency_s=float(timeline.latency[i]),
            matrix_s=float(needs.matrix[i]),
            vector_s=float(needs.vector[i]),
            launch_s=float(timeline.launch[i]),
            memory_s={level.name: float(needs.memory[j, i]) for j, level in enumerate(platform.memory)},
            bound=bounds[i],
            flops=2.0 * float(table.macs[i]),
            vector_flops=float(table.instructions[i] + table.special[i]),
            bytes=float(needs.bytes[i]),
            precision=kernel.precision,
        )
        for i, kernel in enumerate(steps.kernels)
    )
    bound_s: dict[str, float] = {}
    for kernel in kernels:
        bound_s[kernel.bound] = bound_s.get(kernel.bound, 0.0) + kernel.latency_s
    latency = float(timeline.latency.sum())
    flops, moved = 2.0 * float(table.macs.sum()), float(needs.bytes.sum())
    vector = float(table.instructions.sum() + table.special.sum())
    return Estimate(
        architecture=workload.name,
        platform=platform.name,
        batch=batch,
        precision=precision,
        execution=execution,
        latency_s=latency,
        throughput_per_s=batch / latency if latency else 0.0,
        params=workload.parameters,
        flops=flops,
        vector_flops=vector,
        bytes=moved,
        intensity=flops / moved if moved else 0.0,
        efficiency=efficiency(_computed(flops, workload), moved, latency, platform, precision),
        peak_memory_bytes=peak_memory,
        energy_j=energy(flops, vector, moved, latency, platform, precision),
        bound=max(bound_s, key=lambda name: bound_s[name]) if bound_s else "launch",
        bound_s=dict(sorted(bound_s.items(), key=lambda item: -item[1])),
        kernels=kernels,
        unknown=workload.unknown,
    )


def _computed(flops: float, workload: Workload) -> float:
    """The FLOPs without the masked half of causal attention, which is not computed."""
    causal = sum(operator.macs for operator in workload.operators if operator.causal)
    return flops * (1.0 - 0.5 * causal / workload.macs) if causal else flops


def resource_names(platform: Platform) -> dict[int, str]:
    """Row of the resources' seconds -> the bound's name; -1 is the launch."""
    rows = ["matrix", "vector", *(level.name for level in platform.memory)]
    return {-1: "launch", **dict(enumerate(rows))}


def efficiency(flops: float, moved: float, latency: float, platform: Platform, precision: Policy) -> float:
    """E = C / C_ideal with C_ideal = min(C_max, I b) (Li et al., CVPR 2021, section 2)."""
    if not (flops and moved and latency):
        return 0.0
    ceiling = min(peak_rate(platform, precision), flops / moved * platform.main_memory.bandwidth)
    return flops / latency / ceiling


def peak_rate(platform: Platform, precision: Policy) -> float:
    """Published FLOP/s for matrix work at a precision, C_max."""
    matrix = matrix_precision(precision)
    return platform.matrix.peak.get(matrix) or platform.vector.peak.get(matrix, platform.vector.peak["fp32"])


def energy(
    flops: float, vector: float, moved: float, latency: float, platform: Platform, precision: Policy
) -> float | None:
    """Joules a batch: work and traffic times their costs, plus idle power; or board power times time if that is all."""
    known = platform.energy
    if known is None:
        return None
    matrix = known.matrix.get(matrix_precision(precision))
    if matrix is not None and known.byte:
        return flops * matrix + vector * known.vector + moved * known.byte + latency * known.idle
    return latency * known.limit if known.limit else None
