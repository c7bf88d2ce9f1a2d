"""Who may call: with access keys whoever signs, without them this machine alone."""

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import final
from urllib.parse import urlsplit

from starlette.types import Message, Scope

from modelwright.errors import RefusedError
from modelwright.serve.aws.exchange import Request
from modelwright.serve.signing import STREAMED, UNSIGNED, Signed, claimed, verify

OWN = "modelwright"
"""The service that requests to other applications of a server are signed for."""

_TARGETS = {
    "SageMaker.": "sagemaker",
    "AnyScaleFrontendService.": "application-autoscaling",
    "GraniteServiceVersion20100801.": "monitoring",
}


@final
@dataclass(frozen=True)
class Access:
    """The rules of a server.

    Attributes:
        secrets: id of an access key -> its secret; none lets this machine alone in, unsigned.
        hosts: names by which the server is known besides its addresses and localhost; with keys any name will do.
    """

    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    hosts: frozenset[str] = frozenset()

    def check_caller(self, request: Request) -> None:
        """Refuse whoever may not even ask: strangers, names that another site had resolved to here, foreign pages.

        Raises:
            RefusedError: 403.
        """
        if self.secrets:
            return
        if request.client and not _loopback(request.client):
            raise RefusedError("AccessDenied", "a server without access keys answers its own machine alone", status=403)
        name = _name(request.headers.get("host", ""))
        if not (_loopback(name) or name in self.hosts):
            raise RefusedError("AccessDenied", "a server must be asked for by its own name", value=name, status=403)
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise RefusedError("AccessDenied", "a page of another site may not ask", status=403)

    async def check_signature(self, request: Request, signed: Signed | None, now: datetime, most: int) -> None:
        """Check that a request is signed with one of the keys, where there are keys.

        A key is narrowed down to a service, which must be the one that is asked. The body, of at most so many bytes,
        is read for it unless its digest was told, which must then be held against the body as that is read.

        Raises:
            RefusedError: 403.
        """
        if not self.secrets:
            return
        if signed is None and await _by_link(request):
            return
        if signed is None:
            code = "AccessDenied" if request.service == "s3" else "MissingAuthenticationTokenException"
            raise RefusedError(code, "a request must be signed", status=403, way_out="Configure an access key.")
        if signed.service != request.service:
            rule = f"a signature must be for {request.service}, which is asked"
            raise RefusedError("InvalidSignatureException", rule, value=signed.service[:80], status=403)
        digest = request.headers.get("x-amz-content-sha256", "")
        if request.service != "s3" or (signed.expires_s is None and not digest):
            digest = hashlib.sha256(await request.body(most)).hexdigest()
        verify(request.asked, signed, digest, self.secrets, now)

    async def check_plain(self, scope: Scope, body: bytes, now: datetime) -> None:
        """Check the signature of a request to another application of the server, whose body was read.

        It must be for the service `OWN`.

        Raises:
            RefusedError: 403.
        """
        request = Request(scope, _nothing, "")
        signed = claimed(request.asked)
        if self.secrets and (signed is None or signed.service != OWN):
            raise RefusedError("AccessDenied", f"a request must be signed for the service {OWN}", status=403)
        if signed is not None and self.secrets:
            verify(request.asked, signed, hashlib.sha256(body).hexdigest(), self.secrets, now)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def service_of(request: Request, signed: Signed | None) -> str:
    """The service that a request is meant for; by its signature, or else by what only that service is asked."""
    target = request.headers.get("x-amz-target", "")
    if target:
        return next((name for prefix, name in _TARGETS.items() if target.startswith(prefix)), "unknown")
    if signed is not None:
        return signed.service
    if request.path.startswith("/endpoints/") and request.path.endswith("invocations"):
        return "sagemaker"
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if request.method == "POST" and request.path == "/" and form:
        return "query"
    if request.path == "/" and request.has("Action"):
        return "query"
    return "s3"


def body_digest(request: Request) -> str:
    """The digest that a body must have; "" for any."""
    told = request.headers.get("x-amz-content-sha256", "")
    return "" if told in ("", UNSIGNED, STREAMED) or told.startswith("STREAMING-") else told


def signed_by(request: Request) -> Signed | None:
    """What a request claims of its signature."""
    return claimed(request.asked)


async def _by_link(request: Request) -> bool:
    """Whether a receiver of messages follows a link that it was sent, whose token or ARN nobody else can know.

    A link is all that is asked: what else could be told by a body, by headers or by names that come twice is refused.
    """
    if request.service != "query" or request.method != "GET" or request.path != "/":
        return False
    fields = dict(request.query)
    linked = len(fields) == len(request.query) and fields.get("Action") in ("ConfirmSubscription", "Unsubscribe")
    return linked and not await request.body(0)


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
