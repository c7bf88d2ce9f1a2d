"""S3's XML, written and read."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote
from xml.etree import ElementTree
from xml.parsers import expat

from modelwright.errors import RefusedError
from modelwright.serve.aws.exchange import Reply
from modelwright.serve.aws.forms import clean_xml
from modelwright.serve.objects import Bucket, Entry, Part, Upload

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CLASS = "<StorageClass>STANDARD</StorageClass>"
_OWNER = "<Owner><ID>local</ID></Owner>"


def page(root: str, content: str, request_id: str) -> Reply:
    """An answer in XML."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{content}</{root}>'
    return Reply(body.encode(), headers={"content-type": "application/xml", "x-amz-request-id": request_id})


def element(name: str, value: object) -> str:
    """One element; nothing for None."""
    if value is None:
        return ""
    text = ("true" if value else "false") if isinstance(value, bool) else clean_xml(str(value))
    return f"<{name}>{text}</{name}>"


def stamp(at: float) -> str:
    """A time as S3 writes it in XML."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(at: float) -> str:
    """A time as HTTP writes it."""
    return format_datetime(datetime.fromtimestamp(int(at), UTC), usegmt=True)


def key_text(key: str, encoding: str) -> str:
    """A key, percent-encoded where the client asked for that."""
    return quote(key, safe="/-_.~*") if encoding == "url" else key


def buckets(found: Iterable[Bucket], request_id: str) -> Reply:
    """ListBuckets."""
    rows = "".join(
        f"<Bucket>{element('Name', one.name)}{element('CreationDate', stamp(one.created))}</Bucket>" for one in found
    )
    return page("ListAllMyBucketsResult", f"{_OWNER}<Buckets>{rows}</Buckets>", request_id)


def contents(entries: Sequence[Entry], prefixes: Sequence[str], encoding: str) -> str:
    """Objects and common prefixes of a list."""
    rows = [
        f"<Contents>{element('Key', key_text(one.key, encoding))}{element('LastModified', stamp(one.modified))}"
        f"<ETag>&quot;{one.etag}&quot;</ETag>{element('Size', one.size)}{_CLASS}</Contents>"
        for one in entries
    ]
    rows += [f"<CommonPrefixes>{element('Prefix', key_text(one, encoding))}</CommonPrefixes>" for one in prefixes]
    return "".join(rows)


def parts(found: Sequence[Part]) -> str:
    """Parts of an upload."""
    return "".join(
        f"<Part>{element('PartNumber', one.number)}{element('LastModified', stamp(one.modified))}"
        f"<ETag>&quot;{one.etag}&quot;</ETag>{element('Size', one.size)}</Part>"
        for one in found
    )


def uploads(found: Sequence[Upload], encoding: str) -> str:
    """Uploads of a bucket."""
    return "".join(
        f"<Upload>{element('Key', key_text(one.key, encoding))}{element('UploadId', one.id)}"
        f"{element('Initiated', stamp(one.started))}{_OWNER}</Upload>"
        for one in found
    )


def read(content: bytes) -> ElementTree.Element:
    """XML that a client sent, its namespaces left out.

    Raises:
        RefusedError: it is none, or declares entities.
    """
    if re.search(rb"<!\s*(DOCTYPE|ENTITY)", content, re.IGNORECASE):
        raise RefusedError("MalformedXML", "XML must declare no entities")
    try:
        root = ElementTree.fromstring(content)  # no entities, see above, and a bounded length
    except (ElementTree.ParseError, expat.ExpatError, ValueError, LookupError) as failure:
        raise RefusedError("MalformedXML", f"a body must be XML ({failure})") from failure
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
    return root
