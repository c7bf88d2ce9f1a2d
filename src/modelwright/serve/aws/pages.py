"""Lists that are cut into pages where they are told."""

from collections.abc import Sequence
from typing import TypeVar

from modelwright.errors import RefusedError

T = TypeVar("T")


def paged(rows: Sequence[T], limit: int, token: str, invalid: str = "InvalidNextTokenException") -> tuple[list[T], str]:
    """A page, and the token of the next one; "" where there is none.

    Args:
        rows: all of them, in an order that stays.
        limit: rows a page.
        token: of this page; "" for the first.
        invalid: the service's code for a token that is none.

    Raises:
        RefusedError: the token is none.
    """
    if token and not (token.isascii() and token.isdigit() and len(token) < 10):
        raise RefusedError(invalid, "a token must be one that came with the page before", value=token[:80])
    begin = int(token or 0)
    end = begin + limit
    return list(rows[begin:end]), str(end) if end < len(rows) else ""
