"""One connection to a service, its requests signed where there are keys."""

import http.client
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import IO, Any, final
from urllib.parse import parse_qsl, quote, urlsplit
from xml.etree import ElementTree

import msgspec

from modelwright.errors import RefusedError, SettingError, StoreError
from modelwright.records import ServiceSnapshot
from modelwright.serve.signing import UNSIGNED, Asked, Keys, sign

TARGETS: Mapping[str, tuple[str, str]] = {
    "sagemaker": ("SageMaker", "1.1"),
    "application-autoscaling": ("AnyScaleFrontendService", "1.1"),
    "monitoring": ("GraniteServiceVersion20100801", "1.0"),
}

_PIECE = 1024 * 1024


@final
class Client:
    """Asks a service.

    Args:
        url: of the service.
        now: tells the time in UTC, for signatures.
        keys: whose signatures the service knows; None for a service without keys.
        region: that the service says it is in.
        timeout_s: without anything being heard.
    """

    def __init__(
        self,
        url: str,
        now: Callable[[], datetime],
        keys: Keys | None = None,
        region: str = "us-east-1",
        timeout_s: float = 75.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingError("a service's address must read http://HOST:PORT", where="--url", value=url)
        self.url = url.rstrip("/")
        self._parts = parts
        self._now = now
        self._keys = keys
        self._region = region
        self._timeout_s = timeout_s

    def status(self) -> ServiceSnapshot:
        """The service as it is now.

        Raises:
            StoreError: it cannot be reached.
            RefusedError: it refuses.
        """
        return msgspec.json.decode(self.ask("GET", "/-/api/status"), type=ServiceSnapshot)

    def told(self, path: str, method: str = "GET") -> Any:
        """What the service's own routes answer.

        Raises:
            StoreError, RefusedError: as `status`.
        """
        return json.loads(self.ask(method, path))

    def operate(self, service: str, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Have an operation of one of AWS's JSON protocols done.

        Raises:
            StoreError, RefusedError: as `status`.
        """
        target, version = TARGETS[service]
        headers = {"x-amz-target": f"{target}.{operation}", "content-type": f"application/x-amz-json-{version}"}
        found: dict[str, Any] = json.loads(self.ask("POST", "/", json.dumps(given).encode(), headers, service) or b"{}")
        return found

    def put(self, bucket: str, key: str, file: IO[bytes], size: int, content_type: str) -> str:
        """Put a file into the object store; its address."""
        headers = {"content-type": content_type, "content-length": str(size)}
        self.ask("PUT", f"/{bucket}/{quote(key)}", _pieces(file), headers, "s3")
        return f"s3://{bucket}/{key}"

    def get(self, address: str) -> bytes:
        """An object's bytes."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        return self.ask("GET", f"/{bucket}/{quote(key)}", service="s3")

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        service: str = "modelwright",
    ) -> bytes:
        """One exchange: the answer's body.

        Raises:
            StoreError: the service cannot be reached.
            RefusedError: it answers with an error, under its code.
        """
        status, _, content = self.exchange(method, path, body, headers, service)
        if status >= 400:
            raise refusal(status, content, self.url)
        return content

    def exchange(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        service: str = "modelwright",
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The same, whatever the status is: status, headers with small names, body.

        Raises:
            StoreError: the service cannot be reached.
        """
        sent = self._signed(method, path, body, dict(headers or {}), service)
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        line = kind(self._parts.hostname or "", self._parts.port, timeout=self._timeout_s)
        try:
            line.connect()
            line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.request(method, path, body=body, headers=sent)
            answer = line.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except (OSError, http.client.HTTPException) as failure:
            rule = f"a service must answer ({type(failure).__name__}: {failure})"
            way_out = "Start one with `modelwright serve up`, or name another --url."
            raise StoreError(rule, where=self.url, way_out=way_out) from failure
        finally:
            line.close()

    def _signed(
        self, method: str, path: str, body: bytes | Iterable[bytes], headers: dict[str, str], service: str
    ) -> dict[str, str]:
        headers["host"] = self._parts.netloc
        if self._keys is None:
            return headers
        plain, _, query = path.partition("?")
        asked = Asked(method, plain, parse_qsl(query, keep_blank_values=True), headers)
        content = body if isinstance(body, bytes) else None
        digest = UNSIGNED if content is None else ""
        return headers | sign(asked, content or b"", self._keys, (self._region, service), self._now(), digest)


def _pieces(file: IO[bytes]) -> Iterable[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def refusal(status: int, content: bytes, where: str) -> RefusedError:
    """A service's error as ours."""
    try:
        said = json.loads(content)
        code = str(said.get("__type") or said.get("code") or status)
        message = said.get("message") or said.get("Message") or said.get("error") or content.decode()
    except (ValueError, AttributeError):
        try:
            root = ElementTree.fromstring(content)  # of the service that the user named
            code = root.findtext(".//Code") or str(status)
            message = root.findtext(".//Message") or ""
        except ElementTree.ParseError:
            code, message = str(status), content.decode("utf-8", "replace")[:500]
    return RefusedError(code, f"the service refuses: {message.rstrip('.')}", where=where, status=status)
