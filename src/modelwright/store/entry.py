"""One line of a journal, and the seal that tells whether it is still what was written.

A row's seal is the SHA-256 of the seal before it and of all that the row says. As the row also holds that earlier seal,
each row can be checked by itself, which is what a salvage needs, and each against its neighbour, which is what a reader
needs: a line that was changed, lost, added or moved does not fit.
"""

import hashlib
from dataclasses import dataclass
from typing import TypeGuard, final

Row = tuple[int, bytes, bytes, bytes, bytes, bytes]
"""As it stands in the file: number, kind, at, body, the seal before, the seal. All texts are UTF-8."""

FIRST = bytes(hashlib.sha256().digest_size)
"""What the first row holds for the seal before it."""


@final
@dataclass(frozen=True)
class Entry:
    """One line of a journal.

    Attributes:
        number: from 1, without gaps.
        kind: what the body is, in one word.
        at: when it was appended, ISO 8601 in UTC.
        body: JSON.
    """

    number: int
    kind: str
    at: str
    body: bytes


def sealed(entry: Entry, previous: bytes) -> Row:
    """The row of an entry that follows the one with that seal."""
    texts = (entry.kind.encode(), entry.at.encode(), entry.body)
    return (entry.number, *texts, previous, _seal(entry.number, texts, previous))


def intact(row: tuple[object, ...]) -> TypeGuard[Row]:
    """Whether what came out of a file is a row as it was written."""
    if len(row) != 6:
        return False
    number, *texts, seal = row
    if not isinstance(number, int) or not all(isinstance(text, bytes) for text in texts):
        return False
    kind, at, body, previous = (bytes(text) for text in texts if isinstance(text, bytes))
    return seal == _seal(number, (kind, at, body), previous)


def entry_of(row: Row) -> Entry:
    """The entry that an intact row holds."""
    number, kind, at, body, _, _ = row
    return Entry(number, kind.decode(), at.decode(), body)


def _seal(number: int, texts: tuple[bytes, bytes, bytes], previous: bytes) -> bytes:
    """Neither a kind nor a time holds a zero byte, so no two rows are sealed alike."""
    return hashlib.sha256(b"\0".join((previous, b"%d" % number, *texts))).digest()
