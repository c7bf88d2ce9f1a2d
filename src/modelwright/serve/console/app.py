"""The console's routes: JSON for the commands and the live page, text for Prometheus."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelwright.errors import ModelwrightError, RecordError, SettingError, UnknownNameError
from modelwright.records import RequestRecord
from modelwright.serve.aws import Access
from modelwright.serve.notices import CERTIFICATE_PATH
from modelwright.serve.service import Service, seal_of
from modelwright.serve.state import ENDPOINTS, cancel, messages, redeliver, redrive, requests, requests_named
from modelwright.serve.watching import Watch, exposition
from modelwright.serve.watching.exposition import CONTENT_TYPE

OPEN = ("/-/ping", CERTIFICATE_PATH)
"""Paths that everybody may ask for."""

_PAGE = 100
_MOST_BYTES = 64 * 1024


def console(
    service: Service,
    watch: Watch,
    access: Access,
    *,
    token: str = "",
    drain: Callable[[], None] = lambda: None,
    pages: Sequence[Route] = (),
) -> Starlette:
    """The application below "/-/".

    Args:
        service: behind it.
        watch: that watches the service.
        access: who may call; with keys, requests are signed for the service "modelwright", or bear the token.
        token: that a page or Prometheus shows instead of a signature (Authorization: Bearer ...).
        drain: has the server end once all that runs is finished.
        pages: further routes for everybody, such as those of the live page, which holds nothing itself.
    """
    routes = _Routes(service, watch, access, token, drain)
    made = [
        Route("/-/ping", routes.guarded(routes.ping)),
        Route(CERTIFICATE_PATH, routes.guarded(routes.certificate)),
        Route("/-/metrics", routes.guarded(routes.metrics)),
        Route("/-/api/status", routes.guarded(routes.status)),
        Route("/-/api/history/{endpoint}", routes.guarded(routes.history)),
        Route("/-/api/requests", routes.guarded(routes.requests)),
        Route("/-/api/requests/{endpoint}/{id:path}", routes.guarded(routes.request)),
        Route("/-/api/requests/{endpoint}/{id:path}", routes.guarded(routes.cancel), methods=["DELETE"]),
        Route("/-/api/redrive/{endpoint}/{id:path}", routes.guarded(routes.redrive), methods=["POST"]),
        Route("/-/api/messages", routes.guarded(routes.messages)),
        Route("/-/api/messages/{number:int}", routes.guarded(routes.redeliver), methods=["POST"]),
        Route("/-/api/drain", routes.guarded(routes.drain), methods=["POST"]),
    ]
    return Starlette(routes=[*made, *pages])


Answer = Callable[[Request], Awaitable[Response]]


@final
@dataclass(frozen=True)
class _Routes:
    service: Service
    watch: Watch
    access: Access
    token: str
    draining: Callable[[], None]

    def guarded(self, answer: Answer) -> Answer:
        """An answer to those who may ask, and errors as lessons."""

        async def answered(request: Request) -> Response:
            try:
                if request.url.path not in OPEN and not await self._admitted(request):
                    return _json({"error": "Show the token that the server printed, or sign the request."}, 401)
                return await answer(request)
            except UnknownNameError as failure:
                return _json({"error": str(failure)}, 404)
            except (RecordError, SettingError) as failure:
                return _json({"error": str(failure)}, 400)
            except ModelwrightError as failure:
                return _json({"error": str(failure)}, getattr(failure, "status", 409))

        return answered

    async def _admitted(self, request: Request) -> bool:
        if not self.access.secrets:
            return True
        shown = request.headers.get("authorization", "")
        given = shown.removeprefix("Bearer ") if shown.startswith("Bearer ") else ""
        if self.token and given and hmac.compare_digest(given.encode(), self.token.encode()):
            return True
        if not shown.startswith("AWS4-"):
            return False
        told = 2 * _MOST_BYTES if "transfer-encoding" in request.headers else request.headers.get("content-length") or 0
        body = await request.body() if int(told) <= _MOST_BYTES else b""
        await self.access.check_plain(request.scope, body, self.service.clock.now())
        return True

    async def ping(self, request: Request) -> Response:
        return Response("Healthy\n", 503 if self.service.draining else 200, media_type="text/plain")

    async def certificate(self, request: Request) -> Response:
        seal = await asyncio.to_thread(seal_of, self.service)
        return Response(seal.certificate, media_type="application/x-pem-file")

    async def metrics(self, request: Request) -> Response:
        text = exposition(await self.watch.snapshot(), self.service.state.totals())
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def status(self, request: Request) -> Response:
        return _json(await self.watch.snapshot())

    async def history(self, request: Request) -> Response:
        name = request.path_params["endpoint"]
        history = self.watch.histories.get(name)
        if history is None:
            await self.service.ledger.read(ENDPOINTS.get, name)  # which says so where there is none
            return _json([])
        since = _number(request.query_params.get("since", "0"))
        coarse = request.query_params.get("span", "minutes") == "day"
        return _json(history.points(since, coarse=coarse))

    async def requests(self, request: Request) -> Response:
        given = request.query_params
        if id := given.get("id", ""):
            found = await self.service.ledger.read(requests_named, id, given.get("endpoint", ""))
            return _json({"requests": [_told(one) for one in found], "after": None})
        states: Any = tuple(part for part in given.get("state", "").split(",") if part)
        after = int(_number(given["after"])) if given.get("after") else None
        page = await self.service.ledger.read(requests, given.get("endpoint", ""), states, after=after, limit=_PAGE)
        return _json({"requests": [_told(one) for one in page.records], "after": page.after})

    async def request(self, request: Request) -> Response:
        return _json(_told(await self._one(request)))

    async def cancel(self, request: Request) -> Response:
        name, id = request.path_params["endpoint"], request.path_params["id"]
        found = await self.service.ledger.do(cancel, name, id)
        self.service.poke(name)  # what works on it is let go at once
        return _json(_told(found))

    async def redrive(self, request: Request) -> Response:
        name, id = request.path_params["endpoint"], request.path_params["id"]
        found = await self.service.ledger.do(redrive, name, id)
        self.service.poke(name)
        return _json({"redriven": len(found)}, 200 if found else 404)

    async def messages(self, request: Request) -> Response:
        found = await self.service.ledger.read(messages, request.query_params.get("state", "undelivered"))
        return _json([msgspec.to_builtins(one) for one in found])

    async def redeliver(self, request: Request) -> Response:
        done = await self.service.ledger.do(redeliver, request.path_params["number"])
        self.service.messages.set()
        return _json({"redelivered": done}, 200 if done else 404)

    async def drain(self, request: Request) -> Response:
        self.draining()
        return _json({"draining": True}, 202)

    async def _one(self, request: Request) -> RequestRecord:
        name, id = request.path_params["endpoint"], request.path_params["id"]
        found = await self.service.ledger.read(requests_named, id, name)
        if not found:
            raise UnknownNameError("request", id, ())
        return found[0]


def _told(one: RequestRecord) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(one)
    return told


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingError("it must be a number", value=text[:80]) from None


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
