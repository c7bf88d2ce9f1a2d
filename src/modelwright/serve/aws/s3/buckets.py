"""Buckets, and the lists of what they hold."""

from modelwright.errors import ObjectError, RefusedError
from modelwright.serve.aws.exchange import MOST_BYTES, Reply, Request, whole
from modelwright.serve.aws.s3 import texts
from modelwright.serve.aws.s3.bodies import whole_body
from modelwright.serve.service import Service

MOST_KEYS = 1000
"""A page lists so many, and so many are deleted at once."""


async def list_buckets(service: Service, request: Request) -> Reply:
    """ListBuckets."""
    return texts.buckets(service.objects.buckets(), request.id)


async def create(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """CreateBucket; its region is taken for ours, whatever is said."""
    await whole_body(request, MOST_BYTES)
    await service.objects.create_bucket(bucket)
    return Reply(headers={"location": f"/{bucket}", "x-amz-request-id": request.id})


async def head(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """HeadBucket."""
    _known(service, bucket)
    return Reply(headers={"x-amz-bucket-region": service.site.region, "x-amz-request-id": request.id})


async def delete(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """DeleteBucket."""
    await service.objects.delete_bucket(bucket)
    return Reply(status=204, headers={"x-amz-request-id": request.id})


async def location(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """GetBucketLocation; us-east-1 is told as nothing, as S3 does."""
    _known(service, bucket)
    region = service.site.region
    return texts.page("LocationConstraint", "" if region == "us-east-1" else region, request.id)


async def versioning(service: Service, request: Request, bucket: str) -> Reply:
    """GetBucketVersioning: there is none."""
    _known(service, bucket)
    return texts.page("VersioningConfiguration", "", request.id)


async def list_second(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """ListObjectsV2."""
    encoding, limit = request.one("encoding-type"), _limit(request)
    prefix, delimiter = request.one("prefix"), request.one("delimiter")
    after, token = request.one("start-after"), request.one("continuation-token")
    found = await service.objects.list(bucket, prefix, delimiter, after=after, token=token, limit=max(limit, 1))
    entries, prefixes = (found.entries, found.prefixes) if limit else ((), ())
    content = "".join(
        (
            texts.element("Name", bucket),
            texts.element("Prefix", texts.key_text(prefix, encoding)),
            texts.element("Delimiter", texts.key_text(delimiter, encoding) or None),
            texts.element("StartAfter", texts.key_text(after, encoding) or None),
            texts.element("ContinuationToken", token or None),
            texts.element("NextContinuationToken", found.token or None if limit else None),
            texts.element("EncodingType", encoding or None),
            texts.element("KeyCount", len(entries) + len(prefixes)),
            texts.element("MaxKeys", limit),
            texts.element("IsTruncated", bool(found.token) and limit > 0),
            texts.contents(entries, prefixes, encoding),
        )
    )
    return texts.page("ListBucketResult", content, request.id)


async def list_first(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """ListObjects, S3's first way."""
    encoding, limit = request.one("encoding-type"), _limit(request)
    prefix, delimiter, marker = request.one("prefix"), request.one("delimiter"), request.one("marker")
    found = await service.objects.list(bucket, prefix, delimiter, after=marker, limit=max(limit, 1))
    entries, prefixes = (found.entries, found.prefixes) if limit else ((), ())
    more = bool(found.token) and limit > 0
    last = max((*(one.key for one in entries), *prefixes), default="")
    content = "".join(
        (
            texts.element("Name", bucket),
            texts.element("Prefix", texts.key_text(prefix, encoding)),
            texts.element("Marker", texts.key_text(marker, encoding)),
            texts.element("Delimiter", texts.key_text(delimiter, encoding) or None),
            texts.element("NextMarker", texts.key_text(last, encoding) if more and delimiter else None),
            texts.element("EncodingType", encoding or None),
            texts.element("MaxKeys", limit),
            texts.element("IsTruncated", more),
            texts.contents(entries, prefixes, encoding),
        )
    )
    return texts.page("ListBucketResult", content, request.id)


async def delete_objects(service: Service, request: Request, bucket: str, key: str) -> Reply:
    """DeleteObjects."""
    root = texts.read(await whole_body(request, 2 * 1024 * 1024))
    keys = [one.findtext("Key") or "" for one in root.iter("Object")]
    if not keys or len(keys) > MOST_KEYS or not all(keys):
        raise RefusedError("MalformedXML", f"1 to {MOST_KEYS} keys must be named", value=len(keys))
    await service.objects.delete(bucket, keys)
    quiet = root.findtext("Quiet") == "true"
    rows = "" if quiet else "".join(f"<Deleted>{texts.element('Key', one)}</Deleted>" for one in keys)
    return texts.page("DeleteResult", rows, request.id)


def _known(service: Service, bucket: str) -> None:
    if bucket not in {one.name for one in service.objects.buckets()}:
        raise ObjectError("NoSuchBucket", "the bucket must exist", value=bucket)


def _limit(request: Request) -> int:
    return min(whole(request.one("max-keys", str(MOST_KEYS)), "max-keys", "InvalidArgument"), MOST_KEYS)
