"""Who may use a server of pages: from which addresses, with which token, from which origin, under which name."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final
from urllib.parse import urlsplit

LONGEST_NAME = 100
"""Characters of a user's name."""


@final
@dataclass(frozen=True)
class Access:
    """The rules of one server, which outlive no restart of it.

    Attributes:
        secret: what names are sealed with; only this server knows it.
        hosts: names by which the server is known; its addresses and "localhost" are, always.
        token: what a user must show once; "" where none is asked for.
        user: who uses the server; "" where each user gives a name.
    """

    secret: bytes
    hosts: frozenset[str] = frozenset()
    token: str = ""
    user: str = ""

    @property
    def open(self) -> bool:
        """Whether nobody needs to sign in."""
        return bool(self.user) and not self.token

    def knows_host(self, host: str) -> bool:
        """Whether a request's Host is this server, and no name that another site had resolved to it (DNS rebinding)."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self.hosts or name == "localhost" or bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def own_post(self, headers: Mapping[str, str]) -> bool:
        """Whether a page of this server sent a post, as the browser says; one that does not say is refused."""
        if "origin" in headers:
            scheme, _, host = headers["origin"].partition("://")
            return scheme in ("http", "https") and host == headers.get("host", "")
        return headers.get("sec-fetch-site") == "same-origin"

    def admits(self, token: str) -> bool:
        """Whether a token is right. How long that takes tells nothing of it."""
        return hmac.compare_digest(token.strip().encode(), self.token.encode())

    def sealed(self, name: str) -> str:
        """A name as a cookie that nobody else can make."""
        text = name.encode()
        return f"{text.hex()}.{self._seal(text)}"

    def named(self, cookie: str) -> str:
        """The name in a cookie; "" where this server did not make it."""
        text, _, seal = cookie.partition(".")
        try:
            name = bytes.fromhex(text)
        except ValueError:
            return ""
        return name.decode() if hmac.compare_digest(seal.encode(), self._seal(name).encode()) else ""

    def _seal(self, text: bytes) -> str:
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()


def loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
