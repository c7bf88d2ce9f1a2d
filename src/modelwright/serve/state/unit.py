"""What a change is given: a connection in a transaction, the moment, who is at it, and where counts are gathered."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar, final

from sqlalchemy import Connection

from modelwright.serve.state.tally import Tally
from modelwright.serve.state.timeline import Moment

T = TypeVar("T")


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
