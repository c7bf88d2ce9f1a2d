"""Uploads in parts."""

from modelwright.errors import ObjectError, RefusedError
from modelwright.serve.aws.exchange import Reply, Request, whole
from modelwright.serve.aws.s3 import texts
from modelwright.serve.aws.s3.bodies import Body, whole_body
from modelwright.serve.aws.s3.entities import about_of, check_source, condition_of, source_of
from modelwright.serve.objects import Span
from modelwright.serve.service import Service

_MOST_XML = 4 * 1024 * 1024


async def create(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """CreateMultipartUpload."""
    upload = await service.objects.parts.create(bucket, key, about_of(request))
    content = texts.element("Bucket", bucket) + texts.element("Key", key) + texts.element("UploadId", upload.id)
    return texts.page("InitiateMultipartUploadResult", content, request.id)


async def put_part(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """UploadPart, or UploadPartCopy where a source is named."""
    id = await _upload(service, request, bucket, key)
    number = _number(request.one("partNumber"), "partNumber")
    if "x-amz-copy-source" in request.headers:
        source = source_of(request)
        await check_source(service, request, source)
        found = await service.objects.get(*source, _span(request.headers.get("x-amz-copy-source-range", "")))
        part = await service.objects.parts.put(id, number, found.body)
        content = f"<ETag>&quot;{part.etag}&quot;</ETag>{texts.element('LastModified', texts.stamp(part.modified))}"
        return texts.page("CopyPartResult", content, request.id)
    body = Body(request)
    part = await service.objects.parts.put(id, number, body.pieces())
    return Reply(headers={"etag": f'"{part.etag}"', "x-amz-request-id": request.id, **body.checksums})


async def list_parts(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """ListParts."""
    id = await _upload(service, request, bucket, key)
    marker = _number(request.one("part-number-marker") or "0", "part-number-marker")
    limit = min(_number(request.one("max-parts") or "1000", "max-parts"), 1000)
    every = [one for one in await service.objects.parts.parts(id) if one.number > marker]
    shown = every[:limit]
    more = len(every) > len(shown)
    content = "".join(
        (
            texts.element("Bucket", bucket),
            texts.element("Key", key),
            texts.element("UploadId", id),
            texts.element("PartNumberMarker", marker),
            texts.element("NextPartNumberMarker", shown[-1].number if more and shown else None),
            texts.element("MaxParts", limit),
            texts.element("IsTruncated", more),
            texts.parts(shown),
        )
    )
    return texts.page("ListPartsResult", content, request.id)


async def list_uploads(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """ListMultipartUploads, all on one page."""
    encoding, prefix = request.one("encoding-type"), request.one("prefix")
    found = await service.objects.parts.uploads(bucket, prefix)
    content = "".join(
        (
            texts.element("Bucket", bucket),
            texts.element("Prefix", texts.key_text(prefix, encoding)),
            texts.element("EncodingType", encoding or None),
            texts.element("MaxUploads", max(1000, len(found))),
            texts.element("IsTruncated", False),
            texts.uploads(found, encoding),
        )
    )
    return texts.page("ListMultipartUploadsResult", content, request.id)


async def complete(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """CompleteMultipartUpload."""
    id = await _upload(service, request, bucket, key)
    root = texts.read(await whole_body(request, _MOST_XML))
    chosen = [
        (_number(one.findtext("PartNumber") or "", "PartNumber"), one.findtext("ETag") or "")
        for one in root.iter("Part")
    ]
    entry = await service.objects.parts.complete(id, chosen, condition_of(request))
    content = "".join(
        (
            texts.element("Location", f"/{bucket}/{key}"),
            texts.element("Bucket", bucket),
            texts.element("Key", key),
            f"<ETag>&quot;{entry.etag}&quot;</ETag>",
        )
    )
    return texts.page("CompleteMultipartUploadResult", content, request.id)


async def abort(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """AbortMultipartUpload."""
    await service.objects.parts.abort(await _upload(service, request, bucket, key))
    return Reply(status=204, headers={"x-amz-request-id": request.id})


async def _upload(service: Service, request: Request, bucket: str, key: str) -> str:
    """The id of an upload of this very key."""
    id = request.one("uploadId")
    upload = await service.objects.parts.upload(id)
    if (upload.bucket, upload.key) != (bucket, key):
        raise ObjectError("NoSuchUpload", "the upload must be of this key", value=id)
    return id


def _number(text: str, name: str) -> int:
    return whole(text, name, "InvalidArgument")


def _span(text: str) -> Span | None:
    if not text:
        return None
    first, dash, last = text.removeprefix("bytes=").partition("-")
    if not (text.startswith("bytes=") and dash):
        raise RefusedError("InvalidArgument", "a source's range must read bytes=FIRST-LAST", value=text[:80])
    return Span(*(whole(one, "x-amz-copy-source-range", "InvalidArgument") for one in (first, last)))
