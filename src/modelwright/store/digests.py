"""Files by their digests, so that one which is missing or changed is found."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from modelwright.errors import RecordError
from modelwright.records import File

_WAY_OUT = "Hand the network over again, or fetch the folder again from where it came."


def file_of(path: Path) -> File:
    """A file as a manifest has it.

    Raises:
        RecordError: it cannot be read.
    """
    content = read(path)
    return File(path.name, digest(content), len(content))


def check_files(folder: Path, files: Iterable[File]) -> None:
    """Hold every file of a folder against what is told of it.

    Raises:
        RecordError: one is missing, or is not the one that was handed over; names it.
    """
    for told in files:
        found = file_of(folder / told.path)
        if found != told:
            rule = f"the file must be the one that was handed over: {told.bytes} bytes, SHA-256 {told.sha256}"
            value = f"{found.bytes} bytes, {found.sha256}"
            raise RecordError(rule, where=str(folder / told.path), value=value, way_out=_WAY_OUT)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits (FIPS 180-4)."""
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> bytes:
    """The bytes of a file that a network's folder must hold.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as failure:
        rule = f"a network's folder must hold {path.name} ({failure.strerror})"
        raise RecordError(rule, where=str(path), way_out=_WAY_OUT) from failure
