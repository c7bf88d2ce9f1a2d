"""The page's files. They hold nothing of the service: the page asks for that, with the token it was opened with."""

from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelwright.web.gate import HEADERS

STATIC = {
    "serving.css": ("web/serving/static", "text/css"),
    "serving.js": ("web/serving/static", "text/javascript"),
    "icon.svg": ("web/review/static", "image/svg+xml"),
    "echarts.min.js": ("report/vendor", "text/javascript"),
}
"""The files that the page loads: where they are, and their kinds."""

_LASTING = "public, max-age=3600"


def serving_pages() -> list[Route]:
    """The page's routes, below "/-/"."""
    return [Route("/-/", _page), Route("/-/static/{file}", _static)]


async def _page(request: Request) -> Response:
    return Response(_content("web/serving/static", "serving.html"), headers=HEADERS, media_type="text/html")


async def _static(request: Request) -> Response:
    name = request.path_params["file"]
    if name not in STATIC:
        return Response(status_code=404)
    folder, kind = STATIC[name]
    headers = HEADERS | ({"Cache-Control": _LASTING} if name == "echarts.min.js" else {})
    return Response(_content(folder, name), headers=headers, media_type=kind)


def _content(folder: str, name: str) -> bytes:
    return (resources.files("modelwright") / folder / name).read_bytes()
