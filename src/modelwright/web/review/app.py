"""The routes of the review page: what is asked for is told the desk, and what the desk says is shown."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from modelwright.errors import ConflictError, ModelwrightError, SettingError, StoreError, UnknownNameError
from modelwright.web.access import LONGEST_NAME, Access
from modelwright.web.gate import Gate, body_of
from modelwright.web.review.desk import Desk, Seat
from modelwright.web.review.inputs import Inputs, Picture
from modelwright.web.review.pages import Shown, amend_page, enter_page, error_page, item_page, start_page

STATIC = {"icon.svg": "image/svg+xml", "review.css": "text/css", "review.js": "text/javascript"}
"""The files that pages load, and their kinds."""

SWEEP_S = 1.0
"""Seconds between two looks for pages that were left."""

_FIELDS = 16
_FOUND = HTTPStatus.SEE_OTHER


def review_app(desk: Desk, access: Access, inputs: Inputs, cookie: str = "modelwright-review") -> Starlette:
    """An application in which reviewers go through a queue; when it ends, what is held is given back.

    Args:
        desk: the pages, over a queue.
        access: who may use it.
        inputs: what there is to look at of an item besides its text.
        cookie: its name; browsers keep one jar for all ports of a host.
    """
    routes = _Routes(desk, access, inputs, cookie)

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(desk))
        yield
        sweeping.cancel()
        with suppress(StoreError):  # who started the server closes the desk, too, and hears of it
            await run_in_threadpool(desk.close)

    return Starlette(
        routes=[
            Route("/", routes.start),
            Route("/enter", routes.enter, methods=["POST"]),
            Route("/next", routes.next, methods=["POST"]),
            Route("/seats/{name}", routes.item),
            Route("/seats/{name}", routes.decide, methods=["POST"]),
            Route("/amend", routes.amendable),
            Route("/amend", routes.amend, methods=["POST"]),
            Route("/hold", routes.hold, methods=["POST"]),
            Route("/leave", routes.leave, methods=["POST"]),
            Route("/picture", routes.picture),
            Route("/static/{file}", routes.static),
        ],
        middleware=[Middleware(Gate, access=access)],
        exception_handlers={ModelwrightError: routes.failed, HTTPStatus.UNAUTHORIZED: routes.unknown},
        lifespan=living,
    )


async def _sweep(desk: Desk) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        with suppress(StoreError):  # such as a full disk: it is tried again
            await run_in_threadpool(desk.sweep)


@final
@dataclass(frozen=True)
class _Routes:
    desk: Desk
    access: Access
    inputs: Inputs
    cookie: str

    async def start(self, request: Request) -> Response:
        shown = await run_in_threadpool(self._shown, self._known(request))
        if shown.standing is None:
            return HTMLResponse(error_page(shown), HTTPStatus.INTERNAL_SERVER_ERROR)
        return HTMLResponse(start_page(shown))

    async def enter(self, request: Request) -> Response:
        given = await _fields(request)
        name = self.access.user or given.get("name", "").strip()
        if self.access.token and not self.access.admits(given.get("token", "")):
            return self._entrance("The token must be the one that the server printed when it started.", 403)
        if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
            return self._entrance(f"A name must have 1 to {LONGEST_NAME} characters, all of which can be seen.", 422)
        answer = RedirectResponse("/", _FOUND)
        answer.set_cookie(self.cookie, self.access.sealed(name), httponly=True, samesite="strict")
        return answer

    async def next(self, request: Request) -> Response:
        return await self._next(self._known(request))

    async def item(self, request: Request) -> Response:
        reviewer, name = self._known(request), request.path_params["name"]
        seat = await run_in_threadpool(self.desk.opened, name, reviewer)
        if seat is None:
            return await self._trouble(reviewer, "This page holds no item any more. Take another one.", HTTPStatus.GONE)
        if seat.verdict:  # who has gone back
            return RedirectResponse("/", _FOUND)
        return await self._item(seat)

    async def decide(self, request: Request) -> Response:
        reviewer, name = self._known(request), request.path_params["name"]
        given = await _fields(request)
        turn = _turn(given)
        try:
            if "skip" in given or "stop" in given:
                await run_in_threadpool(self._give_back, name, reviewer, turn, "skip" in given)
                return await self._next(reviewer) if "skip" in given else RedirectResponse("/", _FOUND)
            label, page = _label(given), {word: given.get(word, "") for word in ("key", "until")}
            await run_in_threadpool(lambda: self.desk.decide(name, reviewer, turn, label, **page))
        except ModelwrightError as failure:
            seat = self.desk.seat(name, reviewer)
            if isinstance(failure, ConflictError) or seat is None or seat.verdict:
                raise
            return await self._item(seat, f"Nothing was recorded; the item is yours still. {failure}", _code(failure))
        try:
            return await self._next(reviewer)
        except StoreError as failure:
            return await self._trouble(reviewer, f"The verdict is recorded; no other item could be claimed. {failure}")

    async def amendable(self, request: Request) -> Response:
        reviewer = self._known(request)
        seat = self.desk.seat(request.query_params.get("seat", ""), reviewer)
        return await self._amendable(reviewer, request.query_params.get("key", ""), seat)

    async def amend(self, request: Request) -> Response:
        reviewer, given = self._known(request), await _fields(request)
        key, seat = given.get("key", ""), self.desk.seat(given.get("seat", ""), reviewer)
        if "keep" not in given:
            try:
                await run_in_threadpool(self.desk.amend, key, reviewer, _label(given))
            except ModelwrightError as failure:
                if isinstance(failure, ConflictError):
                    raise
                return await self._amendable(
                    reviewer, key, seat, f"The earlier verdict stands. {failure}", _code(failure)
                )
        return RedirectResponse(f"/seats/{seat.name}" if seat else "/", _FOUND)

    async def hold(self, request: Request) -> Response:
        reviewer, given = self._known(request), await _fields(request)
        try:
            until = await run_in_threadpool(self.desk.renew, given.get("seat", ""), reviewer, _turn(given))
        except ModelwrightError as failure:
            return PlainTextResponse(str(failure), _code(failure))
        return PlainTextResponse(until)

    async def leave(self, request: Request) -> Response:
        reviewer, given = self._known(request), await _fields(request)
        await run_in_threadpool(self.desk.leave, given.get("seat", ""), reviewer, _turn(given))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def picture(self, request: Request) -> Response:
        reviewer, key = self._known(request), request.query_params.get("key", "")
        found = await run_in_threadpool(lambda: self.desk.sees(key, reviewer) and self.inputs(key))
        if not isinstance(found, Picture):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(found.content, media_type=found.kind)

    async def static(self, request: Request) -> Response:
        file = request.path_params["file"]
        if file not in STATIC:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        content = resources.files("modelwright.web.review").joinpath("static", file).read_bytes()
        return Response(content, media_type=STATIC[file])

    async def failed(self, request: Request, failure: Exception) -> Response:
        return await self._trouble(self._reviewer(request), str(failure), _code(failure))

    async def unknown(self, request: Request, failure: Exception) -> Response:
        if request.method == "GET":
            return self._entrance("", HTTPStatus.UNAUTHORIZED)
        error = "The server does not know you: it may have been started anew. Nothing was recorded."
        return self._entrance(error, HTTPStatus.UNAUTHORIZED)

    def _reviewer(self, request: Request) -> str:
        """Who asks; "" where nobody has said so yet."""
        return self.access.user if self.access.open else self.access.named(request.cookies.get(self.cookie, ""))

    def _known(self, request: Request) -> str:
        reviewer = self._reviewer(request)
        if not reviewer:
            raise HTTPException(HTTPStatus.UNAUTHORIZED)
        return reviewer

    def _shown(self, reviewer: str, error: str = "") -> Shown:
        """What every page shows, as far as the queue can be read."""
        queue = self.desk.queue
        try:
            standing = self.desk.standing(reviewer) if reviewer else None
            return Shown(queue.path.name, reviewer, standing, queue.rules.classes, error)
        except (ModelwrightError, OSError) as failure:
            return Shown(queue.path.name, reviewer, None, (), error or str(failure))

    def _entrance(self, error: str, code: int) -> Response:
        shown = Shown(self.desk.queue.path.name, error=error)
        return HTMLResponse(enter_page(shown, token=bool(self.access.token), name=not self.access.user), code)

    def _beat_s(self) -> float:
        """Seconds between two renewals of a lease."""
        return max(0.5, self.desk.queue.rules.lease_s / 4)

    def _give_back(self, name: str, reviewer: str, turn: int, skip: bool) -> None:
        self.desk.give_back(name, reviewer, turn, skip=skip)

    async def _next(self, reviewer: str) -> Response:
        seat = await run_in_threadpool(self.desk.take, reviewer)
        return RedirectResponse(f"/seats/{seat.name}" if seat else "/", _FOUND)

    async def _item(self, seat: Seat, error: str = "", code: int = HTTPStatus.OK) -> Response:
        shown = await run_in_threadpool(self._shown, seat.reviewer, error)
        look = await run_in_threadpool(self.inputs, seat.item.key)
        return HTMLResponse(item_page(shown, seat, look, self._beat_s()), code)

    async def _trouble(self, reviewer: str, error: str, code: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> Response:
        shown = await run_in_threadpool(self._shown, reviewer, error)
        return HTMLResponse(error_page(shown), code)

    async def _amendable(
        self, reviewer: str, key: str, seat: Seat | None, error: str = "", code: int = HTTPStatus.OK
    ) -> Response:
        own = await run_in_threadpool(self.desk.own, key, reviewer)
        shown = await run_in_threadpool(self._shown, reviewer, error)
        look = await run_in_threadpool(self.inputs, key)
        seat = seat if seat and not seat.verdict else None
        return HTMLResponse(amend_page(shown, own, look, seat, self._beat_s()), code)


async def _fields(request: Request) -> Mapping[str, str]:
    """The fields of a form."""
    body = await body_of(request)
    if body is None:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError as failure:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from failure


def _turn(given: Mapping[str, str]) -> int:
    """How often the page had been opened when the form was made; -1, which no page has, for what is no number."""
    text = given.get("turn", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1


def _label(given: Mapping[str, str]) -> str | None:
    """The class that was chosen; None for none of them.

    Raises:
        SettingError: nothing was chosen.
    """
    if "none" in given:
        return None
    if not given.get("label", "").strip():
        raise SettingError("a verdict must name a class, or say that it is none of them")
    return given["label"]


def _code(failure: Exception) -> int:
    codes = ((ConflictError, HTTPStatus.CONFLICT), ((UnknownNameError, SettingError), HTTPStatus.UNPROCESSABLE_ENTITY))
    return next((code for kinds, code in codes if isinstance(failure, kinds)), HTTPStatus.INTERNAL_SERVER_ERROR)
