"""The keys of a bucket in order, read folder by folder as far as they are wanted."""

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable

from modelwright.errors import ObjectError
from modelwright.serve.objects.entry import Entry, Page
from modelwright.serve.objects.keys import folder_path, piece_of

Names = Callable[[str], Awaitable[list[str]]]
"""The names in a folder of a bucket."""

KeysFrom = Callable[[bytes], AsyncIterator[bytes]]
"""The keys from a least one on, in order."""


async def walk(names: Names, prefix: bytes, least: bytes) -> AsyncIterator[bytes]:
    """All keys that begin with a prefix and are not below `least`, in the order of their bytes.

    No name in a folder begins another one's keys, so a folder's keys are together in the order of its names.

    Args:
        names: reads a folder.
        prefix: of the keys.
        least: the least key, or "" for the first one.
    """
    base = prefix[: prefix.rfind(b"/") + 1]
    todo: list[tuple[bytes, str | None]] = [(base, folder_path(base))]  # key or its beginning; its folder, if it is one
    while todo:
        begun, folder = todo.pop()
        if folder is None:
            yield begun
            continue
        inside: list[tuple[bytes, str | None]] = []
        for name in await names(folder):
            piece, whole = piece_of(name)
            key = begun + piece
            if whole and key.startswith(prefix) and key >= least:
                inside.append((key, None))
            elif not whole and _meets(key, prefix) and (key >= least or least.startswith(key)):
                inside.append((key, f"{folder}/{name}".lstrip("/")))
        todo += sorted(inside, key=lambda pair: (pair[0], pair[1] is not None), reverse=True)


async def page_of(
    keys: KeysFrom, look: Callable[[bytes], Awaitable[Entry | None]], prefix: bytes, delimiter: bytes, limit: int
) -> tuple[Page, bytes]:
    """One page of a list, and the least key after it (b"" where nothing follows).

    Args:
        keys: the keys that begin with `prefix`, from a least one on; asked again after what a common prefix stands for.
        look: the object of a key; None where it is gone meanwhile.
        prefix: which the keys begin with.
        delimiter: up to which keys are taken together; b"" lists each.
        limit: of entries and prefixes together.
    """
    entries: list[Entry] = []
    prefixes: list[str] = []
    least: bytes = b""
    going = True
    while going:
        going = False
        async for key in keys(least):
            if len(entries) + len(prefixes) >= limit:
                return Page(tuple(entries), tuple(prefixes)), key
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                common = key[: cut + len(delimiter)]
                prefixes.append(common.decode())
                least, going = after_all(common), True
                break
            entry = await look(key)
            if entry:
                entries.append(entry)
    return Page(tuple(entries), tuple(prefixes)), b""


def token_of(least: bytes) -> str:
    """The continuation token of a list that goes on with a key; "" where nothing follows."""
    return base64.urlsafe_b64encode(least).decode()


def least_of(token: str) -> bytes:
    """The key that a continuation token stands for.

    Raises:
        ObjectError: InvalidArgument: no page told that token.
    """
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as failure:
        rule = "a continuation token must be one that a page told"
        raise ObjectError("InvalidArgument", rule, where="token", value=token) from failure


def after_all(prefix: bytes) -> bytes:
    """The least bytes above all that begin with a prefix (of UTF-8, which has no byte 255)."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _meets(folder: bytes, prefix: bytes) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)
