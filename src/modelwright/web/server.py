"""Serving an application until it is interrupted."""

import ipaddress
import secrets
import socket
from collections.abc import Callable
from contextlib import closing, suppress

import uvicorn
from starlette.types import ASGIApp

from modelwright.errors import SettingError
from modelwright.web.access import Access, loopback

_AT_ONCE = 100
_PATIENCE_S = 3


def access_for(host: str, user: str) -> Access:
    """The rules of a server at an address: a token is asked for unless only this machine can reach it.

    Args:
        host: an address or a name of this machine.
        user: who uses it; "" where each user gives a name.
    """
    token = "" if loopback(host) else secrets.token_urlsafe(24)
    return Access(secrets.token_bytes(32), frozenset({host.lower(), socket.gethostname().lower()}), token, user)


def serve(app: ASGIApp, host: str, port: int, token: str, started: Callable[[str], None]) -> None:
    """Serve an application until the process is interrupted or told to end; open requests have three seconds then.

    Args:
        app: what is served.
        host: the address to listen at.
        port: 0 for one that is free.
        token: that users show, which goes into the address behind "#", where no server and no log sees it.
        started: told the address that users open.

    Raises:
        SettingError: nothing can listen there.
    """
    with closing(listening(host, port)) as heard:
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            ws="none",
            http="h11",
            loop="asyncio",
            limit_concurrency=_AT_ONCE,
            timeout_graceful_shutdown=_PATIENCE_S,
        )
        started(_address(host, heard.getsockname()[1], token))
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[heard])


def listening(host: str, port: int) -> socket.socket:
    """A socket that connections may already come to.

    Raises:
        SettingError: nothing can listen there.
    """
    try:
        kind = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=kind)
    except (OSError, OverflowError, UnicodeError) as failure:
        way_out = "Name another --port, or a --host of this machine."
        raise SettingError(
            f"the server must be able to listen ({failure})", value=f"{host}:{port}", way_out=way_out
        ) from failure


def _address(host: str, port: int, token: str) -> str:
    try:
        address = ipaddress.ip_address(host)
        name = socket.gethostname() if address.is_unspecified else f"[{host}]" if address.version == 6 else host
    except ValueError:
        name = host
    return f"http://{name}:{port}/{f'#{token}' if token else ''}"
