"""A folder of Parquet files in Hugging Face's layout: train.parquet, or train-00000-of-00002.parquet and so on."""

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from modelwright.errors import RecordError
from modelwright.training.data.data import Data
from modelwright.training.data.table import from_tables

_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}


def from_parquet(folder: Path, seed: int = 0) -> Data:
    """The data set in a folder of Parquet files.

    Args:
        folder: holds train.parquet or train-*.parquet, and perhaps validation and test.
        seed: of the splits that are drawn because they are not there.

    Raises:
        RecordError: a file cannot be read, or an image or a label breaks a rule.
    """
    files = {
        key: [
            path
            for name in names
            for path in sorted((*folder.glob(f"{name}.parquet"), *folder.glob(f"{name}-*.parquet")))
        ]
        for key, names in _NAMES.items()
    }
    tables = {key: pa.concat_tables(map(_table, found)) for key, found in files.items() if found}
    if "train" not in tables:
        rule, way_out = "there must be a file train.parquet or train-*.parquet", "Rename the one to train on."
        raise RecordError(rule, where=str(folder), way_out=way_out)
    return from_tables(str(folder), tables, folder, seed)


def _table(path: Path) -> pa.Table:
    try:
        return parquet.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as failure:
        rule = f"the file must be whole and in Parquet format ({failure})"
        raise RecordError(rule, where=str(path), way_out="Get the file again.") from failure
