"""Checkpoints: a run's whole state in one file, which appears whole or not at all; reading it runs nothing."""

import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from modelwright.errors import RecordError
from modelwright.records import Architecture, Recipe, to_json, write_whole
from modelwright.training.data.data import Data

_FORMAT = 1
_WAY_OUT = "Name another checkpoint file, delete this one to begin anew, or ask for what it was begun with."


@final
@dataclass(frozen=True)
class Identity:
    """Which run a checkpoint belongs to.

    Attributes:
        architecture, recipe: as JSON.
        data: the data set's name and fingerprint, as JSON.
    """

    architecture: str
    recipe: str
    data: str


def identity(architecture: Architecture, data: Data, recipe: Recipe) -> Identity:
    """The identity of a run."""
    return Identity(
        to_json(architecture).decode(),
        to_json(recipe).decode(),
        json.dumps({"data": f"{data.name} {data.fingerprint}"}),
    )


def save_checkpoint(path: Path, run: Identity, state: dict[str, Any]) -> None:
    """Write a run's state; a process that dies meanwhile leaves the earlier file.

    Args:
        path: of the file; its folder is made.
        run: whose state it is.
        state: tensors, numbers, words, lists and dictionaries of those.

    Raises:
        OSError: the place cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, **vars(run), "state": state}, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: Path, run: Identity) -> dict[str, Any] | None:
    """The state that was written for this run, its tensors on the CPU; None where there is no file.

    Raises:
        RecordError: the file is cut off or something else, or belongs to another architecture, recipe or data set.
    """
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        known = {key: found[key] for key in ("format", "architecture", "recipe", "data", "state")}
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as failure:
        reason = next((line for line in str(failure).splitlines() if line.strip()), type(failure).__name__)
        rule = f"a checkpoint must be whole, and hold numbers and words only ({reason[:200]})"
        raise RecordError(rule, where=str(path), way_out="Delete it to begin anew.") from failure
    if known["format"] != _FORMAT:
        rule = f"a checkpoint must be of format {_FORMAT}"
        raise RecordError(rule, where=str(path), value=known["format"], way_out=_WAY_OUT)
    for key, wanted in vars(run).items():
        if known[key] != wanted:
            name, value, ours = _difference(known[key], wanted)
            rule = f"a checkpoint must be of the same {key}: its {name} is not {ours!r}"
            raise RecordError(rule, where=str(path), value=value, way_out=_WAY_OUT)
    state: dict[str, Any] = known["state"]
    return state


def _difference(theirs: str, ours: str) -> tuple[str, Any, Any]:
    """The first key in which two JSON objects differ, and the value of each."""
    left, right = json.loads(theirs), json.loads(ours)
    keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    return keys[0], left.get(keys[0]), right.get(keys[0])
