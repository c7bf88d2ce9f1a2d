"""Objects in buckets, by S3's semantics: in a folder, in memory, or in an S3-compatible service elsewhere.

    objects = await open_own(Path("data/objects"), SystemClock(), ids)   # ids: secrets.token_urlsafe
    await objects.create_bucket("answers")
    entry = await objects.put("answers", "a/1.json", body, About("application/json"))
    async for piece in (await objects.get("answers", "a/1.json")).body: ...

Bodies are bytes or asynchronous iterators of bytes, and are held in memory nowhere. An object appears whole or not at
all, is on the disk when its put returns, and stays as it was for who has opened it.
"""

from modelwright.serve.objects.address import MEMORY, address_of, open_objects, place_of
from modelwright.serve.objects.entry import (
    BINARY,
    PLAIN,
    About,
    Bucket,
    Condition,
    Entry,
    Found,
    Page,
    Part,
    Span,
    Upload,
)
from modelwright.serve.objects.objects import ANYHOW, Body, Objects
from modelwright.serve.objects.own import OwnObjects, open_own
from modelwright.serve.objects.parts import LEAST_PART, MOST_PARTS, Parts
from modelwright.serve.objects.remote import RemoteObjects

__all__ = [
    "ANYHOW",
    "BINARY",
    "LEAST_PART",
    "MEMORY",
    "MOST_PARTS",
    "PLAIN",
    "About",
    "Body",
    "Bucket",
    "Condition",
    "Entry",
    "Found",
    "Objects",
    "OwnObjects",
    "Page",
    "Part",
    "Parts",
    "RemoteObjects",
    "Span",
    "Upload",
    "address_of",
    "open_objects",
    "open_own",
    "place_of",
]
