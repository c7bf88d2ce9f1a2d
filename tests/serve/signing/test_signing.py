"""Signatures are those of AWS's own client, and any change of what is signed breaks them."""

import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import RefusedError
from modelwright.serve.signing import Asked, Keys, claimed, sign, verify

SECRETS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
[(ID, SECRET)] = SECRETS.items()
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def sent(request: AWSRequest) -> Asked:
    """A request as a server sees it."""
    made = request.prepare()
    parts = urlsplit(made.url)
    headers = {
        name.lower(): value if isinstance(value, str) else value.decode() for name, value in made.headers.items()
    }
    headers.setdefault("host", parts.netloc)
    return Asked(made.method, parts.path, parse_qsl(parts.query, keep_blank_values=True), headers)


def now_of(asked: Asked) -> datetime:
    stamp = asked.headers.get("x-amz-date") or dict(asked.query)["X-Amz-Date"]
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def checked(asked: Asked, digest: str, now: datetime | None = None) -> None:
    signed = claimed(asked)
    assert signed is not None
    verify(asked, signed, digest, SECRETS, now or now_of(asked))


@given(st.lists(text, max_size=3), st.lists(st.tuples(text.filter(bool), text), max_size=3), st.binary(max_size=40))
@pytest.mark.parametrize("service", ["s3", "sagemaker"])
def test_what_botocore_signs_is_accepted(
    service: str, parts: list[str], query: list[tuple[str, str]], body: bytes
) -> None:
    path = "/" + "/".join(quote(part, safe="~") for part in parts)
    url = f"http://127.0.0.1:8080{path}"
    if query:
        url += "?" + "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query)
    request = AWSRequest("POST", url, data=body, headers={"X-Amz-Custom": " two  words ", "Content-Type": "a/b"})
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(Credentials(ID, SECRET), service, "us-east-1").add_auth(request)
    asked = sent(request)
    digest = asked.headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
    checked(asked, digest)
    with pytest.raises(RefusedError, match="signature must be that"):
        checked(Asked("PUT", asked.path, asked.query, asked.headers), digest)
    with pytest.raises(RefusedError, match="signature must be that"):
        checked(asked, hashlib.sha256(body + b"x").hexdigest())


@pytest.mark.parametrize("service", ["s3", "sagemaker"])
def test_what_is_signed_here_is_what_botocore_signs(service: str) -> None:
    url, headers = "http://127.0.0.1:8080/a%20b/c?x=1&a=%2F", {"content-type": "text/plain"}
    request = AWSRequest("POST", url, data=b"body", headers=dict(headers))
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(Credentials(ID, SECRET, "session"), service, "us-east-1").add_auth(request)
    theirs = sent(request)
    asked = Asked("POST", "/a%20b/c", [("x", "1"), ("a", "/")], {"host": "127.0.0.1:8080", **headers})
    made = sign(asked, b"body", Keys(ID, SECRET, "session"), ("us-east-1", service), now_of(theirs))
    assert made["authorization"] == theirs.headers["authorization"]
    assert SECRET not in repr(Keys(ID, SECRET, "session"))


def test_an_address_that_was_signed_beforehand_holds_until_it_expires() -> None:
    request = AWSRequest("GET", "http://127.0.0.1:8080/bucket/a%20key")
    S3SigV4QueryAuth(Credentials(ID, SECRET), "s3", "us-east-1", expires=60).add_auth(request)
    asked = sent(request)
    checked(asked, "")
    checked(asked, "", now_of(asked) + timedelta(seconds=60))
    for late in (61, -1000):
        with pytest.raises(RefusedError, match="address must"):
            checked(asked, "", now_of(asked) + timedelta(seconds=late))


def test_strangers_old_requests_and_nonsense_are_refused_and_secrets_are_not_told() -> None:
    asked = Asked("GET", "/", [], {"host": "h"})
    assert claimed(asked) is None
    now = datetime(2026, 1, 2, tzinfo=UTC)
    headers = sign(asked, b"", Keys(ID, SECRET), ("us-east-1", "sns"), now)
    whole = Asked("GET", "/", [], {**asked.headers, **headers})
    digest = hashlib.sha256(b"").hexdigest()
    checked(whole, digest, now)
    with pytest.raises(RefusedError, match="of now") as told:
        checked(whole, digest, now + timedelta(minutes=6))
    assert told.value.status == 403
    signed = claimed(whole)
    assert signed is not None
    with pytest.raises(RefusedError, match="known here") as told:
        verify(whole, signed, digest, {}, now)
    assert SECRET not in str(told.value)
    for bad in (
        "Basic x",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00",
        headers["authorization"][:-70],
    ):
        with pytest.raises(RefusedError):
            checked(
                Asked("GET", "/", [], {"host": "h", "x-amz-date": "20260102T000000Z", "authorization": bad}),
                digest,
                now,
            )
