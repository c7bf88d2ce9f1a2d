"""An answer that is being read, under a limit of time that counts only the instance's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import final

from modelwright.errors import InstanceError
from modelwright.serve.instances.wire import Head, Wire


@final
class Budget:
    """Seconds of the event loop's time that are spent only while the instance is waited for.

    Attributes:
        seconds: in all; None for no limit.
        failure: what the source of a body raised, if it did.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.failure: BaseException | None = None
        self._left = seconds
        self._since = 0.0
        self._limit: asyncio.Timeout | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Spend them on the block.

        Raises:
            TimeoutError: none are left.
        """
        async with asyncio.timeout(None) as self._limit:
            self._resume()
            try:
                yield
            finally:
                self._pause()

    async def lent(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces of a body, while whose source is waited for nothing is spent."""
        pieces = aiter(body)
        while True:
            self._pause()
            try:
                piece = await anext(pieces, None)
            except BaseException as failure:
                self.failure = failure
                raise
            finally:
                self._resume()
            if piece is None:
                return
            yield piece

    def _resume(self) -> None:
        self._since = asyncio.get_running_loop().time()
        if self._limit is not None and self._left is not None and not self._limit.expired():
            self._limit.reschedule(self._since + self._left)

    def _pause(self) -> None:
        if self._limit is not None and self._left is not None and not self._limit.expired():
            self._left -= asyncio.get_running_loop().time() - self._since
            self._limit.reschedule(None)


@final
class Answering:
    """The answer to a call, whose head has come.

    Attributes:
        status: of HTTP.
        headers: names in small letters.

    Args:
        wire: which it comes by.
        head: of the answer.
        budget: what is left of the time.
        most_bytes: of the body; None for any number.
        guard: makes an InstanceError of what breaks off while the body is read.
    """

    def __init__(
        self,
        wire: Wire,
        head: Head,
        budget: Budget,
        most_bytes: int | None,
        guard: Callable[[Budget], contextlib.AbstractContextManager[None]],
    ) -> None:
        self.status, self.headers = head
        self._wire = wire
        self._budget = budget
        self._most = most_bytes
        self._guard = guard

    @property
    def content_type(self) -> str:
        """Of the body; "" where none was told."""
        return self.headers.get("content-type", "")

    @property
    async def body(self) -> AsyncIterator[bytes]:
        """The body piece by piece, to be read once.

        Raises:
            InstanceError: it broke off, came late, is no HTTP, or is longer than allowed.
        """
        pieces, total = self._wire.pieces(), 0
        while True:
            with self._guard(self._budget):
                async with self._budget.running():
                    piece = await anext(pieces, None)
            if piece is None:
                return
            total += len(piece)
            if self._most is not None and total > self._most:
                raise InstanceError("long", f"an answer must be at most {self._most} bytes")
            yield piece

    async def read(self) -> bytes:
        """The whole body, where it is small.

        Raises:
            InstanceError: as `body`.
        """
        return b"".join([piece async for piece in self.body])


def invocation_headers(
    content_type: str = "", accept: str = "", custom_attributes: str = "", inference_id: str = ""
) -> list[tuple[str, str]]:
    """The headers of a call by the container contract; what is "" is left out."""
    named: Mapping[str, str] = {
        "content-type": content_type,
        "accept": accept,
        "x-amzn-sagemaker-custom-attributes": custom_attributes,
        "x-amzn-sagemaker-inference-id": inference_id,
    }
    return [(name, value) for name, value in named.items() if value]
