"""Bodies as S3's clients send them: plain, or in chunks with a checksum behind; what is told of them is checked."""

import base64
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol, final

from awscrt import checksums

from modelwright.errors import RefusedError
from modelwright.serve.aws.access import body_digest
from modelwright.serve.aws.exchange import Request, whole

MOST_BYTES = 5 * 1024**3
"""Of one put, as in S3."""

_LONGEST_LINE = 8192
_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")


class _Sum(Protocol):
    def update(self, content: bytes, /) -> object:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """Of all bytes so far."""
        ...


@final
class _Crc:
    def __init__(self, function: Callable[[bytes, int], int], length: int) -> None:
        self._function, self._length, self._value = function, length, 0

    def update(self, content: bytes) -> None:
        self._value = self._function(content, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


_SUMS: Mapping[str, Callable[[], _Sum]] = {
    "crc32": lambda: _Crc(zlib.crc32, 4),
    "crc32c": lambda: _Crc(checksums.crc32c, 4),
    "crc64nvme": lambda: _Crc(checksums.crc64nvme, 8),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}


@final
class Body:
    """A body that is read once; it ends with an error where it is not what was told of it.

    Attributes:
        checksums: header -> value, of those that were told and hold.

    Args:
        request: whose it is.
    """

    def __init__(self, request: Request) -> None:
        self.checksums: dict[str, str] = {}
        self._request = request
        headers = request.headers
        streamed = headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        self._chunked = streamed or "aws-chunked" in headers.get("content-encoding", "")
        told = headers.get("x-amz-decoded-content-length" if self._chunked else "content-length", "")
        self.length = whole(told, "a content length", "InvalidArgument") if told else None
        if self.length is not None and self.length > MOST_BYTES:
            raise RefusedError("EntityTooLarge", f"an object must be put with at most {MOST_BYTES} bytes at once")
        if self.length is None and "transfer-encoding" not in headers and request.method == "PUT":
            raise RefusedError("MissingContentLength", "a put must tell its content length", status=411)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes of the object.

        Raises:
            RefusedError: they are others, or more or fewer, than was told.
            ConnectionResetError: the client went away.
        """
        headers = self._request.headers
        sums = _sums(headers)
        digest = body_digest(self._request)
        sha = hashlib.sha256() if digest else None
        md5 = hashlib.md5(usedforsecurity=False) if "content-md5" in headers else None
        total = 0
        trailers: dict[str, str] = {}
        source = _unchunked(self._request.pieces(), trailers, sums) if self._chunked else self._request.pieces()
        async for piece in source:
            total += len(piece)
            if total > MOST_BYTES:
                raise RefusedError("EntityTooLarge", f"an object must be put with at most {MOST_BYTES} bytes at once")
            for one in (*sums.values(), sha, md5):
                if one is not None:
                    one.update(piece)
            yield piece
        if self.length is not None and total != self.length:
            raise RefusedError(
                "IncompleteBody", f"a body must have the {self.length} bytes that were told", value=total
            )
        if sha is not None and sha.hexdigest() != digest:
            rule = "the body must have the digest that was signed"
            raise RefusedError("XAmzContentSHA256Mismatch", rule, value=sha.hexdigest())
        if md5 is not None and md5.digest() != _decoded(headers["content-md5"], "InvalidDigest"):
            raise RefusedError("BadDigest", "the body must have the Content-MD5 that was told")
        for name, one in sums.items():
            wanted = headers.get(name) or trailers.get(name)
            if wanted is None:
                raise RefusedError("MalformedTrailerError", f"{name} must come behind the body, as was told before it")
            if one.digest() != _decoded(wanted, "InvalidRequest"):
                raise RefusedError("BadDigest", f"the body must have the {name} that was told", value=wanted)
            self.checksums[name] = wanted


async def whole_body(request: Request, most: int) -> bytes:
    """A body that is no object, of at most so many bytes, checked as one is.

    Raises:
        RefusedError: it is another one than was told, or too long.
    """
    if (request.length or 0) == 0 and "transfer-encoding" not in request.headers:
        return b""
    found = bytearray()
    async for piece in Body(request).pieces():
        found += piece
        if len(found) > most:
            raise RefusedError("MaxMessageLengthExceeded", f"a body must have at most {most} bytes")
    return bytes(found)


def _sums(headers: dict[str, str]) -> dict[str, _Sum]:
    """What is computed of the body: the checksums that are told."""
    told = [name for name in headers if name.startswith("x-amz-checksum-")] + [headers.get("x-amz-trailer", "")]
    found: dict[str, _Sum] = {}
    for name in told:
        kind = name.strip().lower().removeprefix("x-amz-checksum-")
        if kind in _SUMS:
            found[name] = _SUMS[kind]()
    return found


async def _unchunked(
    source: AsyncIterator[bytes], trailers: dict[str, str], sums: dict[str, _Sum]
) -> AsyncIterator[bytes]:
    """The bytes of a body in aws-chunked encoding: "size[;chunk-signature=...]" before each chunk, trailers behind.

    Chunks that are signed are taken without their signatures being checked; what is told of the whole body is.
    """
    held = bytearray()

    async def line() -> bytes:
        while b"\n" not in held:
            if len(held) > _LONGEST_LINE:
                raise RefusedError("InvalidRequest", "a chunk must begin with its size")
            more = await anext(source, None)
            if more is None:
                raise RefusedError("IncompleteBody", "a body in chunks must end with a chunk of size 0")
            held.extend(more)
        end = held.index(b"\n")
        found = bytes(held[:end]).rstrip(b"\r")
        del held[: end + 1]
        return found

    while True:
        head = (await line()).partition(b";")[0].strip()
        if not _SIZE.fullmatch(head):
            raise RefusedError("InvalidRequest", "a chunk must begin with its size", value=head[:20])
        left = int(head, 16)
        if left == 0:
            break
        while left:
            if not held:
                more = await anext(source, None)
                if more is None:
                    raise RefusedError("IncompleteBody", "a chunk must be as long as it says")
                held.extend(more)
            piece = bytes(held[:left])
            del held[: len(piece)]
            left -= len(piece)
            yield piece
        if await line():
            raise RefusedError("InvalidRequest", "a chunk must end with its size")
    async for rest in source:
        held.extend(rest)
        if len(held) > _LONGEST_LINE:
            break
    if len(held) > _LONGEST_LINE:
        raise RefusedError("MalformedTrailerError", f"trailers must have at most {_LONGEST_LINE} bytes")
    for row in bytes(held).decode("latin-1").splitlines():
        name, colon, value = row.partition(":")
        if colon:
            trailers[name.strip().lower()] = value.strip()


def _decoded(text: str, code: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as failure:  # binascii's own is one, too
        raise RefusedError(code, "a checksum must be told in base64", value=text[:80]) from failure
