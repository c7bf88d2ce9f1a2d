"""Calls on their way to the model: so many at once, together where the model gains by it, and no endless queue."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import final

from modelwright.errors import BusyError
from modelwright.serve.instances.calls import Call, Handler, Reply

Waiting = tuple[Call, "asyncio.Future[Reply]"]


@final
class Desk:
    """Hands calls to a handler in threads.

    Args:
        handler: the model.
        concurrency: calls, or batches, that it works on at once.
        most_waiting: calls that may wait besides; more are refused.
        batch: calls of a batch at most; 1 for a handler that does not batch.
        wait_s: how long the first call of a batch waits for others, seconds.
    """

    def __init__(self, handler: Handler, concurrency: int, most_waiting: int, batch: int, wait_s: float) -> None:
        self._handler = handler
        self._most = concurrency * batch + most_waiting
        self._batch = batch if handler.batches else 1
        self._wait_s = wait_s
        self._here = 0
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="model")
        self._workers = [asyncio.create_task(self._work()) for _ in range(concurrency)]

    async def answer(self, call: Call) -> Reply:
        """The model's reply.

        Raises:
            BusyError: too many wait already.
            Exception: whatever the model raised for this call.
        """
        if self._here >= self._most:
            way_out = "Call again later, or start more instances."
            raise BusyError("an instance must not be given more than it can hold", value=self._here, way_out=way_out)
        self._here += 1
        try:
            future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            self._queue.put_nowait((call, future))
            return await future
        finally:
            self._here -= 1

    async def close(self) -> None:
        """Let the workers go; calls that wait are not answered any more."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        while True:
            batch = [pair for pair in await self._gathered() if not pair[1].cancelled()]  # whose client has gone
            if batch:
                await self._run(batch)

    async def _gathered(self) -> list[Waiting]:
        batch = [await self._queue.get()]
        if self._batch == 1:
            return batch
        try:
            async with asyncio.timeout(self._wait_s):
                while len(batch) < self._batch:
                    batch.append(await self._queue.get())
        except TimeoutError:
            while len(batch) < self._batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
        return batch

    async def _run(self, batch: Sequence[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        try:
            calls = [call for call, _ in batch]
            replies = await loop.run_in_executor(self._threads, self._handler.answer, calls)
            if len(replies) != len(batch):
                raise RuntimeError(f"the handler answered {len(replies)} of {len(batch)} calls")
        except Exception as failure:  # noqa: BLE001  # the model's own code may raise anything
            if len(batch) == 1:
                _settle(batch[0][1], failure)
                return
            for pair in batch:  # so that one bad input fails alone
                await self._run([pair])
            return
        for (_, future), reply in zip(batch, replies, strict=True):
            _settle(future, reply)


def _settle(future: "asyncio.Future[Reply]", result: Reply | Exception) -> None:
    if future.done():  # its client has gone
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
