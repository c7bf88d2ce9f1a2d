"""Objects are put, read, copied and deleted."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from modelwright.errors import ObjectError, RefusedError
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.aws.s3 import texts
from modelwright.serve.aws.s3.bodies import Body
from modelwright.serve.objects import BINARY, About, Condition, Entry, Span
from modelwright.serve.service import Service

_META = "x-amz-meta-"
_KEPT = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
_TOLD = {f"response-{name}": name for name in (*_KEPT, "content-type")}


async def put(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """PutObject, or CopyObject where a source is named."""
    if "x-amz-copy-source" in request.headers:
        return await _copy(service, request, bucket, key)
    body = Body(request)
    entry = await service.objects.put(bucket, key, body.pieces(), about_of(request), condition_of(request))
    return Reply(headers={"etag": f'"{entry.etag}"', "x-amz-request-id": request.id, **body.checksums})


async def head(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """HeadObject."""
    entry = await service.objects.head(bucket, key)
    if unchanged := _check(request.headers, entry):
        return unchanged
    span = span_of(request)
    start, stop = _bounds(span, entry.size)
    headers = _headers(request, entry)
    if span:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{entry.size}"
    return Reply(status=206 if span else 200, headers=headers, length=stop - start)


async def get(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """GetObject, all of it or a range."""
    span = span_of(request)
    found = await service.objects.get(bucket, key, span)
    if unchanged := _check(request.headers, found.entry):
        return unchanged
    headers = _headers(request, found.entry)
    if span:
        headers["content-range"] = f"bytes {found.start}-{found.stop - 1}/{found.entry.size}"
    return Reply(found.body, 206 if span else 200, headers, found.stop - found.start)


async def delete(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """DeleteObject; one that is not there is no error."""
    await service.objects.delete(bucket, [key])
    return Reply(status=204, headers={"x-amz-request-id": request.id})


async def _copy(service: Service, request: Request, bucket: str, key: str) -> Reply:
    source = source_of(request)
    await check_source(service, request, source)
    about = about_of(request) if request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE" else None
    if source == (bucket, key) and about is None:
        raise RefusedError("InvalidRequest", "a copy onto itself must change what is kept with the object")
    entry = await service.objects.copy(source, (bucket, key), about, condition_of(request))
    content = f"<ETag>&quot;{entry.etag}&quot;</ETag>{texts.element('LastModified', texts.stamp(entry.modified))}"
    return texts.page("CopyObjectResult", content, request.id)


def source_of(request: Request) -> tuple[str, str]:
    """Bucket and key of what is copied."""
    text = unquote(request.headers["x-amz-copy-source"].partition("?")[0])
    bucket, _, key = text.removeprefix("/").partition("/")
    if not bucket or not key:
        raise RefusedError("InvalidArgument", "a copy's source must read bucket/key", value=text[:200])
    return bucket, key


async def check_source(service: Service, request: Request, source: tuple[str, str]) -> None:
    """Check the conditions under which something is copied."""
    marks = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
    told = {
        name: request.headers[f"x-amz-copy-source-{name}"]
        for name in marks
        if f"x-amz-copy-source-{name}" in request.headers
    }
    if told and _check(told, await service.objects.head(*source)):
        raise ObjectError("PreconditionFailed", "the source must be as the conditions say")


def about_of(request: Request) -> About:
    """What is kept with an object."""
    headers = request.headers
    metadata = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    kept = {name: headers[name] for name in _KEPT if name in headers}
    coding = ",".join(
        one for one in kept.get("content-encoding", "").split(",") if one.strip() not in ("", "aws-chunked")
    )
    kept.pop("content-encoding", None)
    if coding:
        kept["content-encoding"] = coding
    return About(headers.get("content-type", BINARY) or BINARY, metadata, kept)


def condition_of(request: Request) -> Condition:
    """Under which a put takes place."""
    none, match = request.headers.get("if-none-match", ""), request.headers.get("if-match", "")
    if none and none.strip() != "*":
        raise RefusedError("NotImplemented", "If-None-Match of a put must be *", value=none[:80], status=501)
    return Condition(bool(none), match.strip().strip('"'))


def span_of(request: Request) -> Span | None:
    """The range that is asked for; None for all, and for what is no range, as HTTP wants it."""
    form = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("range", "").strip())
    if form is None or form.groups() == ("", ""):
        return None
    first, last = (int(text) if text else None for text in form.groups())
    if first is not None and last is not None and last < first:
        return None
    return Span(first, last)


def _bounds(span: Span | None, size: int) -> tuple[int, int]:
    bounds = span.within(size) if span else (0, size)
    if bounds is None:
        raise ObjectError("InvalidRange", f"a range must begin within the object's {size} bytes")
    return bounds


def _headers(request: Request, entry: Entry) -> dict[str, str]:
    headers = {
        "etag": f'"{entry.etag}"',
        "last-modified": texts.http_date(entry.modified),
        "accept-ranges": "bytes",
        "content-type": entry.about.content_type,
        "x-amz-request-id": request.id,
        **entry.about.headers,
        **{f"{_META}{name}": value for name, value in entry.about.metadata.items()},
    }
    return headers | {name: value for mark, name in _TOLD.items() if (value := request.one(mark))}


def _check(headers: Mapping[str, str], entry: Entry) -> Reply | None:
    """The conditions of a read (RFC 9110, 13.2.2).

    Raises:
        ObjectError: PreconditionFailed.
    """
    marks = [name for name in ("if-match", "if-none-match") if name in headers]
    etags = {name: [one.strip().strip('"') for one in headers[name].split(",")] for name in marks}
    if "if-match" in etags:
        if not {entry.etag, "*"}.intersection(etags["if-match"]):
            raise ObjectError("PreconditionFailed", "the object must have the etag that is asked for")
    elif (since := _time(headers.get("if-unmodified-since", ""))) is not None and int(entry.modified) > since:
        raise ObjectError("PreconditionFailed", "the object must not have changed since then")
    told = {"etag": f'"{entry.etag}"', "last-modified": texts.http_date(entry.modified)}
    if "if-none-match" in etags:
        return Reply(status=304, headers=told) if {entry.etag, "*"}.intersection(etags["if-none-match"]) else None
    since = _time(headers.get("if-modified-since", ""))
    return Reply(status=304, headers=told) if since is not None and int(entry.modified) <= since else None


def _time(text: str) -> float | None:
    try:
        at = parsedate_to_datetime(text) if text else None
        return None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
