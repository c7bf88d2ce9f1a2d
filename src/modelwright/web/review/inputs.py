"""What an item looks like besides its text: a picture, or numbers."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

KINDS: Mapping[str, str] = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""Endings of pictures -> their kinds. Those that can carry a script, such as SVG, are none of them."""

LARGEST = 32 * 2**20
"""Bytes of a picture that are sent at most."""

_CHANNELS = (1, 3, 4)
_FEW = 160


@final
@dataclass(frozen=True)
class Picture:
    """A picture as a browser takes it.

    Attributes:
        kind: such as "image/png".
        content: its bytes.
        small: whether it has so few pixels that each is shown as a square.
    """

    kind: str
    content: bytes
    small: bool = False


@final
@dataclass(frozen=True)
class Numbers:
    """An input that is no picture: its shape, and all that it holds, row by row."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


Inputs = Callable[[str], Picture | Numbers | None]
"""What there is to look at of an item, by its key."""


def no_inputs(key: str) -> None:
    """Nothing, for a queue whose items hold all that there is to look at."""


def inputs_in_array(rows: NDArray[Any], keys: Mapping[str, int]) -> Inputs:
    """Inputs of which each is a row of an array.

    Args:
        rows: (n, ...); rows of uint8 are pictures if they are (h, w), or have 1, 3 or 4 channels, first or last.
        keys: key of an item -> its row.
    """

    def look(key: str) -> Picture | Numbers | None:
        row = keys.get(key)
        if row is None:
            return None
        pixels = _pixels(rows[row])
        if pixels is None:
            return Numbers(rows.shape[1:], tuple(np.ravel(rows[row]).tolist()))
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        return Picture("image/png", file.getvalue(), small=max(pixels.shape[:2]) <= _FEW)

    return look


def inputs_in_folder(folder: Path) -> Inputs:
    """Pictures in files: an item's key is the name of its file under the folder."""
    root = folder.resolve()

    def look(key: str) -> Picture | None:
        kind = KINDS.get(Path(key).suffix.lower())
        if kind is None or "\0" in key:
            return None
        try:
            path = (root / key).resolve()
            inside = path.is_relative_to(root) and path.is_file() and path.stat().st_size <= LARGEST
            return Picture(kind, path.read_bytes()) if inside else None
        except OSError:  # too long a name, no permission, gone in between: there is nothing to look at
            return None

    return look


def _pixels(row: NDArray[Any]) -> NDArray[np.uint8] | None:
    """A picture as Pillow takes it, (h, w) or (h, w, c); None where the row is none."""
    if row.dtype != np.uint8 or row.ndim not in (2, 3) or not row.size:
        return None
    if row.ndim == 3 and row.shape[0] in _CHANNELS:
        row = np.moveaxis(row, 0, -1)
    if row.ndim == 3 and row.shape[-1] not in _CHANNELS:
        return None
    return np.ascontiguousarray(row[..., 0] if row.ndim == 3 and row.shape[-1] == 1 else row)
