"""idx files, as of MNIST and Fashion-MNIST: a header of big-endian numbers, then bytes; gzipped or not.

Source of the format: LeCun, Cortes and Burges, The MNIST database, 1998.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from modelwright.errors import RecordError, SettingError
from modelwright.training.data.data import Data, assemble, numbered
from modelwright.training.data.split import Held

FASHION = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)
"""Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv 1708.07747."""

_PREFIXES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("t10k", "test")}
_AGAIN = "Download the file again."


def fashion_mnist(folder: Path | None = None, seed: int = 0) -> Data:
    """Fashion-MNIST: 70,000 grey images of 28x28 pixels, ten classes of clothes.

    Args:
        folder: with its four files, such as train-images-idx3-ubyte.gz.
        seed: of the validation split, which is drawn from the training images.

    Raises:
        SettingError: no folder was named.
        RecordError: a file is missing or breaks a rule.
    """
    if folder is None:
        way_out = (
            "Get its four .gz files from https://github.com/zalandoresearch/fashion-mnist (or by apt-get install "
            "dataset-fashion-mnist) and name their folder."
        )
        raise SettingError("fashion-mnist needs the folder of its files", way_out=way_out)
    return _assemble("fashion-mnist", folder, FASHION, seed)


def from_idx(folder: Path, seed: int = 0) -> Data:
    """The data set in a folder of idx files: train-images..., train-labels..., t10k-images... and so on.

    Raises:
        RecordError: a file is missing or breaks a rule.
    """
    return _assemble(str(folder), folder, None, seed)


def _assemble(name: str, folder: Path, classes: tuple[str, ...] | None, seed: int) -> Data:
    splits = {key: split for key in _PREFIXES if (split := _split(folder, key)) is not None}
    if "train" not in splits:
        rule = "the folder must hold train-images-idx3-ubyte and train-labels-idx1-ubyte, gzipped or not"
        raise RecordError(rule, where=str(folder), way_out="Check its path.")
    shape = tuple(splits["train"].images.shape[1:])
    for key, split in splits.items():
        if split.images.shape[1:] != shape:
            rule = f"all images must have the {shape[1]}x{shape[2]} pixels of train"
            value = "x".join(map(str, split.images.shape[2:]))
            raise RecordError(rule, where=f"{folder}, {key}", value=value, way_out="Resize them.")
    labels = splits["train"].labels
    found = classes or numbered(labels, f"{folder}, train")
    return assemble(name, found, (1, shape[1], shape[2]), splits, seed)


def _split(folder: Path, key: str) -> Held | None:
    for prefix in _PREFIXES[key]:
        images, labels = (sorted(folder.glob(f"{prefix}-{what}*ubyte*")) for what in ("images", "labels"))
        if images and labels:
            pixels, numbers = read_idx(images[0], 3), read_idx(labels[0], 1)
            if len(pixels) != len(numbers):
                rule = f"there must be one label for each of the {len(pixels)} images"
                raise RecordError(rule, where=str(labels[0]), value=len(numbers), way_out=_AGAIN)
            return Held(torch.from_numpy(pixels).unsqueeze(1), torch.from_numpy(numbers.astype(np.int64)))
        if images or labels:
            rule = f"images and labels must both be there, {prefix}-images... and {prefix}-labels..."
            raise RecordError(rule, where=str(folder), value=(images + labels)[0].name, way_out="Add the other file.")
    return None


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """The bytes of one idx file, as an array of that many axes.

    Raises:
        RecordError: the file is cut off, too long, not gzip though it says so, or holds something else.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if magic != bytes((0, 0, 8, axes)):
                rule = f"an idx file of bytes with {axes} axes must begin with 00 00 08 {axes:02x}"
                raise RecordError(rule, where=str(path), value=magic.hex(" "), way_out="Check which file this is.")
            sizes = [int.from_bytes(file.read(4), "big") for _ in range(axes)]
            content = file.read(math.prod(sizes) + 1)
    except (OSError, EOFError, zlib.error, OverflowError, MemoryError) as failure:
        raise RecordError(
            f"the file must be whole and readable ({failure})", where=str(path), way_out=_AGAIN
        ) from failure
    if len(content) != math.prod(sizes):
        rule = f"after the header there must be {'x'.join(map(str, sizes))} = {math.prod(sizes)} bytes"
        value = f"{len(content)} or more" if len(content) > math.prod(sizes) else len(content)
        raise RecordError(rule, where=str(path), value=value, way_out=_AGAIN)
    return np.frombuffer(bytearray(content), np.uint8).reshape(sizes)
