"""What the tests of serving share: a store that fails and dawdles by a seeded plan."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from modelwright.errors import StoreError
from modelwright.serve.objects import Found, Objects
from modelwright.serve.objects.objects import pieces


class FaultyObjects:
    """An object store before another one, which fails in a share of all calls, before, amid or after their work.

    Args:
        inner: the store that works.
        seed: of the plan; the same one fails the same calls.
        failing: share of calls that raise StoreError.
        yields: how often a call gives way to others, at most, before it does anything: a slow store without waiting.
    """

    def __init__(self, inner: Objects, seed: int, failing: float = 0.2, yields: int = 0) -> None:
        self.inner = inner
        self.failures = 0
        self._drawn = random.Random(seed)
        self._failing = failing
        self._yields = yields

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        return self._with_faults(name, method) if asyncio.iscoroutinefunction(method) else method

    def _with_faults(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*words: Any, **named: Any) -> Any:
            for _ in range(self._drawn.randint(0, self._yields)):
                await asyncio.sleep(0)
            fault = self._drawn.choice(("before", "amid", "after")) if self._drawn.random() < self._failing else ""
            if fault == "before":
                raise self._failure(name)
            if fault == "amid" and name == "put":
                bucket, key, body, *rest = words
                return await method(bucket, key, self._torn(body), *rest, **named)
            result = await method(*words, **named)
            if fault == "amid" and isinstance(result, Found):
                return Found(result.entry, result.start, result.stop, self._torn(result.body))
            if fault:
                raise self._failure(name)
            return result

        return call

    async def _torn(self, body: Any) -> AsyncIterator[bytes]:
        async for piece in pieces(body):
            yield piece[: len(piece) // 2]
            break
        raise self._failure("stream")

    def _failure(self, name: str) -> StoreError:
        self.failures += 1
        return StoreError("the object store must answer", where=name, way_out="This one fails by a plan.")


@pytest.fixture
def faulty() -> type[FaultyObjects]:
    """The faulty store, to be put before another one."""
    return FaultyObjects
