"""The one text that a request is signed by."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
"""Stands for the digest of a body that is not signed."""
STREAMED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
"""The same of a body in chunks with a checksum behind it."""
EMPTY = hashlib.sha256(b"").hexdigest()
"""Digest of no body."""

_SAFE = "-_.~"


@final
@dataclass(frozen=True)
class Asked:
    """A request as it is sent.

    Attributes:
        method: of HTTP.
        path: percent-encoded, as it stands in the request line, without the query.
        query: percent-decoded names and values.
        headers: names in lower case -> values.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]


def canonical(asked: Asked, signed: Sequence[str], digest: str, service: str) -> str:
    """The canonical request.

    Args:
        asked: the request.
        signed: names of the headers that are signed, in lower case.
        digest: SHA-256 of the body in hexadecimal digits, or what stands for it.
        service: S3 encodes paths once and keeps them as they are, all others twice and without "." and "..".
    """
    path = asked.path or "/"
    if service != "s3":
        path = quote(_normal(path), safe="/~")
    pairs = sorted((quote(name, safe=_SAFE), quote(value, safe=_SAFE)) for name, value in asked.query)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    names = sorted(signed)
    lines = "".join(f"{name}:{' '.join(asked.headers.get(name, '').split())}\n" for name in names)
    return "\n".join((asked.method, path, query, lines, ";".join(names), digest))


def scope_of(date: str, region: str, service: str) -> str:
    """What a key is narrowed down to."""
    return f"{date}/{region}/{service}/aws4_request"


def signature(secret: str, stamp: str, scope: str, text: str) -> str:
    """The signature of a canonical request.

    Args:
        secret: the secret key.
        stamp: time as 20260131T235959Z.
        scope: as `scope_of` writes it.
        text: the canonical request.
    """
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signed = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(text.encode()).hexdigest()))
    return hmac.new(key, signed.encode(), "sha256").hexdigest()


def _normal(path: str) -> str:
    """A path without "." and ".." and double slashes (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    slash = "/" if kept and re.search(r"/(\.{1,2})?$", path) else ""
    return f"/{'/'.join(kept)}{slash}"
