"""Requests are signed."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import final

from modelwright.serve.signing.canonical import ALGORITHM, Asked, canonical, scope_of, signature


@final
@dataclass(frozen=True)
class Keys:
    """Who calls.

    Attributes:
        id: the access key's, which is sent.
        secret: which is not, nor shown.
        token: of a session; "" for none.
    """

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


def sign(
    asked: Asked, body: bytes, keys: Keys, scope: tuple[str, str], now: datetime, digest: str = ""
) -> dict[str, str]:
    """The headers by which a request is signed, to be added to its own.

    Args:
        asked: the request with its "host" header.
        body: of the request.
        keys: who calls.
        scope: region and service.
        now: in UTC.
        digest: what stands for the body's, such as `UNSIGNED`; "" for the body's own.
    """
    region, service = scope
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": stamp} | ({"x-amz-security-token": keys.token} if keys.token else {})
    digest = digest or hashlib.sha256(body).hexdigest()
    if service == "s3":
        added["x-amz-content-sha256"] = digest
    whole = Asked(asked.method, asked.path, asked.query, {**asked.headers, **added})
    names = sorted(name for name in whole.headers if name in ("host", "content-type") or name.startswith("x-amz"))
    narrowed = scope_of(stamp[:8], region, service)
    found = signature(keys.secret, stamp, narrowed, canonical(whole, names, digest, service))
    credential = f"Credential={keys.id}/{narrowed}"
    added["authorization"] = f"{ALGORITHM} {credential}, SignedHeaders={';'.join(names)}, Signature={found}"
    return added
