"""What a change is given: a connection in a transaction, the moment, who is at it, and where counts are gathered."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar, final

from sqlalchemy import Connection

from modelwright.serve.state.timeline import Moment

T = TypeVar("T")

Key = tuple[str, str, str, float]
"""Of a metric's minute: namespace, name, dimensions as JSON, the minute's beginning on the wall clock."""

Gathered = tuple[float, float, float, float]
"""Number of values, their sum, the least and the greatest."""


@final
class Tally:
    """Counts that become durable together with what they count."""

    def __init__(self) -> None:
        self.gathered: dict[Key, Gathered] = {}

    def add(self, key: Key, values: Gathered) -> None:
        """Take values into a metric's minute."""
        count, total, least, most = values
        if there := self.gathered.get(key):
            values = (there[0] + count, there[1] + total, min(there[2], least), max(there[3], most))
        self.gathered[key] = values

    def merge(self, other: "Tally") -> None:
        """Take all that another one has gathered."""
        for key, values in other.gathered.items():
            self.add(key, values)


@final
@dataclass(frozen=True)
class Unit:
    """A unit of work: it happens as a whole, or not at all.

    Attributes:
        connection: in a transaction that somebody else commits.
        moment: at which it happens.
        server: number of the server's run.
        random: where waits are drawn from.
        tally: counts, written with the same commit.
        memo: what all units of one commit have read of entities; whoever changes one clears it.
    """

    connection: Connection
    moment: Moment
    server: int
    random: Random
    tally: Tally = field(default_factory=Tally)
    memo: dict[object, Any] = field(default_factory=dict)

    def beside(self) -> "Unit":
        """Another unit of the same commit, with counts of its own."""
        return replace(self, tally=Tally())

    @property
    def t(self) -> float:
        """Now, on the line of time."""
        return self.moment.t

    @property
    def at(self) -> float:
        """Now, on the wall clock."""
        return self.moment.at


Change = Callable[[Unit], T]
"""What the writer is handed; it may run twice, of which one run at most stays, so it changes the database alone."""
