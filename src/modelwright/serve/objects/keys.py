"""Keys as paths, and back: whatever a key is, its path stays inside the folder, and no two keys share one.

A key is cut at each "/". Letters a-z, digits and a few signs stand for themselves; capitals are "^" and the small
letter, so that file systems which do not tell case apart still do; every other byte of the key's UTF-8 is "%xx", so
that it does not matter how a file system writes accents. What is long is cut again, since names of files end at 255
bytes. A directory's name ends in "~" where the piece goes on in it without a "/"; an object's name ends in "$".
"""

import re

from modelwright.errors import ObjectError

LONGEST_KEY = 1024
"""Bytes of UTF-8, as in S3."""

_LONGEST_NAME = 200
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_=+,@. ")
_CAPITALS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_EMPTY = "%"
_OBJECT = "$"
_ON = "~"
_UNIT = re.compile(rb"%([0-9a-f]{2})|\^([a-z])|(.)", re.DOTALL)


def check_key(key: str) -> bytes:
    """The key's UTF-8.

    Raises:
        ObjectError: it is empty, too long, or no Unicode text.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError as failure:
        raise ObjectError("InvalidURI", "a key must be Unicode text", value=key) from failure
    if not encoded:
        raise ObjectError("InvalidURI", "a key must have one character or more", where="key")
    if len(encoded) > LONGEST_KEY:
        rule = f"a key must be at most {LONGEST_KEY} bytes of UTF-8"
        raise ObjectError("KeyTooLongError", rule, where="key", value=len(encoded))
    return encoded


def check_bucket(name: str) -> None:
    """Refuse what S3 allows no bucket to be called.

    Raises:
        ObjectError: the name breaks S3's rules for names of buckets.
    """
    if (
        not re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]", name)
        or ".." in name
        or re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name)
    ):
        rule = "a bucket's name must be 3 to 63 small letters, digits, dots and hyphens, and no address of a machine"
        raise ObjectError("InvalidBucketName", rule, where="bucket", value=name)


def object_path(key: bytes) -> str:
    """Where the object of a key lies, from its bucket's folder."""
    *above, last = key.split(b"/")
    return "/".join([*(name for piece in above for name in _names(piece)), *_names(last)]) + _OBJECT


def folder_path(prefix: bytes) -> str:
    """The folder of all keys that begin with a prefix, which is empty or ends in "/"."""
    return "/".join(name for piece in prefix.split(b"/")[:-1] for name in _names(piece))


def piece_of(name: str) -> tuple[bytes, bool]:
    """What a name of a file or folder adds to the key, and whether it is an object."""
    if name.endswith(_OBJECT):
        return _read(name[:-1]), True
    return (_read(name[:-1]), False) if name.endswith(_ON) else (_read(name) + b"/", False)


def _names(piece: bytes) -> list[str]:
    """The piece between two slashes as names; all but the last end in "~"."""
    names, name = [], ""
    dots = not piece.strip(b".")
    for byte in piece:
        name += _unit(byte, dots)
        if len(name) >= _LONGEST_NAME:
            names.append(name + _ON)
            name = ""
    return [*names, name or _EMPTY]


def _unit(byte: int, dots: bool) -> str:
    if byte in _CAPITALS:
        return "^" + chr(byte).lower()
    return chr(byte) if byte in _PLAIN and not dots else f"%{byte:02x}"


def _read(name: str) -> bytes:
    if name == _EMPTY:
        return b""
    return b"".join(
        bytes.fromhex(unit[1].decode()) if unit[1] else (unit[2].upper() if unit[2] else unit[3])
        for unit in _UNIT.finditer(name.encode())
    )
