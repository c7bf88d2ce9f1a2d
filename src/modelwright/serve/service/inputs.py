"""What a request's input is read from: the object store, or a web server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import final

from modelwright.errors import InputError, ObjectError, StoreError
from modelwright.serve.objects import Objects, place_of
from modelwright.serve.service.fetching import fetched

MOST_BYTES = 1024**3
"""Of an input, as SageMaker allows."""

_MISSING = ("NoSuchKey", "NoSuchBucket", "KeyTooLongError", "InvalidURI")


@final
@dataclass(frozen=True)
class Inputs:
    """Where inputs may lie.

    Attributes:
        objects: those at s3:// addresses.
        private: those at https:// addresses may be on this machine and in its network.
    """

    objects: Objects
    private: bool = True

    async def opened(self, location: str) -> AsyncIterator[bytes]:
        """The pieces of an input.

        Raises:
            InputError: it is not there, too long, or out of reach; also while it is read.
        """
        if location.startswith("https://"):
            return fetched(location, MOST_BYTES, private=self.private)
        if not location.startswith("s3://"):
            raise InputError("an input must be at s3:// or https://", where=location, lasting=True)
        bucket, key = place_of(location)
        try:
            found = await self.objects.get(bucket, key)
        except StoreError as failure:
            raise _unread(location, failure) from failure
        if found.entry.size > MOST_BYTES:
            raise InputError(f"an input must be at most {MOST_BYTES} bytes", where=location, lasting=True)
        return _guarded(location, found.body)


async def _guarded(location: str, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for piece in body:
            yield piece
    except StoreError as failure:
        raise _unread(location, failure) from failure


def _unread(location: str, failure: StoreError) -> InputError:
    lasting = isinstance(failure, ObjectError) and failure.code in _MISSING
    return InputError(f"an input must be there ({failure})", where=location, lasting=lasting)
