"""Why a resource decides how long a kernel lasts: one sentence, its numbers from the workload and the platform."""

import math
from collections.abc import Iterator

import msgspec
import numpy as np

from modelwright.hardware.arithmetic import instructions
from modelwright.hardware.kernels import Kernel, Multiplication, Plan, fresh_s
from modelwright.hardware.model import peak_rate
from modelwright.hardware.physics import products
from modelwright.hardware.precision import matrix_precision
from modelwright.hardware.run import MATRIX, VECTOR, Run
from modelwright.hardware.subjects import named, subject
from modelwright.hardware.table import tabulate
from modelwright.records import Platform

WORTH_TELLING = 0.9
"""A reason why a product does not reach the peak is told if it alone would leave less than this of it."""

_PREFIXES = ("", "k", "M", "G", "T", "P")


def why(run: Run, number: int, bound: str) -> str:
    """Why one kernel of a run takes as long as it does.

    Args:
        run: the run.
        number: the kernel's position.
        bound: the resource that decides.
    """
    tell = {"matrix": _matrix, "vector": _vector}.get(bound)
    reason = tell(run, number) if tell else _memory(run, number, bound)
    return f"{subject(run.kernels[number], run.operators, run.workload)} {reason}"


def why_launch(run: Run) -> str:
    """Why starting work takes the time it takes."""
    launch, work, execution = run.platform.launch, run.work, run.estimate.execution
    pace = {"eager": launch.eager, "compiled": launch.compiled}.get(execution, launch.graph)
    parts = []
    if pace > launch.kernel:
        parts.append(f"the host hands one out every {seconds(pace)}")
    if launch.kernel:
        parts.append(f"the device takes {seconds(launch.kernel)} to start and drain one")
    if execution in ("graph", "engine") and launch.program:
        parts.append(f"starting the program takes {seconds(launch.program)}")
    pages = [fresh_s(kernel.accesses, run.platform) for kernel in run.kernels]
    fresh, called = sum(pages), sum(kernel.extra - page for kernel, page in zip(run.kernels, pages, strict=True))
    if called:
        parts.append(f"library calls and changes of memory order take {seconds(called)} in all")
    if fresh:
        parts.append(f"pages of fresh memory take {seconds(fresh)} in all")
    mean = float(work.mean()) if len(work) else 0.0
    return f"{len(work)} kernels compute for {seconds(mean)} each on average; run {execution}, {', '.join(parts)}"


def _matrix(run: Run, number: int) -> str:
    kernel, found = run.kernels[number], run.estimate.kernels[number]
    rate, peak = found.flops / run.rows[MATRIX, number], peak_rate(run.platform, run.estimate.precision)
    reached = f"reaches {short(rate, 'FLOP/s')}, {percent(rate / peak)} of the peak"
    if not kernel.multiplications:
        return reached
    largest = max(kernel.multiplications, key=lambda m: m.count * m.m * m.n * m.channels * m.taps * m.share)
    losses = sorted(_losses(largest, run))[:2]
    if losses:
        return f"{reached}: {'; '.join(f'{text} ({percent(share)})' for share, text in losses)}"
    best = run.platform.matrix.achievable
    return f"{reached}; large products reach {percent(best)}, so only less arithmetic would help"


def _losses(found: Multiplication, run: Run) -> Iterator[tuple[float, str]]:
    """What keeps a product from the peak: the share that each reason alone would leave, and the reason."""
    units, (rows, columns) = run.platform.matrix, _tile(found, run)
    align = units.channels if found.taps > 1 else 1
    inner = found.channels * found.taps
    padded = math.ceil(found.channels / align) * align * found.taps
    deep = math.ceil(padded / units.depth) * units.depth
    what = f"{found.channels} input channels" + (f" x {found.taps} taps" if found.taps > 1 else "")
    side = "rows of the matrix units" if run.platform.kind == "tpu" else "places along the inner dimension"
    yield from _told(inner / deep, f"{what} fill {inner} of {deep} {side}")
    for size, tile, noun, lines in (
        (found.n, columns, "output channel", "columns"),
        (found.m, rows, "position", "lines"),
    ):
        whole = math.ceil(size / tile) * tile
        yield from _told(size / whole, f"{_count(size, noun)} for {whole} {lines}")
    tiles = found.count * math.ceil(found.m / rows) * math.ceil(found.n / columns)
    rounds = max(1, math.ceil(tiles / units.units))
    share = tiles / (rounds * units.units)
    yield from _told(
        share, f"{_count(tiles, f'tile of {rows}x{columns}')} for {units.units} units in {_count(rounds, 'round')}"
    )
    fill = f"filling the pipeline costs {units.fill} steps for every {deep}"
    yield from _told(deep / (deep + units.fill), fill)


def _count(number: float, noun: str) -> str:
    """A number of things: "1 tile of 32x32", "96 tiles of 32x32"."""
    word, _, rest = noun.partition(" of ")
    return f"{number:.0f} {word}{'' if number == 1 else 's'}{f' of {rest}' if rest else ''}"


def _told(share: float, text: str) -> Iterator[tuple[float, str]]:
    if share < WORTH_TELLING:
        yield share, text


def _tile(found: Multiplication, run: Run) -> tuple[int, int]:
    """The tile on which a product alone is done first."""
    alone = Kernel("", "", "product", (), run.estimate.precision, multiplications=(found,))
    table = tabulate(Plan((alone,), frozenset(), frozenset()))
    nearest = run.platform.memory[0].bandwidth * run.platform.memory[0].achievable

    def lasts(tile: tuple[int, int]) -> float:
        matrix, fed, *_ = products(table, _with(run.platform, tile), matrix_precision(run.estimate.precision))
        return float(np.maximum(matrix, fed / nearest)[0])

    return min(run.platform.matrix.tiles, key=lasts)


def _with(platform: Platform, tile: tuple[int, int]) -> Platform:
    """The platform with that tile alone."""
    return msgspec.structs.replace(platform, matrix=msgspec.structs.replace(platform.matrix, tiles=(tile,)))


def _vector(run: Run, number: int) -> str:
    found, vector = run.estimate.kernels[number], run.platform.vector
    special, simple, direct = run.table.special[number], run.table.instructions[number], run.direct[number]
    matrix_s = run.rows[MATRIX, number]
    beside = f"; the matrix units need {seconds(matrix_s)}" if matrix_s else ""
    if special / vector.special >= max(direct, simple / vector.issue):
        culprit = max(
            (run.operators[name] for name in run.kernels[number].operators),
            key=lambda operator: instructions(operator)[1],
        )
        took = f"{seconds(special / vector.special)} at {short(vector.special, '/s')}"
        return f"takes {short(special)} exponentials and the like, most in {named(culprit)}: {took}{beside}"
    if direct > simple / vector.issue:
        rate = found.flops / run.rows[VECTOR, number]
        share = percent(rate / peak_rate(run.platform, run.estimate.precision))
        return f"runs on the vector units at {short(rate, 'FLOP/s')}, {share} of the matrix units' peak"
    took = f"{seconds(simple / vector.issue)} at {short(vector.issue, '/s')}"
    return f"takes {short(simple)} vector instructions: {took}{beside}"


def _memory(run: Run, number: int, bound: str) -> str:
    found = run.estimate.kernels[number]
    level = next(level for level in run.platform.memory if level.name == bound)
    moved = found.memory_s[bound] * level.bandwidth * level.achievable
    intensity = (found.flops + found.vector_flops) / moved
    ridge = peak_rate(run.platform, run.estimate.precision) / level.bandwidth
    reads = [access for access in run.kernels[number].accesses if not access.write and access.root in run.weights]
    weights = sum(access.bytes for access in reads) / moved
    share = f", {percent(weights)} of them weights" if 0.5 < weights <= 1 else ""
    work = f"{intensity:.3g} FLOP a byte where the peak needs {ridge:.3g}"
    return f"moves {short(moved, 'B')} through {bound}{share}: {work}"


def short(value: float, unit: str = "") -> str:
    """Three digits and a prefix: "4.62 GFLOP/s"."""
    step = min(len(_PREFIXES) - 1, max(0, int(math.log10(value) // 3))) if value >= 1 else 0
    return f"{value / 1000**step:.3g} {_PREFIXES[step]}{unit}".rstrip()


def seconds(value: float) -> str:
    """A time of three digits: "1.53 µs"."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def percent(share: float) -> str:
    """A share of one: "19 %", "0.31 %"."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
