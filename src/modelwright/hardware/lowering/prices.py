"""What parts of networks cost wherever they stand: columns over kernels, evaluated one structure at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from modelwright.hardware.arithmetic import instructions
from modelwright.hardware.lowering.draft import Draft, Step
from modelwright.hardware.lowering.structure import Launch, Setting, Structure
from modelwright.hardware.physics import passing, seconds
from modelwright.hardware.precision import matrix_precision
from modelwright.hardware.processor import FRESH, GRAIN, PAGE, plane, vector_costs
from modelwright.hardware.table import FROM_MAIN, Array, Index, Table

_PRODUCT = ("count", "m", "n", "channels", "taps", "width", "grouped")


@dataclass(frozen=True)
class Crossing:
    """Accesses whose data is shared with a neighbour: a row a tensor that may cross, a column a part.

    Attributes:
        bytes: that the part itself reads or writes; 0 where the tensor does not cross.
        reach: bytes touched between the access and the part's border.
        kernel: which of the part's kernels accesses it.
    """

    bytes: Array
    reach: Array
    kernel: Index


@dataclass(frozen=True)
class Traffic:
    """Bytes of parts, a row a kernel and a column a part; `fixed` has a layer a memory level beyond the nearest."""

    touched: Array
    fixed: Array
    weights: Array
    entry: Crossing
    exit: Crossing


@dataclass(frozen=True)
class Prices:
    """Parts, one after another.

    Attributes:
        kernels: how many kernels each part has.
        floor: seconds a kernel on everything but the farther memory levels.
        fixed: a row a memory level beyond the nearest, bytes a kernel that pass it whatever the neighbours are.
        weights: bytes a kernel that were last touched in the run before.
        host, extra: kernels' worth of the host's time and its seconds besides, a number a kernel.
        regions: starts on the device, a number a kernel.
        flops, vector_flops, touched, params, stored, peak: a number a part; `stored` are bytes of weights and buffers,
            `peak` bytes of activations alive at once.
        entry, exit: what crosses the part's borders.
    """

    kernels: Index
    floor: Array
    fixed: Array
    weights: Array
    host: Array
    extra: Array
    regions: Array
    flops: Array
    vector_flops: Array
    touched: Array
    params: Array
    stored: Array
    peak: Array
    entry: Crossing
    exit: Crossing


def price(draft: Draft, structure: Structure, count: int, setting: Setting) -> Prices:
    """Evaluate a structure for all `count` networks of a draft."""
    sizes = np.empty((len(draft.tensors), count))
    for position, slot in enumerate(draft.tensors):
        sizes[position] = slot.size
    kernels = len(structure.launches)
    moved = _traffic(structure, sizes, setting)
    table, macs = _table(draft, structure, sizes, moved.touched, setting)
    needs = seconds(table, setting.platform, matrix_precision(setting.precision))
    floor = np.maximum(np.maximum(needs.matrix, needs.vector), needs.memory[0])
    work = (table.instructions + table.special).reshape(kernels, count)
    weights = [p for p, t in enumerate(draft.tensors) if t.part == "own" and t.role == "weight"]
    buffers = [p for p, t in enumerate(draft.tensors) if t.part == "own" and t.role == "buffer"]
    widths = np.array(structure.widths, dtype=float)[:, None]
    return Prices(
        kernels=np.full(count, kernels),
        floor=_by_part(floor.reshape(kernels, count)),
        fixed=moved.fixed.swapaxes(1, 2).reshape(len(moved.fixed), -1),
        weights=_by_part(moved.weights),
        host=np.tile([launch.host for launch in structure.launches], count),
        extra=_by_part(table.extra.reshape(kernels, count) + _fresh(structure, sizes, setting)),
        regions=_by_part(table.regions.reshape(kernels, count)),
        flops=2.0 * macs,
        vector_flops=work.sum(axis=0),
        touched=moved.touched.sum(axis=0),
        params=sizes[weights].sum(axis=0),
        stored=(sizes * widths)[weights + buffers].sum(axis=0),
        peak=_peak(draft, structure, sizes * widths, setting.scale),
        entry=moved.entry,
        exit=moved.exit,
    )


def joined(prices: Sequence[Prices]) -> Prices:
    """Several as one, part after part."""
    plain: dict[str, Any] = {
        field.name: np.concatenate([getattr(p, field.name) for p in prices], axis=-1)
        for field in fields(Prices)
        if field.name not in ("entry", "exit")
    }
    entry, leaving = _together([p.entry for p in prices]), _together([p.exit for p in prices])
    return Prices(**plain, entry=entry, exit=leaving)


def _together(borders: Sequence[Crossing]) -> Crossing:
    return Crossing(
        np.concatenate([border.bytes for border in borders], axis=1),
        np.concatenate([border.reach for border in borders], axis=1),
        np.concatenate([border.kernel for border in borders], axis=1),
    )


def _by_part(columns: Array) -> Array:
    """From a row a kernel to part after part."""
    return columns.T.ravel()


def _traffic(structure: Structure, sizes: Array, setting: Setting) -> Traffic:
    """Where every access finds its data, as far as that does not depend on the neighbours."""
    count, kernels = sizes.shape[1], len(structure.launches)
    rows = structure.rows
    moved = np.array([row.share for row in rows])[:, None] * sizes[[row.root for row in rows]]
    owner = np.array([row.kernel for row in rows])
    touched = np.add.reduceat(moved, np.searchsorted(owner, np.arange(kernels)), axis=0)
    upto = np.cumsum(touched, axis=0)
    fixed = np.zeros((len(setting.platform.memory) - 1, kernels, count))
    weights = np.zeros((kernels, count))
    borders = {link: Crossing(np.zeros((2, count)), np.zeros((2, count)), np.zeros((2, count), dtype=np.int64))
               for link in ("entry", "exit")}  # fmt: skip
    near = [number for number, row in enumerate(rows) if row.link == "near"]
    first, last = (np.array([pick(rows[n].kernel, rows[n].other) for n in near], dtype=np.int64) for pick in (min, max))
    between = upto[last] - upto[first] - touched[last] + 0.5 * (touched[last] + touched[first])
    for number, passed in zip(near, passing(moved[near], between, setting.platform)[1:].swapaxes(0, 1), strict=True):
        fixed[:, rows[number].kernel] += passed
    for row, taken in zip(rows, moved, strict=True):
        k, other = row.kernel, row.other
        if row.link == "main":
            fixed[:, k] += taken
        elif row.link == "weight":
            weights[k] += taken
        elif row.link != "near":
            border = borders[row.link]
            border.bytes[other], border.kernel[other] = taken, k
            border.reach[other] = upto[k] if row.link == "entry" else upto[-1] - upto[k] + touched[k]
            border.reach[other] -= 0.5 * touched[k]
    return Traffic(touched, fixed, weights, borders["entry"], borders["exit"])


def _fresh(structure: Structure, sizes: Array, setting: Setting) -> Array:
    """Seconds until the pages of large fresh memory can be written, a row a kernel."""
    found = np.zeros((len(structure.launches), sizes.shape[1]))
    for row in structure.rows if setting.platform.launch.page else ():
        written = row.share * sizes[row.root]
        if row.fresh:
            found[row.kernel] += np.where(written > FRESH, written / PAGE, 0.0) * setting.platform.launch.page
    return found


def _table(draft: Draft, structure: Structure, sizes: Array, touched: Array, setting: Setting) -> tuple[Table, Array]:
    """The kernels of all parts as a table, a kernel's parts side by side; and multiply-accumulates a part.

    Its accesses only say how much each kernel touches in the nearest memory.
    """
    kernels, count = touched.shape
    scale, processor = setting.scale, setting.platform.kind == "cpu"
    simple, special, scattered, regions = np.zeros((4, kernels, count))
    macs = np.zeros(count)
    found = [np.empty((len(_PRODUCT) + 1, 0))]
    for k, launch in enumerate(structure.launches):
        scattered[k] = launch.scattered * sizes[launch.basis]
        simple[k] = launch.instructions * sizes[launch.basis]
        regions[k] = _regions(draft, launch, sizes, setting)
        widths = iter(launch.widths)
        for number in launch.steps:
            step, operator = draft.steps[number], structure.workload.operators[number]
            plain = vector_costs(operator, setting.execution) if processor else instructions(operator)
            costs = plain if step.costs is None else step.costs
            if np.any(costs):
                elements = _elements(draft, step, sizes, scale)
                simple[k] += costs[0] * elements
                special[k] += costs[1] * elements
            if processor:
                source = structure.workload.tensors[step.inputs[0]]
                shape = draft.tensors[step.inputs[0]].shape
                simple[k] += plane(operator, source, setting.execution) * shape[0] * shape[1] * scale
            if step.product:
                found.append(_product(step, k * count + np.arange(count), next(widths), scale))
                macs += found[-1][1:5].prod(axis=0) * found[-1][5]
    kernel, *products = np.concatenate(found, axis=1)
    named = dict(zip(_PRODUCT, products, strict=True))
    table = Table(
        starts=np.zeros(1, dtype=np.int64),
        macs=np.zeros(kernels * count),
        instructions=simple.ravel(),
        special=special.ravel(),
        scattered=scattered.ravel(),
        serial=np.repeat([launch.serial for launch in structure.launches], count),
        host=np.repeat([launch.host for launch in structure.launches], count),
        extra=np.repeat([launch.extra for launch in structure.launches], count),
        regions=regions.ravel(),
        kernel=kernel.astype(np.int64),
        **{name: column for name, column in named.items() if name != "grouped"},
        grouped=named["grouped"] > 0,
        share=np.ones(len(kernel)),
        access_kernel=np.arange(kernels * count),
        access_bytes=touched.ravel(),
        access_partner=np.full(kernels * count, FROM_MAIN),
        access_write=np.zeros(kernels * count, dtype=bool),
    )
    return table, macs


def _regions(draft: Draft, launch: Launch, sizes: Array, setting: Setting) -> Array | float:
    """Starts on the device that a kernel takes: a processor's short loops stay on one core."""
    if launch.regions is not None:
        return launch.regions
    if setting.platform.kind != "cpu" or setting.execution not in GRAIN:
        return 1.0
    found = [_elements(draft, draft.steps[number], sizes, setting.scale) for number in launch.steps]
    longest: Array = np.maximum.reduce(found)
    return np.where(longest >= GRAIN[setting.execution], 1.0, 0.0)


def _product(step: Step, kernel: Index, width: int, scale: float) -> Array:
    """A step's product as rows: its parts' kernels, then `_PRODUCT`."""
    convolution = step.kind == "convolution"
    made = np.empty((len(_PRODUCT) + 1, len(kernel)))
    made[0] = kernel
    made[1], made[2], made[3], depth = step.product
    made[2] *= scale
    made[5] = np.square(step.kernel) if convolution else 1.0
    made[4] = depth / made[5]
    made[6] = width
    made[7] = (made[1] > 1) & convolution
    return made


def _elements(draft: Draft, step: Step, sizes: Array, scale: float) -> Array:
    """Elements that vector work counts, for the whole batch: of the largest tensor, or of a pooling's output."""
    positions = (step.output,) if step.kind == "pool" else (*step.inputs, step.output)
    grown = [sizes[p] * (scale if draft.tensors[p].role in ("activation", "input") else 1.0) for p in positions]
    largest: Array = np.maximum.reduce(grown)
    return largest


def _peak(draft: Draft, structure: Structure, stored: Array, scale: float) -> Array:
    """The most bytes of activations alive at once while the part runs; freed after their last reader."""
    own = [number for number, step in enumerate(draft.steps) if step.part == "own"]
    arriving = draft.steps[own[0] - 1].output if own[0] else draft.steps[0].inputs[0]
    alive: Array = stored[structure.root[arriving]] * scale
    peak = alive
    for number in own:
        step = draft.steps[number]
        if step.kind != "view":
            alive = alive + stored[step.output] * scale
            peak = np.maximum(peak, alive)
        for root in {structure.root[p] for p in (*step.inputs, step.output)}:
            if structure.last[root] == number and draft.tensors[root].role not in ("weight", "buffer"):
                alive = alive - stored[root] * scale
    return peak
