"""Loops that are to last as long as the service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from modelwright.serve.service.log import LOGGER

T = TypeVar("T")

_AGAIN_S = 1.0


async def lasting(what: str, act: Callable[[], Awaitable[T]]) -> T:
    """Do something to its end; where it breaks off, tell so and begin again after a second.

    Args:
        what: it is, for the log.
        act: does it.
    """
    while True:
        try:
            return await act()
        except Exception:  # noqa: BLE001  # the outermost driver of a loop: one fault must not end the whole service
            LOGGER.exception("a loop broke off", extra={"fields": {"loop": what}})
            await asyncio.sleep(_AGAIN_S)
