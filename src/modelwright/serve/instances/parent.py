"""What an instance's process and its parent are tied by: a pipe to tell on, and one that ends it."""

import contextlib
import os
import threading
from typing import Any

import msgspec


def tell(pipe: int | None, line: dict[str, Any]) -> None:
    """Tell the parent something, as a line of JSON; whoever has stopped listening has heard enough."""
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            os.write(pipe, msgspec.json.encode(line) + b"\n")


def end_with_parent(lifeline: int | None) -> None:
    """End this process at once when the other end of the pipe closes, as it does when the parent dies."""
    if lifeline is not None:
        threading.Thread(target=_wait, args=(lifeline,), daemon=True).start()


def _wait(lifeline: int) -> None:
    while os.read(lifeline, 1):
        continue
    os._exit(1)
