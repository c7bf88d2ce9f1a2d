"""An application is served over HTTP for as long as a block lasts; signals are left to whoever serves."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import final

import uvicorn
from starlette.types import ASGIApp

from modelwright.errors import SettingError

_KEEP_ALIVE_S = 75
_BACKLOG = 1024


def listening(host: str, port: int) -> socket.socket:
    """A socket that connections may already come to, over which small answers go without delay (RFC 896).

    Raises:
        SettingError: nothing can listen there.
    """
    try:
        flags = socket.AI_PASSIVE
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
        heard = socket.socket(family, kind, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY where the protocol is named
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        heard.bind(address)
        heard.listen(_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as failure:
        way_out = "Name another --port, or a --host of this machine."
        where = f"{host}:{port}"
        raise SettingError(f"a server must be able to listen ({failure})", value=where, way_out=way_out) from failure
    return heard


@contextlib.asynccontextmanager
async def served(app: ASGIApp, heard: socket.socket, patience_s: int = 10) -> AsyncIterator[None]:
    """Serve an application while the block lasts; what is open at its end has so many seconds more.

    Args:
        app: what is served.
        heard: a socket that listens; it is closed in the end.
        patience_s: for answers that are being sent when the block ends.
    """
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        date_header=True,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=patience_s,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[heard]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        heard.close()


@final
class _Server(uvicorn.Server):
    """A server whose signals are somebody else's to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield
