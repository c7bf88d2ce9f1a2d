"""The state as an event loop uses it: nothing here blocks the loop."""

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar, final

from sqlalchemy import Connection

from modelwright.errors import BusyError
from modelwright.serve.state import State, Unit

P = ParamSpec("P")
T = TypeVar("T")

_PAUSE_S = 0.02


@final
class Ledger:
    """Changes and questions, awaited.

    Args:
        state: whose.
    """

    def __init__(self, state: State) -> None:
        self.state = state

    async def do(self, change: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a change made; it is on the disk then. Where too many wait already, this waits for a place.

        Raises:
            StoreError: it could not be made.
        """
        while True:
            try:
                made = self.state.offer(change, *args, **kwargs)
            except BusyError:
                await asyncio.sleep(_PAUSE_S)
            else:
                return await asyncio.wrap_future(made)

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer to one question.

        Raises:
            StoreError: the database cannot be read.
        """
        return await asyncio.to_thread(lambda: self.state.read(query, *args, **kwargs))
