"""Inputs that lie at web servers: fetched in a thread, over TLS that is verified, by whomever they send one on to.

No connection is used that ends on this machine or in its own network, unless that is allowed: what a name stands for is
looked at where the connection has ended, so that no answer of a name server in between can change it.
"""

import asyncio
import contextlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any, final

from modelwright.errors import InputError
from modelwright.serve.notices import public

WEB_S = 60.0
"""Seconds that a web server may take for each piece."""

_PIECE = 256 * 1024
_LATER = (408, 425, 429)


async def fetched(
    location: str, most: int, *, private: bool, context: ssl.SSLContext | None = None
) -> AsyncIterator[bytes]:
    """The pieces of a file at an https:// address.

    Args:
        location: the address.
        most: bytes that it may have.
        private: it may lie on this machine or in its network.
        context: says which certificates are trusted; None for those that the system does.

    Raises:
        InputError: it is not there, too long, or out of reach.
    """
    total = 0
    secure = _Secure(private, context or ssl.create_default_context())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), secure, _Onwards)
    request = urllib.request.Request(location, headers={"User-Agent": "modelwright"})
    try:
        answer = await asyncio.to_thread(opener.open, request, timeout=WEB_S)
        with contextlib.closing(answer):
            while piece := await asyncio.to_thread(answer.read, _PIECE):
                total += len(piece)
                if total > most:
                    raise InputError(f"an input must be at most {most} bytes", where=location, lasting=True)
                yield piece
    except urllib.error.HTTPError as failure:
        lasting = failure.code < 500 and failure.code not in _LATER
        rule = "a web server must give its input"
        raise InputError(rule, where=location, value=failure.code, lasting=lasting) from failure
    except (OSError, http.client.HTTPException, ValueError) as failure:
        raise InputError(f"an input must be within reach ({failure})", where=location) from failure


@final
class _Public(http.client.HTTPSConnection):
    """A connection that is given up where it does not end in the Internet at large, before anything is said."""

    def __init__(self, host: str, **settings: Any) -> None:
        super().__init__(host, **settings)
        self._trusted: ssl.SSLContext = settings["context"]

    def connect(self) -> None:
        """Connect, look where that led, and only then begin."""
        http.client.HTTPConnection.connect(self)
        if not public(str(self.sock.getpeername()[0])):
            self.close()
            rule = "an input must not be on this machine or in its own network, which is not allowed here"
            raise InputError(rule, where=self.host, lasting=True)
        self.sock = self._trusted.wrap_socket(self.sock, server_hostname=self.host)


@final
class _Secure(urllib.request.HTTPSHandler):
    """Opens https:// addresses."""

    def __init__(self, private: bool, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._connection = http.client.HTTPSConnection if private else _Public
        self._trusted = context

    def https_open(self, req: urllib.request.Request) -> Any:
        """Ask."""
        return self.do_open(self._connection, req, context=self._trusted)


@final
class _Onwards(urllib.request.HTTPRedirectHandler):
    """Follows servers that send one on, but to no address that an input may not have in the first place."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The next request; None ends it here, with the answer that there is."""
        return super().redirect_request(req, fp, code, msg, headers, newurl) if newurl.startswith("https://") else None
