"""What a guard is given in a file: rows of a model that lives elsewhere, or inputs for an artifact that runs here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_in

from modelwright.errors import RecordError, SettingError
from modelwright.guard import Head
from modelwright.guard.evaluation import Sample
from modelwright.guard.folds import Fold

SUFFIXES = (".npz", ".npy", ".safetensors")
NAMES = ("features", "logits", "labels", "inputs", "keys", "texts", "groups", "weight", "bias", "held")
"""Of the arrays that a file may hold."""

_ADVICE = "Write it with numpy.savez, numpy.save or safetensors.numpy.save_file."
_KINDS = {name: "U" if name in ("keys", "texts", "groups") else "biuf" for name in NAMES}
"""Name -> the kinds of numpy that it may be of: text, or numbers."""


@final
@dataclass(frozen=True, eq=False)
class Given:
    """Rows, and what came with them.

    Attributes:
        sample: the rows.
        head: the classifier's last layer; None where it did not come.
        texts: what a reviewer is shown of each row; none where nothing came.
    """

    sample: Sample
    head: Head | None = None
    texts: tuple[str, ...] = ()


def is_file_of_arrays(word: str) -> bool:
    """Whether a word names one, there or not."""
    return word.endswith(SUFFIXES)


def arrays(path: Path, groups: str = "") -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; that of an .npy file is "inputs". Nothing in a file is run.

    Args:
        path: of the file.
        groups: a column of the user's own, which becomes the array "groups" where it is; other columns are passed over.

    Raises:
        SettingError: there is no such file.
        RecordError: it is none of these, is damaged, or holds something else.
    """
    if not path.is_file():
        raise SettingError("the file of arrays must exist", where=str(path), way_out=_ADVICE)
    try:
        if path.suffix == ".safetensors":
            found = tensors_in(path.read_bytes())
        elif path.suffix == ".npy":
            found = {"inputs": np.load(path, allow_pickle=False)}
        else:
            with np.load(path, allow_pickle=False) as packed:
                found = {name: packed[name] for name in packed.files}
    except (ValueError, EOFError, BadZipFile, SafetensorError, AttributeError, TypeError, KeyError) as failure:
        rule = f"the file must hold plain arrays, whole ({failure})"
        raise RecordError(rule, where=str(path), way_out=_ADVICE) from failure
    if groups:
        found = _with_groups(found, groups)
    for name, array in found.items():
        if array.dtype.kind not in _KINDS.get(name, ""):
            rule = f"an array must be {', '.join(NAMES[:-1])} or {NAMES[-1]}, of numbers or of text as fits"
            raise RecordError(rule, where=str(path), value=(name, str(array.dtype)), way_out=_ADVICE)
    return found


def _with_groups(found: Mapping[str, NDArray[Any]], column: str) -> dict[str, NDArray[Any]]:
    """The arrays with "groups" out of a column of text or whole numbers, and without the user's other columns."""
    known = {name: array for name, array in found.items() if name in NAMES or array.ndim != 1}
    known.pop("groups", None)
    if column in found and found[column].ndim == 1 and found[column].dtype.kind in "Ubiu":
        known["groups"] = found[column].astype(str)
    return known


def given_rows(found: Mapping[str, NDArray[Any]], where: str) -> Given:
    """The rows that arrays are.

    Raises:
        SettingError: features or logits are missing, or what is there of each row is for more or fewer.
        ShapeError: the last layer is none.
    """
    missing = [name for name in ("features", "logits") if name not in found]
    if missing:
        way_out = "Save what the model's last layer takes as features (n, d), and what it gives as logits (n, k)."
        raise SettingError(f"the file must hold {' and '.join(missing)}", where=where, way_out=way_out)
    return Given(named(found["features"], found["logits"], found), head_of(found), texts(found))


def given_fold(found: Mapping[str, NDArray[Any]], where: str) -> Fold:
    """What a network that was trained without some classes makes of the rows.

    Raises:
        SettingError: features or logits are missing, or which classes were left out.
        ShapeError: the last layer is none.
    """
    rows, held = given_rows(found, where), found.get("held")
    if held is None or held.ndim != 1 or held.dtype.kind not in "iu":
        rule = "a fold must name the classes that its network was trained without, as whole numbers"
        way_out = "Add the array held (m,) to the file."
        raise SettingError(rule, where=f"{where}, held", way_out=way_out)
    if rows.sample.logits is None:
        raise SettingError("a fold must have logits", where=where)
    return Fold(tuple(held.tolist()), rows.sample.features, rows.sample.logits, rows.head)


def named(features: NDArray[Any], logits: NDArray[Any], found: Mapping[str, NDArray[Any]]) -> Sample:
    """Rows, with the labels, keys and groups that came in a file."""
    labels = found.get("labels")
    return Sample(features, logits, labels, _words(found, "keys"), _words(found, "groups"))


def head_of(found: Mapping[str, NDArray[Any]]) -> Head | None:
    """The last layer, where it came.

    Raises:
        ShapeError: it is none.
    """
    if "weight" not in found:
        return None
    weight = found["weight"]
    return Head(weight, found.get("bias", np.zeros(len(weight))))


def texts(found: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """What a reviewer is shown of each row."""
    return _words(found, "texts")


def _words(found: Mapping[str, NDArray[Any]], name: str) -> tuple[str, ...]:
    return tuple(map(str, found[name].tolist())) if name in found else ()
