"""Who may change which objects: one at a time of each key, and of a bucket itself nobody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import final

_LANES = 64
"""Of each bucket; keys of one lane wait for one another."""


@final
class Turns:
    """Locks of buckets and their keys."""

    def __init__(self) -> None:
        self._lanes: dict[str, tuple[asyncio.Lock, ...]] = {}

    def of_key(self, bucket: str, key: str) -> asyncio.Lock:
        """The lock that a key is changed behind."""
        return self._of(bucket)[hash(key) % _LANES]

    @contextlib.asynccontextmanager
    async def of_bucket(self, bucket: str) -> AsyncIterator[None]:
        """All locks of a bucket."""
        async with contextlib.AsyncExitStack() as held:
            for lock in self._of(bucket):
                await held.enter_async_context(lock)
            yield

    def _of(self, bucket: str) -> tuple[asyncio.Lock, ...]:
        if bucket not in self._lanes:
            self._lanes[bucket] = tuple(asyncio.Lock() for _ in range(_LANES))
        return self._lanes[bucket]
