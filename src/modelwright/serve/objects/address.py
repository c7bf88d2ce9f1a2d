"""Addresses of objects, and of the stores that keep them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelwright.clock import Clock
from modelwright.errors import SettingError
from modelwright.serve.objects.objects import Objects
from modelwright.serve.objects.own import open_own
from modelwright.serve.objects.remote import RemoteObjects

MEMORY = "memory:"
"""The address of a store that keeps all in memory, for tests."""


def place_of(address: str) -> tuple[str, str]:
    """Bucket and key of an address such as "s3://bucket/key"; the key may be "".

    Raises:
        SettingError: the address names no bucket.
    """
    scheme, _, rest = address.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise SettingError("an object's address must read s3://bucket/key", value=address)
    return bucket, key


def address_of(bucket: str, key: str) -> str:
    """The address of an object."""
    return f"s3://{bucket}/{key}"


async def open_objects(address: str, clock: Clock, ids: Callable[[], str], settings: Mapping[str, Any]) -> Objects:
    """The object store at an address: a folder, "memory:", or the http(s) URL of an S3-compatible service.

    Args:
        address: where the objects are.
        clock: tells when an object was put.
        ids: makes names that nobody can guess.
        settings: of an S3-compatible service, see `RemoteObjects`.

    Raises:
        BusyError: another process has the folder.
        StoreError: the folder cannot be read.
    """
    if address.startswith(("http://", "https://")):
        plain = {"client_options": {"allow_http": True}} if address.startswith("http:") else {}
        return RemoteObjects({**plain, **settings, "endpoint": address.rstrip("/")})
    return await open_own(None if address == MEMORY else Path(address), clock, ids)
