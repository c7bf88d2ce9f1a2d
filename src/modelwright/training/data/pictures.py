"""Encoded images (PNG, JPEG and whatever else Pillow reads) as pixels, all of one size and one number of channels."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelwright.errors import RecordError

_GREY = ("1", "L", "LA")
_COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")


@final
@dataclass(frozen=True)
class Pictures:
    """Encoded images, decoded by number.

    Attributes:
        sources: each one's bytes, or its file.
        where: what errors call the set by; an image with a file of its own is called by that.
        shape: channels (1 or 3), height and width that all must have.
    """

    sources: Sequence[bytes | Path]
    where: str
    shape: tuple[int, int, int]

    def __call__(self, number: int) -> NDArray[np.uint8]:
        """The pixels of one image, (H, W, C); a grey image in a set of coloured ones becomes coloured.

        Raises:
            RecordError: it cannot be decoded, or is of another size, or coloured in a set of grey ones.
        """
        source = self.sources[number]
        place = str(source) if isinstance(source, Path) else f"{self.where}, image {number}"
        pixels = decode(source, place, colour=self.shape[0] == 3)
        if (pixels.shape[2], *pixels.shape[:2]) != self.shape:
            raise RecordError(
                f"all images must be {_told(self.shape)}, as the first training image is",
                where=place,
                value=_told((pixels.shape[2], *pixels.shape[:2])),
                way_out="Bring all images to one size and mode first, or take this one out.",
            )
        return pixels


def shape_of(source: bytes | Path, where: str) -> tuple[int, int, int]:
    """Channels, height and width of an encoded image.

    Raises:
        RecordError: it cannot be decoded.
    """
    height, width, channels = decode(source, where).shape
    return channels, height, width


def decode(source: bytes | Path, where: str, *, colour: bool = False) -> NDArray[np.uint8]:
    """The pixels of one encoded image, (H, W, C), C = 1 for grey and 3 for colour.

    Args:
        source: its bytes, or its file.
        where: what to call it in errors.
        colour: whether a grey image becomes a coloured one.

    Raises:
        RecordError: it cannot be decoded, or has more than 8 bits a pixel.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.mode not in (*_GREY, *_COLOUR):
                rule = "an image must have 8 bits a channel, grey or coloured"
                raise RecordError(
                    rule, where=where, value=f"Pillow's mode {image.mode}", way_out="Convert it to PNG in RGB."
                )
            grey = image.mode in _GREY and not colour
            pixels = np.array(image.convert("L" if grey else "RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as failure:
        if isinstance(failure, RecordError):
            raise
        raise RecordError(
            f"an image must be whole and of a format that Pillow reads ({failure})",
            where=where,
            way_out="Get it again, or take it out.",
        ) from failure
    return pixels[:, :, None] if grey else pixels


def _told(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[2]} pixels, {'grey' if shape[0] == 1 else 'coloured'}"
