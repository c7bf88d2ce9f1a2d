"""Rows read from the pages of a SQLite file one by one, without what would lead there: the head, the schema, the tree.

SQLite itself finds a row by way of the first page and the pages above the row, and gives up where one of them is
damaged. A page with rows can be read by itself: the format is documented and will not change
(https://sqlite.org/fileformat2.html, sections 1.6 B-tree Pages and 2.1 Record Format). Whether a row is what was
written is for its seal to say.
"""

from collections.abc import Iterator

from modelwright.store.connection import PAGE

_LEAF = 0x0D
"""First byte of a page that holds rows of a table."""


def rows(data: bytes) -> Iterator[tuple[object, ...]]:
    """All that can be taken for a row of texts and blobs; the first column is the row's number.

    Args:
        data: the file.
    """
    for start in range(PAGE, len(data), PAGE):  # the first page holds the schema
        if data[start] != _LEAF:
            continue
        for cell in range(int.from_bytes(data[start + 3 : start + 5])):
            pointer = start + 8 + 2 * cell
            place = start + int.from_bytes(data[pointer : pointer + 2])
            try:
                yield _row(data, place)
            except IndexError:  # it points out of the file
                continue


def _row(data: bytes, place: int) -> tuple[object, ...]:
    """The row whose cell begins there: how long the record is, its number, the record."""
    length, place = _varint(data, place)
    if length > len(data):
        raise IndexError(length)
    number, place = _varint(data, place)
    record = _record(data, place, length)
    end, at = _varint(record, 0)
    widths = []
    while at < end:
        serial, at = _varint(record, at)
        widths.append(max(serial - 12, 0) // 2)  # 0 stands for null, 12 + 2n for a blob, 13 + 2n for a text
    values: list[object] = []
    for width in widths:
        values.append(record[at : at + width])
        at += width
    return (number, *values[1:])  # the number stands in the cell; its column is null


def _record(data: bytes, place: int, length: int) -> bytes:
    """A record's bytes: those in the page, and those in the pages that it overflows to."""
    most, least = PAGE - 35, (PAGE - 12) * 32 // 255 - 23
    if length <= most:
        return data[place : place + length]
    fitting = least + (length - least) % (PAGE - 4)
    local = fitting if fitting <= most else least
    parts, place, held = [data[place : place + local]], place + local, local
    while held < length:
        start = (int.from_bytes(data[place : place + 4]) - 1) * PAGE
        part = data[start + 4 : start + PAGE][: length - held] if start >= 0 else b""
        if not part:
            break
        parts.append(part)
        place, held = start, held + len(part)
    return b"".join(parts)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A whole number of one to nine bytes, and where it ends."""
    value = 0
    for count in range(8):
        byte = data[place + count]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count + 1
    return value << 8 | data[place + 8], place + 9
