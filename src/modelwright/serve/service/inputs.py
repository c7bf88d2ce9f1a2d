"""What a request's input is read from: the object store, or a web server."""

import asyncio
import contextlib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from http.client import HTTPException

from modelwright.errors import InputError, ObjectError, StoreError
from modelwright.serve.objects import OwnObjects, place_of

MOST_BYTES = 1024**3
"""Of an input, as SageMaker allows."""

WEB_S = 60.0
"""Seconds that a web server may take for each piece."""

_PIECE = 256 * 1024


async def opened(objects: OwnObjects, location: str) -> AsyncIterator[bytes]:
    """The pieces of an input, once it is known to be there.

    Raises:
        InputError: it is not there, too long, or out of reach; also while it is read.
    """
    if location.startswith("s3://"):
        bucket, key = place_of(location)
        try:
            found = await objects.get(bucket, key)
        except StoreError as failure:
            raise _unread(location, failure) from failure
        if found.entry.size > MOST_BYTES:
            raise InputError(f"an input must be at most {MOST_BYTES} bytes", where=location, lasting=True)
        return _guarded(location, found.body)
    if not location.startswith("https://"):
        raise InputError("an input must be at s3:// or https://", where=location, lasting=True)
    return _web(location)


async def _guarded(location: str, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for piece in body:
            yield piece
    except StoreError as failure:
        raise _unread(location, failure) from failure


async def _web(location: str) -> AsyncIterator[bytes]:
    """A file of a web server, read in a thread."""
    total = 0
    try:
        request = urllib.request.Request(location, headers={"User-Agent": "modelwright"})
        answer = await asyncio.to_thread(
            urllib.request.urlopen, request, timeout=WEB_S
        )  # https, as Invocation's address was checked
        with contextlib.closing(answer):
            while piece := await asyncio.to_thread(answer.read, _PIECE):
                total += len(piece)
                if total > MOST_BYTES:
                    raise InputError(f"an input must be at most {MOST_BYTES} bytes", where=location, lasting=True)
                yield piece
    except urllib.error.HTTPError as failure:
        lasting = failure.code < 500 and failure.code not in (408, 425, 429)
        raise InputError(
            f"a web server must answer with the input, not {failure.code}", where=location, lasting=lasting
        ) from failure
    except (OSError, HTTPException, ValueError) as failure:
        raise InputError(f"an input must be readable ({failure})", where=location) from failure


def _unread(location: str, failure: StoreError) -> InputError:
    lasting = isinstance(failure, ObjectError) and failure.code in ("NoSuchKey", "NoSuchBucket", "KeyTooLongError")
    return InputError(f"an input must be readable ({failure})", where=location, lasting=lasting)
