"""A call of a model, its reply, and what a model must offer to be served."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, final


@final
@dataclass(frozen=True, eq=False)
class Call:
    """What POST /invocations brought.

    Attributes:
        body: the input, from its beginning; it may be long, and then lies on the disk.
        content_type, accept, custom_attributes, inference_id: as the client gave them; "" for none.
    """

    body: BinaryIO
    content_type: str = ""
    accept: str = ""
    custom_attributes: str = ""
    inference_id: str = ""

    def read(self) -> bytes:
        """The whole input."""
        self.body.seek(0)
        return self.body.read()


@final
@dataclass(frozen=True, eq=False)
class Reply:
    """What a model answers.

    Attributes:
        body: bytes, or pieces that are made while they are sent.
        content_type: of the body.
        status: of HTTP.
        custom_attributes: told back to the client; "" for none.
    """

    body: bytes | Iterator[bytes]
    content_type: str = "application/json"
    status: int = 200
    custom_attributes: str = ""


class Handler(Protocol):
    """A model that was loaded; it is called from threads, by as many at once as the instance may work on."""

    @property
    def batches(self) -> bool:
        """Whether it answers several calls together faster than one by one."""
        ...

    def answer(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """One reply for each call; one call at a time where `batches` is false.

        Raises:
            SettingError: the content type, or what is accepted, is none of its own (HTTP 415).
            RecordError, ShapeError: the input is not what it reads (HTTP 400).
            Exception: it failed (HTTP 500).
        """
        ...


Load = Callable[[Path, Mapping[str, str]], Handler]
"""Loads a handler from a model's folder and the environment's variables."""
