"""A table in Hugging Face's layout: a column of encoded images and a column of whole numbers, the labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final, overload

import pyarrow as pa
import torch

from modelwright.errors import RecordError
from modelwright.training.data.data import Data, assemble, numbered
from modelwright.training.data.pictures import Pictures, shape_of
from modelwright.training.data.split import split_of

_LABELS = ("label", "labels", "fine_label", "class", "target")


@final
@dataclass(frozen=True)
class Encoded(Sequence[bytes | Path]):
    """The images of a column: each its bytes or, where those are missing, its file.

    Attributes:
        column: of bytes, or of {bytes, path}.
        root: what paths are relative to.
    """

    column: Any
    root: Path

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.column)

    @overload
    def __getitem__(self, place: int) -> bytes | Path: ...

    @overload
    def __getitem__(self, place: slice) -> "Encoded": ...

    def __getitem__(self, place: int | slice) -> "bytes | Path | Encoded":
        """One image's bytes or file, or a part of the column."""
        if isinstance(place, slice):
            return Encoded(self.column[place], self.root)
        cell = self.column[place].as_py()
        if not isinstance(cell, dict):
            return cell or b""
        return cell["bytes"] or (self.root / cell["path"] if cell.get("path") else b"")


def from_tables(name: str, tables: Mapping[str, pa.Table], root: Path, seed: int) -> Data:
    """The data set in some tables, "train" among them.

    Args:
        name: what to call it.
        tables: of each split; the names of classes are read from Hugging Face's metadata where that is there.
        root: what paths of images are relative to.
        seed: of the splits that are drawn because they are not there.

    Raises:
        RecordError: there is no such column, or an image or a label breaks a rule.
    """
    if "train" not in tables:
        rule, way_out = "there must be a split called train", "Rename the one to train on."
        raise RecordError(rule, where=name, value=", ".join(tables), way_out=way_out)
    image, label = columns(tables["train"].schema, f"{name}, train")
    labels = {key: _labels(table, label, f"{name}, {key}") for key, table in tables.items()}
    sources = {key: Encoded(_column(table, image, f"{name}, {key}"), root) for key, table in tables.items()}
    if not len(sources["train"]):
        way_out = "Add some."
        raise RecordError("a split must hold images", where=f"{name}, train", value=0, way_out=way_out)
    shape = shape_of(sources["train"][0], f"{name}, train, image 0")
    splits = {
        key: split_of(Pictures(found, f"{name}, {key}", shape), labels[key], shape) for key, found in sources.items()
    }
    classes = _classes(tables["train"].schema, label) or numbered(labels["train"], f"{name}, train")
    return assemble(name, classes, shape, splits, seed)


def columns(schema: pa.Schema, where: str) -> tuple[str, str]:
    """The names of the column of images and of that of labels.

    Raises:
        RecordError: there is none, or it cannot be told which.
    """
    images = [field.name for field in schema if _holds_images(field.type)]
    whole = [field.name for field in schema if pa.types.is_integer(field.type)]
    labels = [name for name in _LABELS if name in whole] or whole
    if len(images) != 1 or not labels or (len(labels) > 1 and labels[0] not in _LABELS):
        raise RecordError(
            "a table must have one column of images ({bytes, path} or bytes) and one of whole numbers called label",
            where=where,
            value=", ".join(f"{field.name}: {field.type}" for field in schema),
            way_out="Rename or take out columns; labels in words become numbers by datasets' class_encode_column.",
        )
    return images[0], labels[0]


def _holds_images(kind: pa.DataType) -> bool:
    holder = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    return bool(holder or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _column(table: pa.Table, name: str, where: str) -> Any:
    if name not in table.column_names:
        way_out = "Give all splits the same columns."
        raise RecordError(f"there must be a column {name}", where=where, value=table.column_names, way_out=way_out)
    return table.column(name)


def _labels(table: pa.Table, name: str, where: str) -> torch.Tensor:
    column = _column(table, name, where)
    if column.null_count or not pa.types.is_integer(column.type):
        rule = f"each image must have a whole number in column {name}"
        value = f"{column.null_count} without one" if column.null_count else str(column.type)
        raise RecordError(rule, where=where, value=value, way_out="Take those rows out.")
    return torch.tensor(column.to_pylist(), dtype=torch.int64)


def _classes(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """The names that Hugging Face wrote beside the schema; none where it wrote none."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return tuple(map(str, told["info"]["features"][label]["names"]))
    except (ValueError, KeyError, TypeError):
        return ()
