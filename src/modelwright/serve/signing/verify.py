"""Signatures are checked."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import final

from modelwright.errors import RefusedError
from modelwright.serve.signing.canonical import ALGORITHM, UNSIGNED, Asked, canonical, scope_of, signature

SKEW = timedelta(minutes=5)
SKEW_S3 = timedelta(minutes=15)
LONGEST = 7 * 86_400
"""Seconds that an address may be signed for at most."""

_FORM = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^,\s]+),\s*SignedHeaders=(?P<names>[^,\s]+),\s*Signature=(?P<found>[0-9a-f]+)"
)


@final
@dataclass(frozen=True)
class Signed:
    """What a request says of its signature.

    Attributes:
        key: id of the access key.
        date, region, service: that the key is narrowed down to.
        names: of the signed headers.
        found: the signature.
        stamp: when it was signed, as 20260131T235959Z.
        expires_s: how long it holds, of an address that was signed beforehand; None of a request.
    """

    key: str
    date: str
    region: str
    service: str
    names: tuple[str, ...]
    found: str
    stamp: str
    expires_s: int | None = None


def claimed(asked: Asked) -> Signed | None:
    """What a request claims; None where it is not signed.

    Raises:
        RefusedError: it is signed in a way that cannot be read.
    """
    query = dict(asked.query)
    if query.get("X-Amz-Algorithm") == ALGORITHM:
        try:
            names = query["X-Amz-SignedHeaders"]
            expires = int(query["X-Amz-Expires"])
            return _signed(query["X-Amz-Credential"], names, query["X-Amz-Signature"], query["X-Amz-Date"], expires)
        except (KeyError, ValueError) as failure:
            raise _malformed("its query lacks what it was signed by") from failure
    told = asked.headers.get("authorization", "")
    if not told:
        return None
    form = _FORM.fullmatch(told.strip())
    if form is None:
        raise _malformed(f"the Authorization header must be one of {ALGORITHM}")
    stamp = asked.headers.get("x-amz-date", "")
    return _signed(form["credential"], form["names"], form["found"], stamp, None)


def verify(asked: Asked, signed: Signed, digest: str, secrets: Mapping[str, str], now: datetime) -> None:
    """Check a request's signature.

    Args:
        asked: the request.
        signed: what it claims.
        digest: SHA-256 of its body in hexadecimal digits, or what stands for it; addresses of S3 are signed without.
        secrets: id of an access key -> its secret.
        now: in UTC.

    Raises:
        RefusedError: the key is not known, the signature is another one or lacks headers, or its time is not now.
    """
    secret = secrets.get(signed.key)
    if secret is None:
        code = "InvalidAccessKeyId" if signed.service == "s3" else "UnrecognizedClientException"
        raise _refused(code, "the access key id must be known here")
    _check_time(signed, now)
    if "host" not in signed.names:
        raise _malformed("the header host must be signed")
    if bare := sorted(name for name in asked.headers if name.startswith("x-amz-") and name not in signed.names):
        raise _refused("AccessDenied", f"headers of AWS must all be signed, also {', '.join(bare)[:200]}")
    if signed.expires_s is not None:
        query = [(name, value) for name, value in asked.query if name != "X-Amz-Signature"]
        asked = Asked(asked.method, asked.path, query, asked.headers)
        digest = UNSIGNED if signed.service == "s3" else digest
    text = canonical(asked, signed.names, digest, signed.service)
    wanted = signature(secret, signed.stamp, scope_of(signed.date, signed.region, signed.service), text)
    if not hmac.compare_digest(wanted, signed.found):
        rule = "the signature must be that of this request with the access key's secret"
        raise _refused("SignatureDoesNotMatch" if signed.service == "s3" else "InvalidSignatureException", rule)


def _signed(credential: str, names: str, found: str, stamp: str, expires_s: int | None) -> Signed:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or not re.fullmatch(r"\d{8}T\d{6}Z", stamp):
        raise _malformed("the credential must read KEY/DATE/REGION/SERVICE/aws4_request, and a date be given")
    if not stamp.startswith(parts[1]):
        raise _malformed("the credential's date must be that of the request")
    return Signed(parts[0], parts[1], parts[2], parts[3], tuple(names.split(";")), found, stamp, expires_s)


def _check_time(signed: Signed, now: datetime) -> None:
    s3 = signed.service == "s3"
    try:
        at = datetime.strptime(signed.stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as failure:
        raise _malformed("its date is none") from failure
    skew = SKEW_S3 if s3 else SKEW
    if signed.expires_s is not None:
        if not 0 < signed.expires_s <= LONGEST:
            raise _refused("AuthorizationQueryParametersError", f"X-Amz-Expires must be 1 to {LONGEST}")
        if now > at + timedelta(seconds=signed.expires_s):
            raise _refused("AccessDenied", "a signed address must not have expired")
        if at > now + skew:
            raise _refused("AccessDenied", "a signed address must be valid already")
    elif abs(now - at) > skew:
        code = "RequestTimeTooSkewed" if s3 else "InvalidSignatureException"
        raise _refused(code, f"a signature must be of now, {now:%Y%m%dT%H%M%SZ}, not of {signed.stamp}")


def _malformed(why: str) -> RefusedError:
    return _refused("IncompleteSignature", f"a signature must be readable: {why}")


def _refused(code: str, rule: str) -> RefusedError:
    return RefusedError(code, rule, status=403)
