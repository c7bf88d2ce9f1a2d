"""Which of S3's operations a request asks for, and its answer."""

from collections.abc import Awaitable, Callable

from modelwright.errors import ObjectError, RefusedError
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.aws.s3 import buckets, entities, multipart
from modelwright.serve.service import Service

Route = Callable[[Service, Request, str, str], Awaitable[Reply]]

_REFUSED = (
    "acl", "policy", "cors", "lifecycle", "encryption", "website", "logging", "notification", "replication",
    "object-lock", "legal-hold", "retention", "torrent", "select", "restore", "accelerate", "requestPayment",
    "publicAccessBlock", "ownershipControls", "analytics", "inventory", "metrics", "intelligent-tiering", "versions",
    "attributes", "tagging", "versioning",
)  # fmt: skip
"""Parts of S3 that are not served here."""


async def answer(service: Service, request: Request) -> Reply:
    """Answer one request.

    Raises:
        ModelwrightError: it is refused.
    """
    bucket, _, key = request.path.removeprefix("/").partition("/")
    if len(key.encode("utf-8", "replace")) > 1024:
        raise ObjectError("KeyTooLongError", "a key must have at most 1024 bytes")
    if not bucket:
        return await _root(service, request)
    for name in _REFUSED:
        if request.has(name):
            return await _part_of_s3(service, request, bucket, name)
    routes = _OBJECT if key else _BUCKET
    for (method, mark), route in routes.items():
        if request.method == method and (not mark or request.has(mark)):
            return await route(service, request, bucket, key)
    raise RefusedError(
        "MethodNotAllowed", "the method must be one that S3 has for this", value=request.method, status=405
    )


async def _root(service: Service, request: Request) -> Reply:
    if request.method not in ("GET", "HEAD"):
        raise RefusedError("MethodNotAllowed", "buckets can be listed", value=request.method, status=405)
    return await buckets.list_buckets(service, request)


async def _part_of_s3(service: Service, request: Request, bucket: str, name: str) -> Reply:
    if name == "versioning" and request.method == "GET":
        return await buckets.versioning(service, request, bucket)
    raise RefusedError("NotImplemented", f"S3's {name} is not served here", status=501)


_BUCKET: dict[tuple[str, str], Route] = {
    ("GET", "location"): buckets.location,
    ("GET", "uploads"): multipart.list_uploads,
    ("GET", "list-type"): buckets.list_second,
    ("GET", ""): buckets.list_first,
    ("HEAD", ""): buckets.head,
    ("POST", "delete"): buckets.delete_objects,
    ("PUT", ""): buckets.create,
    ("DELETE", ""): buckets.delete,
}
_OBJECT: dict[tuple[str, str], Route] = {
    ("PUT", "partNumber"): multipart.put_part,
    ("PUT", ""): entities.put,
    ("GET", "uploadId"): multipart.list_parts,
    ("GET", ""): entities.get,
    ("HEAD", ""): entities.head,
    ("POST", "uploads"): multipart.create,
    ("POST", "uploadId"): multipart.complete,
    ("DELETE", "uploadId"): multipart.abort,
    ("DELETE", ""): entities.delete,
}
