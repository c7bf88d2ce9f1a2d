"""Hugging Face's own: a folder that `datasets` saved, and a data set from the hub."""

from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from modelwright.errors import RecordError
from modelwright.training.data.data import Data
from modelwright.training.data.table import from_tables

_NAMES = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}


def from_saved(folder: Path, seed: int = 0) -> Data:
    """The data set that `save_to_disk` of `datasets` wrote.

    Args:
        folder: of a Dataset (which is then train) or a DatasetDict.
        seed: of the splits that are drawn because they are not there.

    Raises:
        RecordError: the folder cannot be read, or an image or a label breaks a rule.
    """
    try:
        found = datasets.load_from_disk(str(folder))
        tables = _tables(found)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as failure:
        rule = f"the folder must be one that datasets.save_to_disk wrote ({failure})"
        raise RecordError(rule, where=str(folder), way_out="Save it again.") from failure
    return from_tables(str(folder), tables, folder, seed)


def from_hub(name: str, seed: int = 0) -> Data:
    """The data set of that name on Hugging Face's hub, downloaded on first use; it runs no code from there.

    Args:
        name: such as "ylecun/mnist".
        seed: of the splits that are drawn because they are not there.

    Raises:
        RecordError: it cannot be had, or an image or a label breaks a rule.
    """
    try:
        tables = _tables(datasets.load_dataset(name))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, RuntimeError) as failure:
        rule = f"the data set must be on the hub, and within reach ({type(failure).__name__}: {failure})"
        way_out = "Check its name and the network, or download its Parquet files and name their folder."
        raise RecordError(rule, where=f"hf:{name}", way_out=way_out) from failure
    return from_tables(f"hf:{name}", tables, Path(), seed)


def _tables(found: Any) -> dict[str, pa.Table]:
    """Each split as a table with its images still encoded."""
    splits = found if isinstance(found, dict) else {"train": found}
    tables = {}
    for key, split in splits.items():
        if key in _NAMES:
            for column, feature in split.features.items():
                if isinstance(feature, datasets.Image):
                    split = split.cast_column(column, datasets.Image(decode=False))
            told = split.features.arrow_schema.metadata
            tables[_NAMES[key]] = split.with_format("arrow")[:].replace_schema_metadata(told)
    return tables
