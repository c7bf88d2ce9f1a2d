"""A folder of class folders: root/class/image, or root/train/class/image beside validation and test."""

from pathlib import Path

import torch

from modelwright.errors import RecordError
from modelwright.training.data.data import Data, assemble
from modelwright.training.data.pictures import Pictures, shape_of
from modelwright.training.data.split import Split, split_of

NAMES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
"""What the folder of each split may be called."""

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
"""Files that count as images; others are passed over."""


def from_folder(folder: Path, seed: int = 0) -> Data:
    """The data set in a folder of class folders; classes are in the alphabet's order.

    Args:
        folder: holds `train` (and perhaps `validation` and `test`), or the class folders themselves.
        seed: of the splits that are drawn because they are not there.

    Raises:
        RecordError: there are no images, classes differ between splits, or an image breaks a rule.
    """
    roots = {key: found for key, names in NAMES.items() for name in names if (found := folder / name).is_dir()}
    if "train" not in roots:
        roots = {"train": folder}
    classes = tuple(path.name for path in _folders(roots["train"]))
    files = {key: _files(root, classes) for key, root in roots.items()}
    if not files["train"]:
        rule = "the folder must hold a folder of images for each class"
        way_out = "Such as CLASS/IMAGE.png or train/CLASS/IMAGE.png; or name a folder of idx or Parquet files."
        raise RecordError(rule, where=str(folder), way_out=way_out)
    first = files["train"][0][0]
    shape = shape_of(first, str(first))
    splits = {key: _split(roots[key], found, shape) for key, found in files.items()}
    return assemble(str(folder), classes, shape, splits, seed)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(root: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    strange = [path for path in _folders(root) if path.name not in classes]
    if strange:
        rule = f"the class folders must be those of train: {', '.join(classes)}"
        raise RecordError(rule, where=str(root), value=strange[0].name, way_out="Rename it, or add it to train.")
    return [
        (path, label)
        for label, name in enumerate(classes)
        if (root / name).is_dir()
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]


def _split(root: Path, files: list[tuple[Path, int]], shape: tuple[int, int, int]) -> Split:
    paths = [path for path, _ in files]
    labels = torch.tensor([label for _, label in files], dtype=torch.int64)
    return split_of(Pictures(paths, str(root), shape), labels, shape)
