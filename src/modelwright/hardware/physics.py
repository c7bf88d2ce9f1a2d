"""Seconds that each resource of a platform needs for each kernel: matrix units, vector units and memory levels.

Everything here is arithmetic on the columns of a `Table` with a platform's published numbers. The model is a roofline
(Williams, Waterman and Patterson, CACM 2009) refined in the way of the EfficientNet-X authors (Li et al., CVPR 2021,
arXiv 2102.05610): work divided by what the shape lets the units reach, traffic by what the memory level gives.
"""

from dataclasses import dataclass

import numpy as np

from modelwright.hardware.table import FROM_LAST_RUN, FROM_MAIN, Array, Table
from modelwright.records import Platform, Precision

SPLIT_DEPTH = 256
"""A product with too few tiles is also cut along its inner dimension, into parts no shorter than this (split-K)."""


@dataclass(frozen=True)
class Seconds:
    """What each resource alone would need, a number a kernel; `memory` has a row a level, nearest first."""

    matrix: Array
    vector: Array
    memory: Array
    bytes: Array


def seconds(table: Table, platform: Platform, precision: Precision) -> Seconds:
    """Seconds on every resource for every kernel, at one precision of the matrix work."""
    kernels = len(table.macs)
    matrix, feed, direct, loads = products(table, platform, precision)
    instructions = table.instructions + np.bincount(table.kernel, direct, kernels)
    vector = np.maximum(instructions / platform.vector.issue, table.special / platform.vector.special)
    vector = np.maximum(vector, np.bincount(table.kernel, loads, kernels) / platform.vector.loads)
    memory, main = traffic(table, platform)
    fed = np.bincount(table.kernel, feed, kernels) + table.scattered
    nearest = platform.memory[0]
    memory[0] = np.maximum(memory[0], fed / (nearest.bandwidth * nearest.achievable))
    total = np.bincount(table.kernel, matrix, kernels)
    return Seconds(np.where(table.serial, total + vector, total), vector, memory, main)


def products(table: Table, platform: Platform, precision: Precision) -> tuple[Array, Array, Array, Array]:
    """For every product: matrix units' seconds and bytes fed to them, or instructions and loads of the vector units.

    A product runs on the tiles that suit it best. A grouped convolution runs on the vector units where that is faster:
    the loop over its taps, one load a tap and output position (an input value serves all outputs of its group).
    """
    units, rate = platform.matrix, _rate(platform, precision)
    depth = _depth(table, platform, precision)
    parts = np.maximum(1, depth // SPLIT_DEPTH)
    best, bytes_fed, least = np.full(len(table.m), np.inf), np.zeros(len(table.m)), np.full(len(table.m), np.inf)
    nearest = platform.memory[0].bandwidth * platform.memory[0].achievable
    for rows, columns in units.tiles:
        tiles = table.count * np.ceil(table.m / rows) * np.ceil(table.n / columns)
        split = np.minimum(np.maximum(np.floor(units.units / tiles), 1), parts)
        waves = np.ceil(tiles * split / units.units)
        steps = np.ceil(depth / split / units.depth) * units.depth + units.fill
        time = table.share * waves * units.units * (2.0 * rows * columns) * steps / rate
        fed = table.share * tiles * (rows + columns) * depth * table.width
        if platform.kind == "cpu":
            fed = np.zeros_like(fed)  # tiles are register blocks there, fed from the first-level cache
        longer = np.maximum(time, fed / nearest)
        better, least = longer < least, np.minimum(least, longer)
        best, bytes_fed = np.where(better, time, best), np.where(better, fed, bytes_fed)
    return _or_vector(table, platform, best, bytes_fed)


def _or_vector(table: Table, platform: Platform, best: Array, fed: Array) -> tuple[Array, Array, Array, Array]:
    nothing = np.zeros_like(best)
    if not table.grouped.any():
        return best, fed, nothing, nothing
    taps = table.count * table.m * table.channels * table.taps
    vectors = platform.vector
    issued = taps * (table.n - 1 + vectors.tap) + table.count * table.m * table.n * vectors.output
    alone = np.maximum(issued / platform.vector.issue, taps / platform.vector.loads)
    nearest = platform.memory[0].bandwidth * platform.memory[0].achievable
    vector = table.grouped & (alone < np.maximum(best, fed / nearest))
    return (
        np.where(vector, 0.0, best),
        np.where(vector, 0.0, fed),
        np.where(vector, issued, 0.0),
        np.where(vector, taps, 0.0),
    )


def _rate(platform: Platform, precision: Precision) -> float:
    """FLOP/s that large products reach; vector units multiply where the matrix units lack the precision."""
    peak = platform.matrix.peak.get(precision)
    if peak is None:
        peak = platform.vector.peak.get(precision, platform.vector.peak["fp32"])
    return peak * platform.matrix.achievable


def _depth(table: Table, platform: Platform, precision: Precision) -> Array:
    """The inner dimension with its channels padded tap by tap, as the units read them."""
    align = platform.matrix.channels if precision in platform.matrix.peak else 1
    channels = np.where(table.taps > 1, np.ceil(table.channels / align) * align, table.channels)
    return channels * table.taps


def traffic(table: Table, platform: Platform) -> tuple[Array, Array]:
    """Seconds a memory level and kernel, and bytes of main memory a kernel.

    An access finds its data in the nearest level that has kept it since the kernel that touched it before: the level's
    capacity against the bytes touched in between (least recently used, fading out between one and two capacities).
    """
    kernels = len(table.macs)
    touched = np.bincount(table.access_kernel, table.access_bytes, kernels)
    upto = np.cumsum(touched)
    run = np.add.reduceat(touched, table.starts) if kernels else touched
    network = table.networks[table.access_kernel]
    first = np.minimum(table.access_kernel, np.maximum(table.access_partner, 0))
    last = np.maximum(table.access_kernel, np.maximum(table.access_partner, 0))
    between = upto[last] - upto[first] - touched[last] + 0.5 * (touched[last] + touched[first])
    distance = np.where(
        table.access_partner == FROM_MAIN,
        np.inf,
        np.where(table.access_partner == FROM_LAST_RUN, run[network], between),
    )
    memory = np.zeros((len(platform.memory), kernels))
    passed = passing(table.access_bytes, distance, platform)
    for number, level in enumerate(platform.memory):
        memory[number] = np.bincount(table.access_kernel, passed[number], kernels) / (
            level.bandwidth * level.achievable
        )
    return memory, np.bincount(table.access_kernel, passed[-1], kernels).astype(float)


def passing(touched: Array, distance: Array, platform: Platform) -> Array:
    """Bytes of every access that pass each memory level, a row a level, by the bytes touched since its last use."""
    passed = np.empty((len(platform.memory), *touched.shape))
    beyond = touched
    for number, level in enumerate(platform.memory):
        passed[number] = beyond
        if level.keeps:
            kept = np.minimum(np.maximum(2.0 - distance / level.capacity, 0.0), 1.0)
            beyond = np.minimum(beyond, touched * (1.0 - kept))
    return passed
