"""What every request passes first: foreign names, foreign posts and long bodies are refused, and answers are closed."""

from typing import final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelwright.web.access import Access

LONGEST_BODY = 64 * 1024
"""Bytes of a request's body."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser hides the origin of posts, too
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer: nothing from another host is loaded, and no other site frames, embeds or keeps a page."""


@final
class Gate:
    """Stands before an application.

    Args:
        app: the application.
        access: the server's rules.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, closed)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if not self._access.knows_host(headers.get("host", "")):
            return PlainTextResponse("This server is not known by that name. Use the address that it printed.", 421)
        if scope["method"] not in ("GET", "HEAD") and not self._access.own_post(headers):
            return PlainTextResponse("Only this server's own pages may post to it.", 403)
        return None


async def body_of(request: Request) -> bytes | None:
    """A request's body; None where it is longer than `LONGEST_BODY`, of which no more is read."""
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > LONGEST_BODY:
            return None
    return bytes(found)
