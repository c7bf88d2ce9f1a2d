"""Targets as the machine at hand keeps them: the model proposes, a measurement decides.

The model is corrected by what was measured so far, at first the base alone: between two networks by the straight line
of logarithms, beyond them by the nearest one's factor. The winner under it is measured; where it is too slow, or leaves
more than a tenth of the target, it corrects the model for the next. What counts in the end is what was measured: the
most accurate network within each target, so that no limit is passed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from modelwright.errors import MeasurementError, SettingError
from modelwright.records import Architecture, Measurement
from modelwright.records.measurement import Device
from modelwright.search.scale.base import Base
from modelwright.search.scale.lacs import Machine, Reward, Scale, goal, search
from modelwright.search.scale.law import Accuracy

Measure = Callable[[Sequence[Architecture]], Sequence[Measurement]]
"""Times networks on the machine at hand, in one run and in their order."""

ROUNDS = 6
_NEAR = 0.9
_Key = tuple[float, float, int]


@final
@dataclass
class Timed:
    """Networks of a base that were measured, each once.

    Attributes:
        base: whose networks they are.
        measure: does it.
        known: multipliers -> measurement.
    """

    base: Base
    measure: Measure
    known: dict[_Key, Measurement] = field(default_factory=dict)

    def take(self, scales: Sequence[_Key]) -> None:
        """Measure those that are not known yet."""
        new = [key for key in dict.fromkeys(scales) if key not in self.known]
        if new:
            taken = self.measure([self.base.make(*key) for key in new])
            self.known |= dict(zip(new, taken, strict=True))

    def seconds(self, depth: float, width: float, pixels: int) -> float:
        """A network's median, measured now if it was not before."""
        self.take([(depth, width, pixels)])
        return self.known[depth, width, pixels].median_s

    @property
    def device(self) -> Device | None:
        """What was measured on."""
        return next((taken.device for taken in self.known.values()), None)


def settle(
    base: Base, accuracy: Accuracy, targets: Sequence[float], machine: Machine, reward: Reward | None, timed: Timed
) -> Iterator[tuple[Scale, float]]:
    """For each target the best network of those measured, and its seconds.

    Raises:
        SettingError: a limit is below what the base takes as measured; and see `lacs.search`.
        MeasurementError: no network was within a target when measured.
    """
    start = float(machine.latency([base.network])[0])
    took = timed.seconds(1.0, 1.0, base.side)
    if reward is None and min(targets) < took:
        rule = f"a target must not be below the base's own latency, measured as {took:.6g} s"
        way_out = "Scaling only makes a base larger: raise the target, or begin with a smaller base."
        raise SettingError(rule, where=base.name, value=min(targets), way_out=way_out)
    known = {(1.0, 1.0, base.side): _itself(base, accuracy, start)}
    open_targets = list(targets)
    for _ in range(ROUNDS):
        corrected = [max(_corrected(target, known, timed), start) for target in open_targets]
        found = {_key(one): one for one in search(base, accuracy, corrected, machine, reward=reward)}
        if found.keys() <= known.keys():
            break
        timed.take(list(found))
        known = found | known
        open_targets = [
            target for target in targets if not _NEAR * target <= _best(known, target, reward, timed)[1] <= target
        ]
        if not open_targets:
            break
    for target in targets:
        yield _best(known, target, reward, timed)


def _corrected(target: float, known: Mapping[_Key, Scale], timed: Timed) -> float:
    """What the model would say of a network that takes the target when measured."""
    pairs = sorted((timed.seconds(*key), one.latency_s) for key, one in known.items())
    measured, estimated = np.log(pairs).T
    wanted = np.log(target)
    nearest = estimated[-1] + wanted - measured[-1] if wanted > measured[-1] else np.interp(wanted, measured, estimated)
    return float(np.exp(nearest))


def _best(known: Mapping[_Key, Scale], target: float, reward: Reward | None, timed: Timed) -> tuple[Scale, float]:
    keys = list(known)
    seconds = np.array([timed.seconds(*key) for key in keys])
    reached = goal(target, reward)(np.array([known[key].accuracy for key in keys]), seconds)
    place = int(np.argmax(reached))
    if not np.isfinite(reached[place]):
        rule, way_out = "a network must stay within its target when measured", "Repeat when the machine is quiet."
        raise MeasurementError(rule, where=f"target {target:.6g} s", value=float(seconds.min()), way_out=way_out)
    return known[keys[place]], float(seconds[place])


def _itself(base: Base, accuracy: Accuracy, latency_s: float) -> Scale:
    told = accuracy(np.ones(1), np.ones(1), np.ones(1))
    return Scale(1.0, 1.0, base.side, float(told[0]), latency_s)


def _key(one: Scale) -> _Key:
    return one.depth, one.width, one.pixels
