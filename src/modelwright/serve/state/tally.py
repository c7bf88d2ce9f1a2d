"""Counts on their way to the disk, and what this run of the server has counted since it began."""

import threading
from collections.abc import Collection, Mapping
from typing import NamedTuple, final

from modelwright.serve.state.spread import Buckets, add, bucket_of

Key = tuple[str, str, str, float]
"""Of a metric's minute: namespace, name, dimensions as JSON, the minute's beginning on the wall clock."""

NEAR_S = 180.0
"""How far from now, seconds, minutes are whose spread is added up; one that a client puts later is told by itself."""


@final
class Gathered:
    """Values.

    Args:
        count, total, least, most: number of values, their sum, the least and the greatest.
        spread: of those that are known one by one, which it becomes the owner of; none of events, whose value is 1.
    """

    __slots__ = ("count", "least", "most", "spread", "total")

    def __init__(self, count: float, total: float, least: float, most: float, spread: Buckets) -> None:
        self.count, self.total, self.least, self.most = count, total, least, most
        self.spread = spread

    @classmethod
    def event(cls) -> "Gathered":
        """Something happened."""
        return cls(1.0, 1.0, 1.0, 1.0, {})

    @classmethod
    def one(cls, value: float) -> "Gathered":
        """A single value, finite."""
        return cls(1.0, value, value, value, {bucket_of(value): 1})  # whole numbers are packed small

    def take(self, other: "Gathered") -> None:
        """Take another one's values, too."""
        self.count += other.count
        self.total += other.total
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        add(self.spread, other.spread)

    def copy(self) -> "Gathered":
        """The same values."""
        return Gathered(self.count, self.total, self.least, self.most, dict(self.spread))


@final
class Tally:
    """Counts that become durable together with what they count."""

    def __init__(self) -> None:
        self.gathered: dict[Key, Gathered] = {}

    def add(self, key: Key, values: Gathered) -> None:
        """Take values into a metric's minute, and become their owner."""
        if there := self.gathered.get(key):
            there.take(values)
        else:
            self.gathered[key] = values

    def merge(self, other: "Tally") -> None:
        """Take all that another one has gathered, which is over then."""
        for key, values in other.gathered.items():
            self.add(key, values)


class Total(NamedTuple):
    """All that this run of the server has counted of a metric.

    Attributes:
        namespace, name: of the metric.
        dimensions: as JSON.
        gathered: its values.
    """

    namespace: str
    name: str
    dimensions: str
    gathered: Gathered


@final
class Counted:
    """What this run of the server has counted, as far as it is on the disk. Threads may share one.

    Args:
        namespaces: whose totals are kept; clients may put any number of metrics into others.
    """

    def __init__(self, namespaces: Collection[str]) -> None:
        self._namespaces = namespaces
        self._lock = threading.Lock()
        self._minutes: dict[Key, Buckets] = {}
        self._totals: dict[tuple[str, str, str], Gathered] = {}

    def spread(self, key: Key, more: Mapping[int, float]) -> Buckets:
        """The spread of a metric's minute, with more values; for the thread that calls `keep` alone."""
        found = dict(self._minutes.get(key, {}))
        add(found, more)
        return found

    def keep(self, tally: Tally, at: float) -> None:
        """Take counts that are on the disk now; `at` is now, on the wall clock."""
        with self._lock:
            for key, values in tally.gathered.items():
                if values.spread and abs(key[3] - at) < NEAR_S:
                    add(self._minutes.setdefault(key, {}), values.spread)
                if there := self._totals.get(key[:3]):
                    there.take(values)
                elif key[0] in self._namespaces:
                    self._totals[key[:3]] = values.copy()
        if any(abs(key[3] - at) >= NEAR_S for key in self._minutes):
            self._minutes = {key: value for key, value in self._minutes.items() if abs(key[3] - at) < NEAR_S}

    def totals(self) -> list[Total]:
        """Of each metric, in the order of their names."""
        with self._lock:
            found = [Total(*key, values.copy()) for key, values in self._totals.items()]
        return sorted(found, key=lambda one: one[:3])
