"""The search for coefficients: depth, width and resolution together, for accuracy and latency together.

    limit:   accuracy                              where latency <= target (and memory suffices)
    reward:  accuracy * (latency / target)^weight  with weight < 0, as MnasNet (2018, arXiv 1807.11626)

With one weight, which the authors take as -0.07, the target only multiplies the reward: one network is the best for all
targets. With two, (below, above) as MnasNet's hard form, a family comes out that may pass its targets where it pays.

Source: latency-aware compound scaling of EfficientNet-X (2021, arXiv 2102.05610), where candidates are trained. Here a
law tells accuracy, so that all networks within reach can be compared.

Rounding makes many multipliers one network. So the axes hold each distinct depth, width and image once, by its smallest
multiplier, in hundredths and pixels. They are searched by branch and bound: a box of the grid holds nothing better than
the accuracy of its dearest corner at the latency of its cheapest, less a slack for padding, which can make a larger
network the faster one. What comes back is best within `TOLERANCE`, if padding saves no more than the slack.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from modelwright.errors import SettingError
from modelwright.hardware import estimate_many
from modelwright.records import Architecture, Execution, Platform, Policy
from modelwright.records.costs import Costs, Numbers
from modelwright.search.scale.base import Base
from modelwright.search.scale.law import Accuracy
from modelwright.search.scale.multiply import channels, repeats

Whole = npt.NDArray[np.int64]

Reward = tuple[float, float]

TOLERANCE = 5e-5
"""In accuracy: 0.005 points."""
SLACK = 0.05
"""Share of latency that a larger network may save by fitting a machine's tiles."""

FARTHEST = 4.0
"""How far above its target a reward may be sought."""

_MOST = {"depth": 64.0, "width": 16.0, "resolution": 8.0}
_PIECES = 8


@final
@dataclass(frozen=True)
class Machine:
    """Where latency counts: platform, samples a run, precision and execution; the platform's own where None."""

    platform: Platform
    batch: int = 1
    precision: Policy | None = None
    execution: Execution | None = None

    def costs(self, networks: Sequence[Architecture]) -> Costs:
        """The performance model's estimates."""
        return estimate_many(
            networks, self.platform, batch=self.batch, precision=self.precision, execution=self.execution
        )

    def latency(self, networks: Sequence[Architecture]) -> Numbers:
        """Seconds for a batch; infinite where memory does not suffice."""
        costs = self.costs(networks)
        return np.where(costs.peak_memory_bytes <= self.platform.main_memory.capacity, costs.latency_s, np.inf)


@final
@dataclass(frozen=True)
class Axis:
    """The distinct values of one coefficient: the smallest multipliers, and what they really come to."""

    asked: Numbers
    real: Numbers


@final
@dataclass(frozen=True)
class Scale:
    """What was found for a target: multipliers (resolution in pixels), predicted accuracy, estimated latency."""

    depth: float
    width: float
    pixels: int
    accuracy: float
    latency_s: float


def search(
    base: Base, accuracy: Accuracy, targets: Sequence[float], machine: Machine, *, reward: Reward | None = None
) -> tuple[Scale, ...]:
    """The best scale for each target; a larger target never has less accuracy.

    Args:
        base: what is scaled, upwards only.
        accuracy: of real coefficients; must not fall where one of them grows.
        targets: seconds for a batch, in any order.
        machine: whose estimates count.
        reward: exponents of (latency / target) below and above it, the latter below 0, of networks up to `FARTHEST`
            times the largest target; None makes targets limits, which are never passed.

    Raises:
        SettingError: a target is not above 0, or below the base's own latency where it is a limit; the reward does
            not fall; the base has blocks that are not MBConv; the base does not fit the machine's memory.
    """
    if not targets or min(targets) <= 0:
        raise SettingError("a target must be a latency above 0", where="targets", value=min(targets, default=None))
    if reward is not None and not (reward[1] < 0 and reward[0] <= 0):
        rule, way_out = "a reward must fall as latency grows", "The authors take an exponent of -0.07."
        raise SettingError(rule, where="reward", value=reward, way_out=way_out)
    start = float(machine.latency([base.network])[0])
    if not np.isfinite(start):
        rule, way_out = "the base must fit the platform's memory", "Choose a smaller batch."
        raise SettingError(rule, where=base.name, value=machine.batch, way_out=way_out)
    if reward is None and min(targets) < start * (1 - 1e-9):
        way_out = "Scaling only makes a base larger: raise the target, or begin with a smaller base."
        rule = f"a target must not be below the base's own latency of {start:.6g} s"
        raise SettingError(rule, where=base.name, value=min(targets), way_out=way_out)
    reach = max(targets) * (1 if reward is None else FARTHEST)
    tree = _Tree(base, machine, accuracy, axes(base, machine, reach))
    goals = [goal(target, reward) for target in targets]
    tree.grow(goals)
    return tuple(tree.best(wanted) for wanted in goals)


Goal = Callable[[Numbers, Numbers], Numbers]
"""From accuracies and latencies to what is to be as large as possible."""


def goal(target: float, reward: Reward | None) -> Goal:
    """What is to be as large as possible at a target; minus infinity for what may not be."""
    if reward is None:
        return lambda accuracy, latency: np.where(latency <= target, accuracy, -np.inf)
    below, above = reward

    def weighed(accuracy: Numbers, latency: Numbers) -> Numbers:
        over = latency / target
        return np.where(np.isfinite(over), accuracy * over ** np.where(over <= 1, below, above), -np.inf)

    return weighed


def axes(base: Base, machine: Machine, reach: float) -> tuple[Axis, Axis, Axis]:
    """Distinct depths, widths and resolutions, as far as each alone stays within a latency."""
    deep = _limit(lambda value: base.make(value, 1.0, base.side), machine, reach, "depth")
    wide = _limit(lambda value: base.make(1.0, value, base.side), machine, reach, "width")
    fine = _limit(lambda value: base.make(1.0, 1.0, round(base.side * value)), machine, reach, "resolution")
    depths = [(value, base.make(value, 1.0, base.side)) for value in _hundredths(deep)]
    widths = [(value, base.make(1.0, value, base.side)) for value in _hundredths(wide)]
    pixels = np.arange(base.side, round(base.side * fine) + 1, dtype=np.float64)
    first_deep = {repeats(found): (value, found) for value, found in reversed(depths)}
    first_wide = {channels(found): (value, found) for value, found in reversed(widths)}
    return (
        _axis([(value, base.real(found).depth) for value, found in first_deep.values()]),
        _axis([(value, base.real(found).width) for value, found in first_wide.values()]),
        Axis(pixels, pixels / base.side),
    )


def _axis(pairs: Sequence[tuple[float, float]]) -> Axis:
    asked, real = np.array(sorted(pairs)).T
    return Axis(asked, real)


def _hundredths(most: float) -> list[float]:
    return [hundredth / 100 for hundredth in range(100, round(100 * most) + 1)]


def _limit(make: Callable[[float], Architecture], machine: Machine, reach: float, name: str) -> float:
    """A multiplier that is too much, by doubling what exceeds 1 from a quarter on."""
    value = 1.25
    while value < _MOST[name] and machine.latency([make(value)])[0] * (1 - SLACK) <= reach:
        value = 1 + 2 * (value - 1)
    return min(value, _MOST[name])


@final
class _Tree:
    """Boxes of the grid that may hold a best network, and all networks that were estimated on the way.

    Args:
        base, machine, accuracy: as in `search`.
        axes: depth, width and resolution.
    """

    def __init__(self, base: Base, machine: Machine, accuracy: Accuracy, axes: tuple[Axis, Axis, Axis]) -> None:
        self.base, self.machine, self.accuracy, self.axes = base, machine, accuracy, axes
        self.last = np.array([len(axis.asked) - 1 for axis in axes])
        self.nodes = np.empty((0, 3), dtype=np.int64)
        self.latencies = np.empty(0)

    def grow(self, goals: Sequence[Goal]) -> None:
        """Split boxes until each that may hold something better than what is known is a single network."""
        stride = 2 ** np.ceil(np.log2(np.maximum(1, (self.last + 1) / _PIECES))).astype(np.int64)
        corners = [np.arange(0, last + 1, step) for last, step in zip(self.last, stride, strict=True)]
        boxes = np.stack(np.meshgrid(*corners, indexing="ij"), axis=-1).reshape(-1, 3)
        while True:
            latency = self._estimate(boxes)
            known, ceiling = self.told(self.nodes), self.told(np.minimum(boxes + stride - 1, self.last))
            alive = np.zeros(len(boxes), dtype=bool)
            for wanted in goals:
                best = wanted(known, self.latencies).max()
                alive |= wanted(ceiling, latency * (1 - SLACK)) > best + TOLERANCE
            boxes = boxes[alive]
            if not len(boxes) or (stride == 1).all():
                return
            half = np.maximum(1, stride // 2)
            steps = np.array(np.meshgrid(*([0, h] if h < s else [0] for h, s in zip(half, stride, strict=True))))
            boxes = (boxes[:, None] + steps.reshape(3, -1).T).reshape(-1, 3)
            boxes, stride = boxes[(boxes <= self.last).all(axis=1)], half

    def best(self, wanted: Goal) -> Scale:
        """The best of all estimated; of equally accurate ones the smallest, then the fastest."""
        accuracy = self.told(self.nodes)
        reached = wanted(accuracy, self.latencies)
        equal = np.flatnonzero(reached >= reached.max() - 1e-12)
        size = self.nodes[equal].sum(axis=1)
        first = equal[np.lexsort((self.latencies[equal], size))[0]]
        depth, width, pixels = self._asked(self.nodes[first])
        return Scale(depth, width, pixels, float(accuracy[first]), float(self.latencies[first]))

    def told(self, nodes: Whole) -> Numbers:
        """Accuracy of networks by their places on the axes."""
        real = (axis.real[places] for axis, places in zip(self.axes, nodes.T, strict=True))
        return np.asarray(self.accuracy(*real), dtype=np.float64)

    def _estimate(self, boxes: Whole) -> Numbers:
        """Latencies of the boxes' cheapest corners; each network is estimated once."""
        keys, known = (np.ravel_multi_index(tuple(nodes.T), tuple(self.last + 1)) for nodes in (boxes, self.nodes))
        new = boxes[~np.isin(keys, known)]
        if len(new):
            networks = [self.base.make(*self._asked(node)) for node in new]
            self.nodes = np.concatenate([self.nodes, new])
            self.latencies = np.concatenate([self.latencies, self.machine.latency(networks)])
            known = np.ravel_multi_index(tuple(self.nodes.T), tuple(self.last + 1))
        order = np.argsort(known)
        found: Numbers = self.latencies[order[np.searchsorted(known[order], keys)]]
        return found

    def _asked(self, node: Whole) -> tuple[float, float, int]:
        depth, width, resolution = (axis.asked[place] for axis, place in zip(self.axes, node, strict=True))
        return float(depth), float(width), int(resolution)
